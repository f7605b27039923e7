#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is not to be patched in place, what is not to be opened at all, and how the user is told. No
# appliance is started.
# shellcheck source=tests/integration/own-mounts.sh
source "$(dirname "$0")/own-mounts.sh"
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
# Whoever starts an appliance here has not refused.
export LIBGUESTFS_PATH=/nonexistent

refused() { # CODE ARGUMENT...
  kvmnet 3 "${@:2}"
  expect_out "[$1]"
}

# QEMU reads what is missing of a truncated image as zeros: whatever somebody who does not wait for
# the check finds there, or does not, it is the image that is wrong.
image nt100-text.qcow2
whole=$(stat -c %s nt100-text.qcow2)
for size in 60 300000 1000000 $((whole / 2)) $((whole - 65536)); do
  head -c "$size" nt100-text.qcow2 >truncated.qcow2
  remember truncated.qcow2
  for command in patch plan status; do
    refused damaged-image "$command" --backend direct truncated.qcow2
    refused damaged-image "$command" --backend auto truncated.qcow2
    kvmnet 3 "$command" --backend direct --json truncated.qcow2
    expect_no_out '"device"' # nothing that was read there counts
  done
  expect_unchanged
done
rm nt100-text.qcow2 truncated.qcow2

# Templates: a clone beside it, or in the run, whatever way it names the template.
image nt52.qcow2
mkdir elsewhere
qemu-img create -q -f qcow2 -F qcow2 -b nt52.qcow2 clone.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b "$PWD/clone.qcow2" elsewhere/grandchild.qcow2
remember ./*.qcow2 elsewhere/*
refused image-is-backing-file patch nt52.qcow2
expect_out 'clone.qcow2'
expect_out '--output'
expect_out '--allow-backing-file'
ln -s nt52.qcow2 link.qcow2
refused image-is-backing-file patch link.qcow2
mv clone.qcow2 elsewhere
qemu-img rebase -u -f qcow2 -F qcow2 -b "$PWD/nt52.qcow2" elsewhere/clone.qcow2
qemu-img rebase -u -f qcow2 -F qcow2 -b clone.qcow2 elsewhere/grandchild.qcow2
remember ./*.qcow2 elsewhere/*
kvmnet 1 patch --accel tcg nt52.qcow2 elsewhere/grandchild.qcow2
expect_out 'nt52.qcow2: refused:'
kvmnet 1 patch --accel tcg --allow-backing-file nt52.qcow2
expect_out 'appliance'
kvmnet 1 plan --accel tcg nt52.qcow2 # looks, and foretells nothing wrong: no clone is to be seen
expect_unchanged
rm -r elsewhere

# Hard links; the same image twice.
ln nt52.qcow2 hard.qcow2
refused hard-linked patch nt52.qcow2
expect_out '--output'
kvmnet 2 patch nt52.qcow2 link.qcow2
expect_err 'same image'
kvmnet 2 patch nt52.qcow2 hard.qcow2
rm hard.qcow2

# A kernel without Landlock: nothing of a guest is parsed, and no image opened for it, unless the user says so.
image nt61-text.qcow2
remember nt61-text.qcow2
without_landlock() { # STATUS ARGUMENT...
  local status=0
  strace -f -qq -o calls -e trace=landlock_create_ruleset -e inject=landlock_create_ruleset:error=EOPNOTSUPP \
    "$KVMNET" "${@:2}" >out 2>err || status=$?
  expect_equal "$status" "$1" "exit status of ${*:2}"
  grep -q INJECTED calls || fail "nobody has asked for Landlock"
}
for command in patch plan status; do
  without_landlock 1 "$command" --backend direct nt61-text.qcow2
  expect_out '--no-sandbox does'
  expect_unchanged
done
without_landlock 0 plan --backend direct --no-sandbox nt61-text.qcow2
without_landlock 0 patch --backend direct --no-sandbox nt61-text.qcow2
kvmnet 0 plan --backend direct --exit-code nt61-text.qcow2
rm nt61-text.qcow2

# Options that contradict each other, or name nothing.
kvmnet 2 patch --output '' nt52.qcow2
kvmnet 2 patch --backup '' nt52.qcow2
kvmnet 2 patch --backup no-such-directory nt52.qcow2
kvmnet 2 patch --output new.qcow2 nt52.qcow2 other.qcow2
kvmnet 2 patch --output link.qcow2 nt52.qcow2
expect_err 'exists already'
kvmnet 2 recover --root first nt52.qcow2
kvmnet 2 patch ""
expect_err "name a disk image"

# Formats that are not QEMU's own to write safely: convert first. A test knows their magic only by
# making them.
for format in vhdx vmdk vdi vpc; do
  qemu-img create -q -f "$format" disk.img 4M
  refused unsupported-format patch disk.img
  expect_out 'qemu-img convert'
  rm disk.img
done
# qemu-img measures the processor for it, and fails now and then where that is busy.
for _ in $(seq 30); do
  ! qemu-img create -q -f qcow2 --object secret,id=s,data=x \
    -o encrypt.format=luks,encrypt.key-secret=s encrypted.qcow2 4M || break
done
refused encrypted-image patch encrypted.qcow2

# A block device can be patched as a copy only.
if loop=$(losetup --find --show -r link.qcow2 2>/dev/null); then
  refused not-a-regular-file patch --format qcow2 "$loop"
  expect_out '--output'
  losetup -d "$loop"
fi

# A hostile qcow2 names files of the host. Nothing but the image is opened.
mkfifo fifo
echo secret >canary
truncate -s 4M canary
cp canary canary.before
qemu-img create -q -f qcow2 -o data_file=canary,data_file_raw=on data-file.qcow2 4M
cp canary.before canary
hostile() { # NAME BACKING FORMAT: a qcow2 whose header says so, whatever it names
  qemu-img create -q -f qcow2 "$1" 4M
  qemu-img rebase -u -f qcow2 -F "$3" -b "$2" "$1" 2>/dev/null ||
    fail "cannot make $1"
}
hostile backing-json.qcow2 'json:{"driver":"raw","file":{"driver":"file","filename":"canary"}}' raw
hostile backing-nbd.qcow2 'nbd:unix:canary' raw
hostile backing-fifo.qcow2 fifo raw
hostile backing-format.qcow2 nt52.qcow2 raw
for name in data-file backing-json backing-nbd backing-fifo backing-format; do
  for command in plan patch "patch --output copy.qcow2" "patch --allow-backing-file"; do
    # shellcheck disable=SC2086
    strace -f -o trace -e trace=open,openat,openat2,connect "$KVMNET" $command "$name.qcow2" \
      >out 2>err </dev/null && fail "$command $name.qcow2 was not refused"
    grep -qE '\[(external-data-file|unsafe-backing-file)\]' out ||
      { cat out err >&2; fail "$command $name.qcow2: another reason"; }
    ! grep -q canary trace || fail "$command $name.qcow2 has opened the canary"
    ! grep -q '"[^"]*fifo"' trace || fail "$command $name.qcow2 has opened the FIFO"
  done
done
expect_same_file canary.before canary

# No room beside the image.
mkdir small
mount -t tmpfs -o size=32m tmpfs small
cp nt52.qcow2 small
refused no-host-space patch small/nt52.qcow2
expect_out '64 MiB needed'
umount small

expect_nothing_left
