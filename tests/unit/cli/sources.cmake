# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/exit_status_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/options_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/report_hostile_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/report_test.cc)
