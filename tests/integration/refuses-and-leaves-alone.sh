#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What kvmnet will not patch keeps every byte, and the message says what to do. The states that need
# a look into the guest are all covered by refusals_test; these go the whole way.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image hibernated.qcow2 unclean.qcow2 two-roots.qcow2 not-windows.qcow2 nt100-text.qcow2
remember ./*.qcow2

kvmnet 3 patch hibernated.qcow2 unclean.qcow2 two-roots.qcow2 not-windows.qcow2
expect_out '[hibernated]'
expect_out 'powercfg /h off'
expect_out '[unclean-ntfs]'
expect_out '[several-windows]'
expect_out '/dev/sda1 (/Windows), /dev/sda2 (/Windows)'
expect_out '[no-windows]'
expect_unchanged
expect_nothing_left

# In use: a QEMU program that has the image open for writing.
mkfifo hold
qemu-io -f qcow2 nt100-text.qcow2 <hold >/dev/null &
holder=$!
exec 3>hold
for _ in $(seq 50); do
  ! lslocks -n -o PID 2>/dev/null | grep -qw "$holder" || break
  sleep 0.1
done
sleep 0.5
kvmnet 3 patch nt100-text.qcow2
expect_out '[image-in-use]'
expect_out "qemu-io, pid $holder"
kvmnet 3 plan nt100-text.qcow2
exec 3>&-
wait "$holder"
expect_unchanged

head -c 300000 nt100-text.qcow2 >truncated.qcow2
remember truncated.qcow2
kvmnet 3 patch truncated.qcow2
expect_out '[damaged-image]'
expect_unchanged
mkdir directory
kvmnet 1 patch directory
expect_out 'is a directory'
kvmnet 1 patch no-such-file.qcow2
expect_out 'No such file'

# No appliance; and with closed standard streams its messages must not end up in the image.
remember ./*.qcow2
LIBGUESTFS_PATH=/nonexistent kvmnet 1 patch --accel tcg nt100-text.qcow2
expect_out 'the appliance could not be started'
(
  exec >&- 2>&-
  LIBGUESTFS_PATH=/nonexistent "$KVMNET" patch -x -v nt100-text.qcow2 || true
)
expect_unchanged

kvmnet 2 patch nt100-text.qcow2 ./nt100-text.qcow2
kvmnet 2 patch --no-such-option nt100-text.qcow2
kvmnet 2 patch --autotuning fast nt100-text.qcow2
expect_err autotuning
kvmnet 2 patch
expect_nothing_left
