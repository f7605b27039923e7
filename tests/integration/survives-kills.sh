#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Everything is killed at once, at each step of a real patch. The image is then as it was, or
# patched, or absent until `recover`; nothing is left, and `patch` finds its way from there.
# The same at every single system call, without an appliance: tests/faults.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt52.qcow2
mv nt52.qcow2 original.qcow2
# shellcheck source=tests/integration/kills.sh
source "$(dirname "$0")/kills.sh"

is_before() { cmp -s original.qcow2 images/image.qcow2; }
is_after() {
  volume images/image.qcow2 1 after.vol
  guest_file after.vol /WINDOWS/system32/config/system after.hive
  expect_dword after.hive 'ControlSet001\Services\Tcpip\Parameters' TcpWindowSize 0x100000
  expect_dword after.hive 'ControlSet001\Services\AFD\Parameters' DefaultSendWindow 0x100000
}

if [ "${KVMNET_BACKEND-}" = direct ]; then
  # Too fast to be watched: held at a write of qemu-img create, or of a thread of
  # qemu-nbd, which has several.
  for write in pwrite64:1 pwrite64:4 pwritev:1 pwritev:2; do
    delayed "${write%:*}" /image.qcow2.kvmnet-overlay "${write#*:}"
    killed "overlay-$write" before held
  done
else
  killed overlay-created before said ': launch'
  killed applying before said ': apply'
  killed hive-being-written before said 'pwrite "/'
  killed hive-uploaded before said ': verify'
fi
delayed fsync /image.qcow2.kvmnet-overlay 1
killed verified before said ': prepare'
delayed renameat2 /image.qcow2 1
killed journal-written after grep -qs '^kvmnet-journal 2 ready' "$journal"
delayed fsync '' 2 # of the directory: after the journal's, that after the rename
killed image-renamed after there images/image.qcow2.kvmnet-commit
under=()
cut_off_commits
umask 022 # where others can write qemu-img is confined to what is in /usr
killed in-commit after there images/in-commit
umask 000
rm bin/qemu-img
delayed fsync /image.qcow2.kvmnet-journal 3
killed image-synced after grep -qs '^kvmnet-journal 2 done' "$journal"
delayed unlink /image.qcow2.kvmnet-journal 1
killed renamed-back after is_back
delayed unlink /image.qcow2.kvmnet-overlay 1
killed journal-removed after gone "$journal"
under=()
