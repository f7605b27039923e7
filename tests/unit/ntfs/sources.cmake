# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/security_descriptor_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/volume_flags_test.cc)
