#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both ways to a guest's files give the same answers: facts, plan and refusals of every sample image;
# and after a patch the same files, registry and status; and each reverts what the other has done.
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

whole_volume() { # IMAGE NUMBER: its partition, into IMAGE.vol
  local start size
  qemu-img convert -O raw "$1.qcow2" "$1.raw"
  read -r start size < <(sfdisk -J "$1.raw" | python3 -c "
import json, sys
for p in json.load(sys.stdin)['partitiontable']['partitions']:
    if p['node'].endswith('$2'): print(p['start'], p['size'])")
  dd status=none if="$1.raw" of="$1.vol" skip="$start" count="$size"
}

for entry in "${patchable[@]}"; do
  read -r name number <<<"$entry"
  for backend in libguestfs direct; do
    cp --sparse=always "$name" "$backend.qcow2"
    kvmnet 0 patch --backend "$backend" "$backend.qcow2"
    whole_volume "$backend" "$number"
    ntfsresize --info --force "$backend.vol" >/dev/null || fail "$name: inconsistent after $backend"
    registry "$backend.vol" "$backend.reg"
    ntfsls -R -s "$backend.vol" >"$backend.files" 2>/dev/null || true
  done
  expect_same_file libguestfs.reg direct.reg
  expect_same_file libguestfs.files direct.files
  # Each takes the other's work for done, says the same of it, and takes it back.
  kvmnet 0 plan --exit-code --backend libguestfs direct.qcow2
  kvmnet 0 plan --exit-code --backend direct libguestfs.qcow2
  for backend in libguestfs direct; do
    kvmnet 0 status --json --backend "$backend" direct.qcow2
    answers >"status-$backend"
  done
  expect_same_file status-libguestfs status-direct
  kvmnet 0 revert --backend libguestfs direct.qcow2
  kvmnet 0 revert --backend direct libguestfs.qcow2
  for backend in libguestfs direct; do
    whole_volume "$backend" "$number"
    registry "$backend.vol" "$backend.reverted"
  done
  expect_same_file libguestfs.reverted direct.reverted
done
