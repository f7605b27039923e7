#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A worker that is killed costs its image a clear failure and nothing else; an interrupted run
# leaves the image as it was, no temporary file and no process.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt100-text.qcow2
cp nt100-text.qcow2 second.qcow2
remember ./*.qcow2
umask 000

# start ARGUMENT...: kvmnet in the background, up to the launch of the appliance.
start() {
  "$KVMNET" "$@" >out 2>err &
  pid=$!
  for _ in $(seq 100); do
    ! grep -q ': launch' err || break
    sleep 0.1
  done
  sleep 2 # QEMU is running by now, or about to
}

start patch -v nt100-text.qcow2 no-such-file.qcow2
worker=$(pgrep -P "$pid")
kill -KILL "$worker"
status=0
wait "$pid" || status=$?
expect_equal "$status" 1 "exit status"
expect_out "the worker process was killed by signal 9 (Killed) in phase 'launch'"
expect_out 'no-such-file.qcow2: failed: No such file or directory'
expect_nothing_left
expect_unchanged

for signal in TERM INT; do
  start patch -v nt100-text.qcow2 second.qcow2
  # Nobody else may work on the image meanwhile, nor see what kvmnet keeps beside it.
  status=0
  "$KVMNET" patch nt100-text.qcow2 >other 2>&1 || status=$?
  expect_equal "$status" 3 "exit status of a second kvmnet"
  grep -qE '\[image-in-use\]' other || fail "a second kvmnet says: $(cat other)"
  grep -qE 'another kvmnet \((kvmnet|qemu-system-x86), pid [0-9]+\)' other ||
    fail "the holder is not named: $(cat other)"
  [ -z "$(find . -name '*.kvmnet-*' -perm /077)" ] || fail "others can read the overlay"
  kill -"$signal" "$pid"
  status=0
  wait "$pid" || status=$?
  expect_equal "$status" $((128 + $(kill -l "$signal"))) "exit status after SIG$signal"
  expect_out 'nt100-text.qcow2: failed: interrupted'
  expect_no_out 'second.qcow2'
  expect_nothing_left
  expect_unchanged
done

# Other children of the process that became kvmnet are none of its business.
sh -c 'sleep 4242 & echo $! >sleeper; exec "$KVMNET" plan no-such-file.qcow2' >out 2>err || true
kill "$(cat sleeper)" || fail "kvmnet ended a process that is not its own"

# Once the commit has begun, neither a signal to kvmnet nor one to all its processes stops it.
mkdir bin
cat >bin/qemu-img <<SCRIPT
$qemu_img_start
if [ "\$1" = commit ]; then
  touch "$work/committing"
  sleep 3
fi
exec $(command -v qemu-img) "\$@"
SCRIPT
chmod +x bin/qemu-img
# commit_of IMAGE...: kvmnet in the background, up to the commit of the first image.
commit_of() {
  rm -f committing
  PATH=$work/bin:$PATH "$KVMNET" patch "$@" >out 2>err &
  pid=$!
  for _ in $(seq 1200); do
    [ ! -e committing ] || break
    sleep 0.1
  done
}

commit_of nt100-text.qcow2 second.qcow2
kill -TERM "$(pgrep -P "$pid")"
pkill -TERM -f "$work/bin/qemu-img commit" || fail "no commit to be seen"
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
expect_equal "$status" 143 "exit status"
expect_out 'nt100-text.qcow2: patched'
expect_no_out 'second.qcow2'
expect_nothing_left
qemu-img check -q nt100-text.qcow2
volume nt100-text.qcow2 117 after.vol
guest_has_file after.vol /Windows/kvmnet/firstboot.cmd || fail "the commit was cut short"

# A worker that is killed in the commit leaves an image that nobody can start, the user is told, and
# nobody but `recover` and `patch` touches it.
commit_of second.qcow2
kill -KILL "$(pgrep -P "$pid")"
status=0
wait "$pid" || status=$?
expect_equal "$status" 1 "exit status"
expect_out "finish it with 'kvmnet recover IMAGE'"
[ ! -e second.qcow2 ] || fail "a half-written image is there under its name"
for command in plan status; do
  kvmnet 3 "$command" second.qcow2
  expect_out '[commit-interrupted]'
done
kvmnet 3 recover --discard second.qcow2
expect_out '[commit-half-done]'
# `patch` finishes it first, and then finds nothing to do.
kvmnet 0 patch second.qcow2
expect_out 'an interrupted patch was completed first'
expect_out 'second.qcow2: nothing to do'
expect_nothing_left
qemu-img check -q second.qcow2
volume second.qcow2 117 after.vol
guest_has_file after.vol /Windows/kvmnet/firstboot.cmd || fail "the commit could not be finished"
