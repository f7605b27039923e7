#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The script in the guest is the one of its own version and edition, with the user's options; both
# control sets are edited where the one that boots next is not the one that booted last. A generalised
# image gets a call in its SetupComplete.cmd, and the user's own work beside the script; all of it is
# private. What is in one of the images is booted under Wine.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt61-text.qcow2 nt100-text.qcow2 nt100-server2016.qcow2 two-control-sets.qcow2 generalised.qcow2

script_of() { # IMAGE MIB
  volume "$1" "$2" after.vol
  guest_file after.vol /Windows/kvmnet/firstboot.cmd after.cmd
}

kvmnet 0 patch --autotuning experimental nt61-text.qcow2 nt100-text.qcow2
script_of nt61-text.qcow2 101
"$KVMNET" script --windows 6.1.7601 --autotuning experimental >expected.cmd
expect_same_file expected.cmd after.cmd
guest_file after.vol /Windows/System32/config/SYSTEM after.hive
KVMNET_FIRSTBOOT_HIVE=$PWD/after.hive KVMNET_FIRSTBOOT_SCRIPT=$PWD/after.cmd \
  "$KVMNET_FIRSTBOOT_TEST" --gtest_filter='FirstBootOfAnImage.*'
grep -q 'set global congestionprovider=ctcp' after.cmd || fail "no CTCP on Windows 7"
script_of nt100-text.qcow2 117
"$KVMNET" script --windows 10.0 --build 19045 --autotuning experimental >expected.cmd
expect_same_file expected.cmd after.cmd
! grep -q congestionprovider after.cmd || fail "the default profile took CUBIC away"

kvmnet 0 patch --congestion-provider cubic nt100-server2016.qcow2
script_of nt100-server2016.qcow2 117
"$KVMNET" script --windows 10.0.14393 --server --congestion-provider cubic >expected.cmd
expect_same_file expected.cmd after.cmd

kvmnet 0 patch two-control-sets.qcow2
expect_out 'both are edited'
volume two-control-sets.qcow2 1 after.vol
guest_file after.vol /Windows/System32/config/SYSTEM after.hive
for set in ControlSet001 ControlSet002; do
  expect_dword after.hive "$set\\Services\\Tcpip\\Parameters" EnableWsd 0
  expect_dword after.hive "$set\\Services\\kvmnet-firstboot" Start 2
done
hive_value after.hive ControlSet003 Marker >/dev/null || fail "the last known good set was touched"
# What was there keeps its name, and neither its content nor its permissions.
for path in KvmNet KvmNet/Firstboot.cmd KvmNet/record.json; do
  expect_private after.vol "/Windows/$path"
done
guest_file after.vol /Windows/KvmNet/Firstboot.cmd after.cmd
"$KVMNET" script --windows 10.0.19045 >expected.cmd
expect_same_file expected.cmd after.cmd

printf 'echo %%~dp0\nexit /b 3\n' >'my work.cmd'
volume generalised.qcow2 1 before.vol
guest_file before.vol /Windows/Setup/Scripts/setupcomplete.cmd before.cmd
patch_generalised() {
  kvmnet 0 patch --firstboot-command 'net stop w32time' --firstboot-script 'my work.cmd' generalised.qcow2
}
patch_generalised
expect_out 'a service and SetupComplete.cmd start the script (Windows Setup has still to run in this guest)'
expect_out 'virt-v2v or virt-customize (service firstboot)'
expect_out 'cloudbase-init (service cloudbase-init)'
volume generalised.qcow2 1 after.vol
ntfsfix -n after.vol >/dev/null
guest_file after.vol /Windows/Setup/Scripts/setupcomplete.cmd after.cmd
expect_same_file before.cmd <(head -c "$(stat -c %s before.cmd)" after.cmd)
expect_equal "$(grep -c 'firstboot.cmd setup' after.cmd)" 1 "calls in SetupComplete.cmd"
for path in kvmnet kvmnet/firstboot.cmd kvmnet/firstboot-01.cmd kvmnet/firstboot-02.cmd; do
  expect_private after.vol "/Windows/$path"
done
guest_file after.vol /Windows/kvmnet/firstboot-01.cmd work.cmd
expect_same_file work.cmd <(printf '@echo off\r\nnet stop w32time\r\n')
guest_file after.vol /Windows/kvmnet/firstboot-02.cmd work.cmd
expect_same_file work.cmd <(printf 'echo %%~dp0\r\nexit /b 3\r\n')
guest_file after.vol /Windows/kvmnet/firstboot.cmd after.cmd
"$KVMNET" script --windows 10.0.19045 --firstboot-command 'net stop w32time' \
  --firstboot-script 'my work.cmd' >expected.cmd
expect_same_file expected.cmd after.cmd
remember generalised.qcow2
patch_generalised
expect_out 'nothing to do'
expect_unchanged
