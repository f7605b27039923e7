#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `kvmnet hive patch` killed at each call with which it changes something: the hive is as before or as
# after, and the next run finishes and leaves nothing behind. Two at once do not both write.
# shellcheck source=tests/faults/bare-hive.sh
source "$(dirname "$0")/bare-hive.sh"

patch() { "$KVMNET" hive patch now/SYSTEM --windows 10.0; }

fresh() { # DIRECTORY
  rm -rf now
  cp -r "$1" now
}

# Logs that a replay would take: their header is there.
valid_logs() { find now -name 'SYSTEM.LOG?' -exec grep -lae '^regf' {} + | wc -l; }

# Leaves in ./after what a run that nobody disturbs makes.
finish_undisturbed() {
  fresh "$1"
  patch >out
  cp now/SYSTEM after
  expect_equal "$(valid_logs)" 0 "logs that are valid"
}

expect_finished() { # WHAT
  patch >out 2>err || { cat out err >&2; fail "$1: the next run does not finish"; }
  expect_same_file after now/SYSTEM
  expect_equal "$(valid_logs)" 0 "$1: logs that are valid"
  expect_equal "$(find now -mindepth 1 ! -name 'SYSTEM' ! -name 'SYSTEM.LOG?')" '' "$1: leftovers"
}

# Kills all of it at the NUMBERth CALL of one of its threads or of the process that parses the hive, with
# FILE if there is one; false where there are not so many.
killed_at() { # DIRECTORY CALL NUMBER [FILE]
  local status=0 state
  fresh "$1"
  # In a shell of its own, which keeps to itself that it was killed.
  (
    exec 2>err
    strace -f -qq -o trace ${4:+-P "$4"} -e "trace=$2" -e "inject=$2:signal=KILL:when=$3" \
      "$KVMNET" hive patch now/SYSTEM --windows 10.0 >out
    exit $?
  ) || status=$?
  [ "$status" != 0 ] || return 1
  if cmp -s "$1/SYSTEM" now/SYSTEM; then
    state=before
  else
    expect_same_file after now/SYSTEM
    state=after
  fi
  # A log that is invalid, or gone, would be lost to a hive that needs it.
  if [ "$state" = before ]; then
    expect_same_file "$1/SYSTEM.LOG1" now/SYSTEM.LOG1
    expect_same_file "$1/SYSTEM.LOG2" now/SYSTEM.LOG2
  fi
  echo "killed at $2 $3 ${4-}: $state, exit status $status, left: $(cd now && echo SYSTEM.kvmnet-*)"
  expect_finished "killed at $2 $3"
}

for kind in dirty clean; do
  finish_undisturbed "$kind"
  for call in flock copy_file_range,sendfile fsync ftruncate pwrite64 write fchmod linkat rename unlink; do
    number=1
    while killed_at "$kind" "$call" "$number" >>"$kind.kills"; do number=$((number + 1)); done
  done
  # All writes are counted together above, and the process that parses the hive has more of them.
  killed_at "$kind" write 1 "$work/now/SYSTEM.LOG1" >>"$kind.kills" || fail "no write to a log"
  cat "$kind.kills"
  # Kills that never meet the hive in each of its states prove nothing.
  for state in before after; do
    grep -q ": $state," "$kind.kills" || fail "$kind: no kill found the hive as it was $state"
  done
  grep -q 'left: SYSTEM.kvmnet-new' "$kind.kills" || fail "$kind: no kill left a new hive behind"
  grep -q 'left: SYSTEM.kvmnet-unfinished' "$kind.kills" || fail "$kind: no kill left logs behind"
done

# The first is held back at its rename; the second sees its lock, on the old file and on the new one.
finish_undisturbed dirty
fresh dirty
strace -f -qq -o trace -e trace=rename,fsync -e inject=rename:delay_exit=3000000 \
  "$KVMNET" hive patch now/SYSTEM --windows 10.0 >first 2>&1 &
first=$!
deadline=$((SECONDS + 60))
until [ -e now/SYSTEM.kvmnet-unfinished ]; do
  [ "$SECONDS" -lt "$deadline" ] || fail "the first run does not come to its rename"
  sleep 0.02
done
refused=0
while kill -0 "$first" 2>/dev/null && [ -e now/SYSTEM.kvmnet-unfinished ]; do
  status=0
  patch >out 2>err || status=$?
  [ "$status" != 3 ] || { expect_out '[image-in-use]'; refused=$((refused + 1)); }
  [ "$status" = 3 ] || [ ! -e now/SYSTEM.kvmnet-unfinished ] || fail "two runs at once: $(cat out err)"
done
wait "$first" || fail "the first run: $(cat first)"
[ "$refused" -gt 0 ] || fail "the second run was never there in time"
expect_finished "after two at once"
