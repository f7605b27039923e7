# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/apply_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/backup_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/batch_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/direct_guest_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/direct_messages_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/find_windows_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/foretell_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_client_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_file_logs_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_file_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_lock_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_messages_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/patch_guest_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/probe_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/recover_image_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/reg_files_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/reg_guest_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/replacement_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/revert_guest_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/without_libguestfs_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/worker_test.cc)
