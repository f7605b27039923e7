// SPDX-License-Identifier: GPL-2.0-or-later
// The rules that every first-boot script keeps: the subset of batch that means the same in each
// cmd.exe from Vista on and in Wine's (wine.md, section 3), and how the script treats netsh.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvmnet::plan_tests {

// What breaks a rule, one text each, with the number of the line; empty if nothing does.
std::vector<std::string> broken_rules(std::string_view script);

}  // namespace kvmnet::plan_tests
