# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The words that integration tests are written in. Each test is a script of its own: it copies
# sample images, runs kvmnet on them, and reads the result back with programs that are not ours.
#
# From CMake: KVMNET (the program), KVMNET_TEST_TOOLS (hive-tool), KVMNET_TEST_IMAGES,
# KVMNET_FIRSTBOOT_TEST (what boots a patched guest under Wine).
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d "${TMPDIR:-/tmp}/kvmnet-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp"
# A temporary directory of our own shows what is left behind; the built appliance stays shared.
export LIBGUESTFS_CACHEDIR=${LIBGUESTFS_CACHEDIR:-${TMPDIR:-/var/tmp}}
export TMPDIR=$work/tmp
cd "$work"

fail() {
  echo "FAIL: $*" >&2
  exit 1
}

# How a qemu-img of ours begins: like the real one it does nothing before it is told to.
# shellcheck disable=SC2016,SC2034 # for others
qemu_img_start='#!/bin/sh
[ "$1" != --trace ] || { : <"${2#events=}"; shift 2; }'

# A test that needs hives of real machines is skipped without them; scripts/test counts that.
requires_real_hives() {
  if [ -z "${KVMNET_TEST_HIVES-}" ]; then
    echo "SKIP: KVMNET_TEST_HIVES is not set"
    exit 77
  fi
}

# image NAME...: fresh copies of sample images in the working directory.
image() {
  local name
  for name; do
    cp --reflink=auto --sparse=always "$KVMNET_TEST_IMAGES/$name" .
  done
}

# kvmnet STATUS ARGUMENT...: runs it and expects the exit status; output in ./out and ./err.
kvmnet() {
  local expected=$1 status=0
  shift
  "$KVMNET" "$@" >out 2>err || status=$?
  [ "$status" = "$expected" ] || {
    cat out err >&2
    fail "kvmnet $*: exit status $status, not $expected"
  }
}

expect_out() { grep -qF -e "$1" out || { cat out >&2; fail "not in the output: $1"; }; }
expect_no_out() { ! grep -qF -e "$1" out || { cat out >&2; fail "in the output: $1"; }; }
expect_err() { grep -qF -e "$1" err || { cat err >&2; fail "not on standard error: $1"; }; }
expect_equal() { [ "$1" = "$2" ] || fail "${3-}: '$1' is not '$2'"; }
expect_same_file() { cmp "$1" "$2" >&2 || fail "$1 and $2 differ"; }

# remember FILE...; expect_unchanged: no byte of the remembered files has changed.
remember() { sha256sum -- "$@" >remembered; }
expect_unchanged() { sha256sum --quiet -c remembered >&2 || fail "an image has changed"; }

# Nothing of ours stays beside an image or in the temporary directory, and no process: all of them
# have our TMPDIR in their environment.
expect_nothing_left() {
  local left process
  left=$(find . -name '*.kvmnet-*' -o -path './tmp/*')
  [ -z "$left" ] || fail "left behind: $left"
  for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm" 2>/dev/null)" != bash ] || continue # this test itself
    ! grep -qzE "^TMPDIR=$TMPDIR(/.*)?$" "$process/environ" 2>/dev/null ||
      fail "still running: $(tr '\0' ' ' <"$process/cmdline")"
  done
}

# volume IMAGE MIB OUT: the partition of a sample image that starts at MIB, as a raw file.
volume() {
  local format=qcow2 start=$(($2 * 2048)) size
  case $1 in *.raw) format=raw ;; esac
  qemu-img convert -f "$format" -O raw "$1" disk.tmp
  size=$(sfdisk -d disk.tmp | sed -n "s/.*start= *$start, size= *\([0-9]*\),.*/\1/p")
  [ -n "$size" ] || fail "$1 has no partition at $2 MiB"
  qemu-img convert -O raw --image-opts \
    "driver=raw,offset=$((start * 512)),size=$((size * 512)),file.driver=file,file.filename=disk.tmp" "$3"
  rm disk.tmp
}

# guest_file VOLUME PATH OUT: a file of an NTFS volume, read with ntfsprogs.
guest_file() { ntfscat -f "$1" "$2" >"$3" 2>/dev/null || fail "$2 cannot be read from $1"; }
guest_has_file() { ntfscat -f "$1" "$2" >/dev/null 2>&1; }

# expect_private VOLUME PATH: only SYSTEM and Administrators have access, by ntfs-3g's own auditor.
# For a directory that goes for what is made in it later, too. ([MS-DTYP] 2.4.6: header, DACL with
# two entries, owner and group.)
expect_private() {
  local audit inherit=00
  audit=$(ntfssecaudit -v "$1" "$2" 2>/dev/null) || fail "$2: its permissions cannot be read"
  ! grep -q '^Directory ' <<<"$audit" || inherit=03
  local system=010100000000000512000000 administrators=01020000000000052000000020020000
  expect_equal "$(sed -n 's/^ *[0-9a-f]\{6\}  //p' <<<"$audit" | tr -d ' \n')" \
    "$(printf '%s' 0100049048000000580000000000000014000000 0200340002000000 \
      "00${inherit}1400ff011f00" $system "00${inherit}1800ff011f00" $administrators \
      $administrators $administrators)" "the descriptor of $2"
}

# hive_value HIVE KEY NAME: with hivex' own program.
hive_value() { hivexget "$1" "$2" "$3"; }
# expect_json FILE...: the lines are what docs/report.schema.json says.
expect_json() {
  "$KVMNET_TEST_SUPPORT/check-json" "$KVMNET_TEST_SUPPORT/../../docs/report.schema.json" "$@" >&2 ||
    fail "JSON that the schema does not allow"
}

# dword NUMBER: as hivexget prints it.
expect_dword() { # HIVE KEY NAME NUMBER
  expect_equal "$(hive_value "$1" "$2" "$3")" "$(($4))" "$2\\$3"
}

# expect_only_these_changes BEFORE AFTER: reglookup's list of both hives differs by lines that were
# added or changed for the paths on standard input (one a line) and by nothing else.
expect_only_these_changes() {
  reglookup "$1" 2>/dev/null | cut -d, -f1-3 | sort >before.list
  reglookup "$2" 2>/dev/null | cut -d, -f1-3 | sort >after.list
  diff before.list after.list | sed -n 's/^[<>] \([^,]*\),.*/\1/p' | sort -u >changed.list || true
  sort -u >expected.list
  diff expected.list changed.list >&2 || fail "the hive differs in other places than expected"
}
