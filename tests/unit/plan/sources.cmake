# SPDX-License-Identifier: GPL-2.0-or-later
target_sources(kvmnet_unit_tests PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/edit_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/firstboot_result_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/firstboot_service_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/firstboot_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/guests.cc
  ${CMAKE_CURRENT_LIST_DIR}/guest_status_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/netsh_provider_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/netsh_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_firstboot_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_mechanism_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_record_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_reg_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_refusal_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_revert_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/plan_work_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/record_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/restore_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/script_rules.cc
  ${CMAKE_CURRENT_LIST_DIR}/script_rules_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/settings_set_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/setup_complete_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/settings_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/user_work_test.cc
  ${CMAKE_CURRENT_LIST_DIR}/windows_test.cc)
