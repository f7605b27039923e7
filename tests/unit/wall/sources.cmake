# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/operations.cc
  ${CMAKE_CURRENT_LIST_DIR}/process_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/sandbox_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/session_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/wall_test.cc)
