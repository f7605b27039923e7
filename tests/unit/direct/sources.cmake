# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/block_cache_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/ntfs_volume_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/partitions_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/volume_file.cc)
target_link_libraries(kvmnet_unit_tests PRIVATE kvmnet_direct kvmnet_test_ntfs PkgConfig::libntfs-3g)
