# SPDX-License-Identifier: GPL-2.0-or-later
if(KVMNET_LIBGUESTFS)
  target_sources(kvmnet_unit_tests PRIVATE ${CMAKE_CURRENT_LIST_DIR}/appliance_parts_test.cc)
endif()
