#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The host's disk is full or fails at different moments of a real patch: an error within two minutes, and the image as it was, or recoverable.
# shellcheck source=tests/integration/own-mounts.sh
source "$(dirname "$0")/own-mounts.sh"
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt100-text.qcow2 with-logs.qcow2
mkdir disk bin
mount -t tmpfs -o size=128m tmpfs disk
trap 'umount "$work/disk"; rm -rf "$work"' EXIT
cp nt100-text.qcow2 disk/image.qcow2
remember disk/image.qcow2

fill() { head -c 1G /dev/zero >disk/filler 2>/dev/null || true; }
said() { grep -qF -e "$1" err; }
until_said() {
  for _ in $(seq 6000); do
    ! said "$1" || return 0
    sleep 0.02
  done
  fail "never said: $1"
}
under=()
start() {
  : >err
  PATH=$work/bin:$PATH "${under[@]}" "$KVMNET" patch -v disk/image.qcow2 >out 2>err &
  pid=$!
}
qemu() { pgrep -f "qemu-system.*$work/disk/image.qcow2.kvmnet-overlay"; }

# ended SECONDS TEXT: it ends by then, with status 1 and that text, and the image is as it was. Where the
# disk was full only when all had been written, it is refused to go on.
ended() {
  local begin=$SECONDS status=0
  wait "$pid" || status=$?
  [ $((SECONDS - begin)) -le "$1" ] || fail "took $((SECONDS - begin)) s to notice"
  if [ "$status" = 3 ]; then
    expect_out 'needed for the changes'
  else
    expect_equal "$status" 1 "exit status"
    expect_out "$2"
  fi
  expect_unchanged
  rm -f disk/filler
  expect_nothing_left
}

echo "== full when copied"
cp nt100-text.qcow2 elsewhere.qcow2
fill
kvmnet 3 patch elsewhere.qcow2 --output disk/copy.qcow2
expect_out 'MiB needed for the rest of the copy'
expect_out 'make room on the file system'
[ ! -e disk/copy.qcow2 ] || fail "a part of a copy is there"
cmp -s elsewhere.qcow2 nt100-text.qcow2 || fail "the image has changed"
rm elsewhere.qcow2 disk/filler
expect_nothing_left

echo "== full when a backup is made"
cp with-logs.qcow2 elsewhere.qcow2
mkdir disk/backup
fill
truncate -s -24K disk/filler # for the hive, not for its logs
kvmnet 1 patch --backup disk/backup elsewhere.qcow2
expect_out 'the backup in'
expect_out 'No space left on device'
[ -z "$(ls -A disk/backup)" ] || fail "a part of a backup is there"
cmp -s elsewhere.qcow2 with-logs.qcow2 || fail "the image has changed"
rm -r elsewhere.qcow2 disk/backup disk/filler
expect_nothing_left

# under_strace INJECTION: for qemu-nbd, which is too fast to be watched. Counts by thread.
under_strace() {
  under=(strace -f --seccomp-bpf -o trace -P "$work/disk/image.qcow2.kvmnet-overlay"
    -e "trace=pwrite64,pwritev,fdatasync,fsync" -e "inject=$1")
}

if [ "${KVMNET_BACKEND-}" = direct ]; then
  # While the overlay is made, and while qemu-nbd writes: before its first writes of all, and later.
  for write in pwrite64:2 pwritev:1 pwritev:2; do
    echo "== full at $write"
    rm -f trace
    under_strace "${write%:*}:delay_enter=5000000:when=${write#*:}"
    start
    for _ in $(seq 600); do # held in a call: then the trace ends within a line
      if [ -s trace ] && [ "$(tail -c 1 trace | wc -l)" = 0 ]; then break; fi
      sleep 0.1
    done
    grep -q INJECTED trace || kill -0 "$pid" || fail "no such write"
    fill
    ended 120 'failed: '
  done
  # Writes fail, or succeed, and nothing makes them last: while the overlay is made, and when it is done.
  for injection in pwrite64,pwritev:error=EIO:when=3+ fdatasync:error=EIO fsync:error=EIO; do
    echo "== $injection"
    under_strace "$injection"
    start
    ended 120 'failed: '
    grep -q INJECTED trace || fail "nothing has failed"
  done
  under=()
else
  # While the appliance writes: before the first write, and after the files.
  for moment in 'probe' 'apply'; do
    echo "== full when: $moment"
    start
    until_said ": $moment"
    fill
    ended 120 'failed: '
  done

  # Writes succeed, and nothing makes them last. Told by the flush, or by what is then read back.
  echo "== flush fails"
  start
  until_said ': probe'
  strace -f -o trace -e trace=fdatasync -e inject=fdatasync:error=EIO -p "$(qemu)" 2>/dev/null &
  ended 120 'failed: '
  grep -q INJECTED trace || fail "no flush has failed"
fi

# In the commit. What was freed by then lets it be finished.
cat >bin/qemu-img <<SCRIPT
$qemu_img_start
[ "\$1" != commit ] || head -c 1G /dev/zero >$work/disk/filler 2>/dev/null
exec $(command -v qemu-img) "\$@"
SCRIPT
chmod +x bin/qemu-img
echo "== full in the commit"
# The image has no room of its own for what is new, so that the disk's is needed.
start
status=0
wait "$pid" || status=$?
expect_equal "$status" 1 "exit status"
expect_out 'No space left'
if [ -e disk/image.qcow2 ]; then
  expect_out 'nothing was written to the image'
  expect_unchanged
else
  expect_out 'is now called'
  kvmnet 1 recover disk/image.qcow2
  expect_out 'No space left'
fi
rm bin/qemu-img disk/filler
kvmnet 0 recover disk/image.qcow2
kvmnet 0 patch disk/image.qcow2
expect_nothing_left
qemu-img check -q disk/image.qcow2
volume disk/image.qcow2 117 after.vol
guest_has_file after.vol /Windows/kvmnet/firstboot.cmd || fail "not patched in the end"
