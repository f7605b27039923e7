#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both ways to a guest's files give the same answers: facts, plan and refusals of every sample image;
# and after a patch the same files, and the same registry.
#   backends-agree.sh [IMAGE...]    without IMAGE: all there are
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
if [ $# -eq 0 ]; then
  cd "$KVMNET_TEST_IMAGES"
  set -- *.qcow2
  cd "$work"
fi
image "$@"
remember "$@"

# Everything of a report but how and how long.
answers() {
  python3 -c '
import json, sys
for line in sys.stdin:
    report = json.loads(line)
    for key in ("backend", "accelerator", "phases"):
        report.pop(key, None)
    print(json.dumps(report, indent=1))' <out
}

plan() { # BACKEND
  "$KVMNET" plan --json --backend "$1" "${@:2}" >out 2>err || true
  expect_out "\"backend\":\"$1\""
  answers >"answers-$1"
}

plan libguestfs "$@"
plan direct "$@"
expect_same_file answers-libguestfs answers-direct
expect_unchanged

# What the reports call pending can be patched.
mapfile -t patchable < <(python3 -c '
import json
decoder, text = json.JSONDecoder(), open("answers-direct").read()
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

for entry in "${patchable[@]}"; do
  read -r name number <<<"$entry"
  for backend in libguestfs direct; do
    cp --sparse=always "$name" "$backend.qcow2"
    kvmnet 0 patch --backend "$backend" "$backend.qcow2"
    qemu-img convert -O raw "$backend.qcow2" "$backend.raw"
    read -r start size < <(sfdisk -J "$backend.raw" | python3 -c "
import json, sys
for p in json.load(sys.stdin)['partitiontable']['partitions']:
    if p['node'].endswith('$number'): print(p['start'], p['size'])")
    dd status=none if="$backend.raw" of="$backend.vol" skip="$start" count="$size"
    ntfsresize --info --force "$backend.vol" >/dev/null || fail "$name: inconsistent after $backend"
    registry "$backend.vol" "$backend.reg"
    ntfsls -R -s "$backend.vol" >"$backend.files" 2>/dev/null || true
  done
  expect_same_file libguestfs.reg direct.reg
  expect_same_file libguestfs.files direct.files
  # Each takes the other's work for done.
  kvmnet 0 plan --exit-code --backend libguestfs direct.qcow2
  kvmnet 0 plan --exit-code --backend direct libguestfs.qcow2
done
