# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/base_block_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/check_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/compare_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/compare_touched_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/contents_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/edit_hostile_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/edit_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_edit_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_files.cc
  ${CMAKE_CURRENT_LIST_DIR}/hive_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/key_path_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/log_kind_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/reader_hostile_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/reader_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/readers_agree_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/replay_fixture.cc
  ${CMAKE_CURRENT_LIST_DIR}/replay_hostile_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/replay_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/sound_hive.cc
  ${CMAKE_CURRENT_LIST_DIR}/tree_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/utf16_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/value_test.cc)
