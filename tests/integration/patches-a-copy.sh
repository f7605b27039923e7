#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --output: the image is left alone, and the copy is what patching in place would have made of it;
# --backup: the hive and its logs as they were.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt52.qcow2
chmod 640 nt52.qcow2
qemu-img snapshot -c kept nt52.qcow2
mkdir templates new backups
qemu-img create -q -f qcow2 -F qcow2 -b ../nt52.qcow2 templates/clone.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b nt52.qcow2 sibling.qcow2
ln templates/clone.qcow2 templates/hard.qcow2
volume nt52.qcow2 1 before.vol
guest_file before.vol /WINDOWS/system32/config/system before.hive
remember ./*.qcow2 templates/*

patched() { # IMAGE
  volume "$1" 1 after.vol
  ntfsfix -n after.vol >/dev/null
  guest_file after.vol /WINDOWS/system32/config/system after.hive
  expect_dword after.hive 'ControlSet001\Services\Tcpip\Parameters' TcpWindowSize 0x100000
}

# A template, with its snapshot, and a backup.
umask 000
kvmnet 3 patch nt52.qcow2
expect_out '[image-is-backing-file]'
kvmnet 0 patch --json --output new/copy.qcow2 --backup backups nt52.qcow2
expect_out '"output":"new/copy.qcow2"'
expect_out '"status":"patched"'
expect_equal "$(stat -c %a new/copy.qcow2)" 640 "mode of the copy"
patched new/copy.qcow2
qemu-img check -q new/copy.qcow2
qemu-img snapshot -l new/copy.qcow2 | grep -q kept || fail "the snapshot is not in the copy"
expect_same_file before.hive backups/nt52.qcow2/SYSTEM
[ -z "$(find backups -mindepth 1 -perm /077)" ] || fail "others can read the backup"
expect_unchanged
expect_nothing_left

# A clone with a relative backing file, into another directory; the clone has two names.
kvmnet 0 patch -o new/clone.qcow2 templates/clone.qcow2
expect_out 'patched, 6 changes, in the copy new/clone.qcow2'
patched new/clone.qcow2
expect_unchanged
expect_nothing_left

# The copy is a guest like others: nothing is left to be done in it, and nothing is refused.
remember ./*.qcow2 templates/* new/copy.qcow2
kvmnet 0 plan new/copy.qcow2
expect_out 'new/copy.qcow2: nothing to do'
kvmnet 2 patch --output new/copy.qcow2 nt52.qcow2
expect_unchanged
