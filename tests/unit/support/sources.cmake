# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/error_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/fd_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/memory_view_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/refusal_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/secrets_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/subprocess_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/temp_dir_test.cc)
