# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the tests share that kill everything at once. They have original.qcow2 in the working
# directory, and images/image.qcow2 is what kvmnet works on.
# shellcheck disable=SC2154 # work: of lib.sh
umask 000
mkdir bin images

# Processes of this test but itself, all of which have our TMPDIR, or one below it.
others() {
  local process
  for process in /proc/[0-9]*; do
    case $(cat "$process/comm" 2>/dev/null) in bash | '') continue ;; esac
    ! grep -qzE "^TMPDIR=$TMPDIR(/.*)?$" "$process/environ" 2>/dev/null || echo "${process#/proc/}"
  done
}

kill_all() {
  local round
  for round in $(seq 50); do
    # shellcheck disable=SC2046
    kill -KILL $(others) 2>/dev/null || return 0
    sleep 0.1
  done
  fail "still running after $round rounds: $(others)"
}

until_true() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "did not come to: $*"
    sleep 0.02
  done
}
said() { grep -qF -e "$1" err; }
there() { [ -e "$1" ]; }
gone() { said ': commit' && [ ! -e "$1" ]; }
is_back() { there images/image.qcow2 && grep -qs '^kvmnet-journal 2 done' "$journal"; }

nobody_else_may_read() {
  local open
  open=$(find images "$TMPDIR" -mindepth 1 -maxdepth 1 -perm /077 ! -name in-commit)
  [ -z "$open" ] || fail "others can read $open"
}

# killed STEP EXPECTED COMMAND...: starts kvmnet (what it is $doing, with $under before it) on a copy
# of original.qcow2, waits for COMMAND, kills all, recovers. EXPECTED: before or after. is_before and
# is_after (which fails if not) are the test's own. kill_at STEP COMMAND... is its first half.
doing=(patch -v -x)
under=()
kill_at() {
  local step=$1 pid
  shift
  echo "== killed at: $step"
  rm -rf images && mkdir images
  cp original.qcow2 images/image.qcow2
  chmod 600 images/image.qcow2
  PATH=$work/bin:$PATH "${under[@]}" "$KVMNET" "${doing[@]}" images/image.qcow2 >out 2>err &
  pid=$!
  until_true 120 "$@"
  # Looking for all of them takes its time, in which a run that nothing holds would come to its end.
  # shellcheck disable=SC2046
  [ ${#under[@]} -ne 0 ] || kill -STOP "$pid" $(pgrep -P "$pid")
  nobody_else_may_read
  kill_all
  wait "$pid" 2>/dev/null || true
}

killed() {
  local step=$1 expected=$2
  kill_at "$step" "${@:3}"
  [ ! -e images/image.qcow2 ] || is_before || is_after
  if [ -e images/image.qcow2.kvmnet-commit ]; then
    kvmnet 3 plan images/image.qcow2
    expect_out '[commit-interrupted]'
  fi
  kvmnet 0 recover images/image.qcow2
  expect_nothing_left
  qemu-img check -q images/image.qcow2
  expect_equal "$(stat -c %a images/image.qcow2)" 600 "mode"
  case $expected in
  before) is_before || fail "killed at $step: the image has changed" ;;
  after) is_after ;;
  esac
}

# delayed SYSCALL FILE WHEN: holds kvmnet there for the time that we need.
delayed() {
  rm -f "$work/trace"
  under=(strace -f --seccomp-bpf -o "$work/trace" -P "$work/images$2" -e "trace=$1"
    -e "inject=$1:delay_enter=60000000:when=$3")
}
# Somebody is held there: the trace ends within a line, and stays so.
held() {
  local size
  [ -s "$work/trace" ] && [ "$(tail -c 1 "$work/trace" | wc -l)" = 0 ] || return 1
  size=$(stat -c %s "$work/trace")
  sleep 0.3
  [ "$(stat -c %s "$work/trace")" = "$size" ]
}
journal=images/image.qcow2.kvmnet-journal

# The next commits of qemu-img are killed at their third write, and leave images/in-commit.
cut_off_commits() {
  cat >bin/qemu-img <<SCRIPT
$qemu_img_start
[ "\$1" = commit ] || exec $(command -v qemu-img) "\$@"
strace -f -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=3 \
  $(command -v qemu-img) "\$@"
touch $work/images/in-commit
exec sleep 1000
SCRIPT
  chmod +x bin/qemu-img
}
