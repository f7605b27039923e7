#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The appliance dies, or hangs, in each phase: a clear failure, the image as it was, nothing left.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt100-text.qcow2
remember nt100-text.qcow2

qemu() { pgrep -f "qemu-system.*$work/nt100-text.qcow2.kvmnet-overlay"; }

# hit SIGNAL PHASE PATTERN OPTION...: sends it to the appliance when the phase begins.
hit() {
  local signal=$1 phase=$2 pattern=$3 status=0 pid
  shift 3
  echo "== $signal: $phase"
  : >err
  "$KVMNET" patch -v "$@" nt100-text.qcow2 >out 2>err &
  pid=$!
  until grep -q ": $phase" err && qemu >/dev/null; do
    kill -0 "$pid" 2>/dev/null || { cat out err >&2 && fail "ended before phase $phase"; }
    sleep 0.02
  done
  # It may not come to the removal of its own file there.
  grep -qz "^TMPDIR=$TMPDIR/kvmnet" "/proc/$(qemu)/environ" || fail "QEMU has the TMPDIR of others"
  kill -"$signal" "$(qemu)"
  wait "$pid" || status=$?
  expect_equal "$status" 1 "exit status"
  grep -qE "$pattern" out || { cat out >&2 && fail "not in the output: $pattern"; }
  expect_nothing_left
  expect_unchanged
}

phases=(launch inspect probe apply verify)
for phase in "${phases[@]}"; do
  hit KILL "$phase" 'failed: '
done
for i in "${!phases[@]}"; do
  # A short phase may be over when the signal arrives. The limit is longer than a launch takes on a busy
  # machine, in which nothing is heard of it.
  later=$(IFS='|' && echo "${phases[*]:i}")
  hit STOP "${phases[i]}" "gave up in phase '($later)'" --timeout 90
done
