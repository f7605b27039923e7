#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both ways to a guest's files give the same answers: facts, plan, refusals and status of every sample image;
# and after a patch the same files, permissions, registry and status; and each reverts what the other has done.
#   backends-agree.sh [IMAGE...]    without IMAGE: all there are
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
if [ $# -eq 0 ]; then
  cd "$KVMNET_TEST_IMAGES"
  set -- *.qcow2 *.raw
  cd "$work"
fi
image "$@"
remember "$@"

# Everything of a report but how and how long, and the words of the file system driver.
answers() {
  python3 -c '
import json, re, sys
for line in sys.stdin:
    report = json.loads(line)
    for key in ("backend", "accelerator", "phases"):
        report.pop(key, None)
    if "reason" in report:
        report["reason"]["message"] = re.sub(r"(: mounting [^ :]+): .*", r"\1", report["reason"]["message"])
    print(json.dumps(report, indent=1))' <out
}

ask() { # OUT BACKEND COMMAND...
  local status=0
  "$KVMNET" "${@:3}" --json --backend "$2" >out 2>err || status=$?
  expect_out "\"backend\":\"$2\""
  answers >"$1-$2"
  echo "exit status $status" >>"$1-$2"
}

both() { # OUT COMMAND...
  ask "$1" libguestfs "${@:2}"
  ask "$1" direct "${@:2}"
  expect_same_file "$1-libguestfs" "$1-direct"
  expect_unchanged
}

both statuses status "$@"
for name; do
  case $name in
  two-roots*) both roots plan --root first "$name" ;;
  dirty-hive*) both primary plan --dirty-hive use-primary "$name" ;;
  esac
done
both answers plan "$@"

# What the reports call pending can be patched.
mapfile -t patchable < <(python3 -c '
import json
decoder, text = json.JSONDecoder(), open("answers-direct").read().split("exit status")[0]
at = 0
while at < len(text.rstrip()):
    report, end = decoder.raw_decode(text[at:])
    at += end + 1
    if report["status"] == "pending":
        print(report["image"], report["guest"]["device"][-1])')
[ ${#patchable[@]} -gt 0 ] || fail "nothing to patch"

registry() { # VOLUME OUT
  local path
  for path in /Windows/System32/config/SYSTEM /WINDOWS/system32/config/system \
    /WinNT.Custom/SYSTEM32/Config/System; do
    if ntfscat "$1" "$path" >hive 2>/dev/null; then
      hivexregedit --export hive "\\" >"$2"
      return
    fi
  done
  fail "no SYSTEM hive in $1"
}

# Every file with the hashes of its content and its permissions, and every directory with the latter.
contents() { # VOLUME OUT
  local line at=/ content
  ntfsls -R -F "$1" >listing 2>/dev/null
  while IFS= read -r line; do
    content=directory
    case $line in
    /*:)
      at=${line%:}
      continue
      ;;
    '' | ./ | ../) continue ;;
    */) ;;
    *) content=$(ntfscat -f "$1" "$at$line" 2>/dev/null | sha256sum) || content=unreadable ;;
    esac
    printf '%s %s %s\n' "$at$line" "$content" \
      "$(ntfssecaudit -v "$1" "$at${line%/}" 2>/dev/null | sed -n 's/^ *[0-9a-f]\{6\}  //p' | sha256sum)"
  done <listing | LC_ALL=C sort >"$2"
  grep -qi '/system32/config/system ' "$2" || fail "the files of $1 are not all there"
}

whole_volume() { # IMAGE NUMBER: its partition, into IMAGE.vol
  local start size
  qemu-img convert -f "$format" -O raw "$1.$format" "$1.disk"
  read -r start size < <(sfdisk -J "$1.disk" | python3 -c "
import json, sys
for p in json.load(sys.stdin)['partitiontable']['partitions']:
    if p['node'].endswith('$2'): print(p['start'], p['size'])")
  dd status=none if="$1.disk" of="$1.vol" skip="$start" count="$size"
}

for entry in "${patchable[@]}"; do
  read -r name number <<<"$entry"
  format=${name##*.}
  for backend in libguestfs direct; do
    cp --sparse=always "$name" "$backend.$format"
    kvmnet 0 patch --backend "$backend" "$backend.$format"
    whole_volume "$backend" "$number"
    ntfsresize --info --force "$backend.vol" >/dev/null || fail "$name: inconsistent after $backend"
    registry "$backend.vol" "$backend.reg"
    contents "$backend.vol" "$backend.files"
  done
  expect_same_file libguestfs.reg direct.reg
  expect_same_file libguestfs.files direct.files
  # Each takes the other's work for done, says the same of it, and takes it back.
  kvmnet 0 plan --exit-code --backend libguestfs "direct.$format"
  kvmnet 0 plan --exit-code --backend direct "libguestfs.$format"
  both status status "direct.$format"
  kvmnet 0 revert --backend libguestfs "direct.$format"
  kvmnet 0 revert --backend direct "libguestfs.$format"
  for backend in libguestfs direct; do
    whole_volume "$backend" "$number"
    registry "$backend.vol" "$backend.reverted"
    contents "$backend.vol" "$backend.files"
  done
  expect_same_file libguestfs.reverted direct.reverted
  expect_same_file libguestfs.files direct.files
done
