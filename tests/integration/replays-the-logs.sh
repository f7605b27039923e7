#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that Windows did not close: what is only in the transaction logs decides about the version,
# is in the SYSTEM hive afterwards, and can never be replayed again.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image with-logs.qcow2
volume with-logs.qcow2 1 before.vol
config=/Windows/System32/config
guest_file before.vol "$config/SYSTEM" before.hive
guest_file before.vol "$config/SYSTEM.LOG1" before.hive.LOG1
guest_file before.vol "$config/SYSTEM.LOG2" before.hive.LOG2
guest_file before.vol "$config/SOFTWARE" before.software
"$KVMNET" hive check before.hive >out || fail "the hive is not sound"
expect_out '1 log entry applied'

mkdir backups
kvmnet 0 patch --backup backups with-logs.qcow2
expect_out 'Windows NT 10.0 build 26100'
expect_out 'one entry from its transaction logs'
expect_out 'with-logs.qcow2: patched'
expect_nothing_left
expect_same_file before.hive backups/with-logs.qcow2/SYSTEM
expect_same_file before.hive.LOG1 backups/with-logs.qcow2/SYSTEM.LOG1

volume with-logs.qcow2 1 after.vol
ntfsfix -n after.vol >/dev/null
guest_file after.vol "$config/SYSTEM" after.hive
for log in LOG1 LOG2; do
  guest_file after.vol "$config/SYSTEM.$log" "after.$log"
  expect_equal "$(head -c 512 "after.$log" | tr -d '\0' | wc -c)" 0 "bytes in the header of $log"
  expect_equal "$(stat -c %s "after.$log")" "$(stat -c %s "before.hive.$log")" "size of $log"
done
expect_dword after.hive 'Select' Logged 7
expect_dword after.hive 'ControlSet001\Services\Tcpip\Parameters' EnableWsd 0
guest_file after.vol "$config/SOFTWARE" after.software
expect_same_file before.software after.software
guest_file after.vol /Windows/kvmnet/firstboot.cmd after.cmd
"$KVMNET" script --windows 10.0.26100 >expected.cmd
expect_same_file expected.cmd after.cmd

# The same on the bare hive, by hand.
"$KVMNET" hive replay before.hive >out || fail "hive replay failed"
expect_out 'replayed'
expect_dword before.hive 'Select' Logged 7

remember with-logs.qcow2
kvmnet 0 patch with-logs.qcow2
expect_out 'nothing to do'
expect_unchanged
