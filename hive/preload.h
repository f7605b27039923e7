// SPDX-License-Identifier: GPL-2.0-or-later
// For a process that is to lose every file before it opens a hive.
#pragma once

namespace kvmnet::hive {

// hivex converts names and text with iconv, and the C library loads each conversion from files when
// it is first asked for. Loads those that hivex asks for, for good. Throws hive::Error.
void preload_conversions();

}  // namespace kvmnet::hive
