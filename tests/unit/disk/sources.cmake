# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/backing_file_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/backing_users_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/commit_fixture.cc
  ${CMAKE_CURRENT_LIST_DIR}/commit_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/copy_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/disk_files.cc
  ${CMAKE_CURRENT_LIST_DIR}/gate_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/host_space_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/image_info_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/image_lock_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/open_files_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/originals_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/overlay_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/qcow2_tables_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/recover_tables_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/recover_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/served_disk_test.cc)
