#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What direct does not read is put to the appliance by --backend auto: a dynamic disk; an encrypted volume, once there is
# a key, which is in nothing that anybody can see: no command line, no file that is left, no output, no trace, no core.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image luks.qcow2
ulimit -c unlimited

seen() { # whether the password is in what a program was started with, or has said
  grep -aqw secret out err calls
}

# Direct does not open it, and says so.
kvmnet 3 plan --backend direct luks.qcow2
expect_out '[encrypted-volume]'
kvmnet 3 plan --backend direct --key all:key:secret luks.qcow2
expect_out 'only an appliance opens such a volume; an appliance may read this disk: --backend auto'
# Without a key there is nothing to ask the appliance for.
kvmnet 3 plan --backend auto luks.qcow2
expect_out '[encrypted-volume]'

printf 'secret\n' >key
for way in --keys-from-stdin "--key=/dev/sda1:file:key"; do
  status=0
  strace -f -qq -e trace=execve,setrlimit,prlimit64,prctl -s 4096 -v -o calls \
    "$KVMNET" patch -v -x --json --backend auto "$way" luks.qcow2 <key >out 2>err || status=$?
  expect_equal "$status" 0 "exit status with $way"
  expect_out '"backend":"libguestfs"'
  expect_out '"device":"/dev/mapper/'
  expect_json out
  grep -q 'cryptsetup_open\|luks_open' err || fail "the trace does not show that the volume was opened"
  ! seen || fail "the key can be seen with $way"
  grep -q 'RLIMIT_CORE, {rlim_cur=0, rlim_max=0}' calls || fail "a core could have the key"
  # Nor may the kernel hand one to a program, which that limit does not stop. The first process counts:
  # those behind the wall do it anyway.
  grep -q "^$(head -n 1 calls | cut -d ' ' -f 1) .*PR_SET_DUMPABLE, SUID_DUMP_DISABLE" calls ||
    fail "a piped core could have the key"
  grep -q 'qemu-system' calls || fail "strace has not seen what was started"
  expect_nothing_left
done
expect_out '"status":"unchanged"'
kvmnet 3 status --key all:key:wrong luks.qcow2
expect_out '[wrong-key]'

# A dynamic disk (LDM) has no partition table that direct reads; Linux lists what it finds in the old one.
image nt61-text.qcow2
qemu-img convert -O raw nt61-text.qcow2 dynamic.raw
for number in 1 2; do sfdisk -q --part-type dynamic.raw "$number" 42; done
remember dynamic.raw
kvmnet 3 plan --backend direct dynamic.raw
expect_out '[no-windows]'
expect_out 'an appliance may read this disk: --backend auto'
expect_unchanged
kvmnet 0 patch --backend auto --json dynamic.raw
expect_out '"backend":"libguestfs"'
expect_out '"status":"patched"'
volume dynamic.raw 101 after.vol
guest_has_file after.vol /Windows/kvmnet/firstboot.cmd || fail "no script on the dynamic disk"
