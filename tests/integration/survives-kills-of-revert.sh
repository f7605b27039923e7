#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Everything is killed at once while `revert` writes to an image: that is as the patch has left it, or
# as it was before the patch, or absent until `recover`. And what `recover` says where it must not go
# on. No appliance.
export KVMNET_BACKEND=direct
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/kills.sh
source "$(dirname "$0")/kills.sh"
image nt52.qcow2
exported() { # IMAGE: all of its SYSTEM hive
  volume "$1" 1 image.vol
  guest_file image.vol /WINDOWS/system32/config/system image.hive
  hivexregedit --export image.hive "\\" | sha256sum
}
unpatched=$(exported nt52.qcow2)
kvmnet 0 patch nt52.qcow2
[ "$(exported nt52.qcow2)" != "$unpatched" ] || fail "not patched"
mv nt52.qcow2 original.qcow2

is_before() { cmp -s original.qcow2 images/image.qcow2; }
is_after() {
  expect_equal "$(exported images/image.qcow2)" "$unpatched" "the reverted hive"
  ! guest_has_file image.vol /WINDOWS/kvmnet/record.json || fail "the record is still there"
}

refused() { # CODE ARGUMENT...: and no file has changed
  remember images/*
  kvmnet 3 "${@:2}" --json
  expect_out "\"code\":\"$1\""
  expect_json out
  expect_unchanged
}

doing=(revert -v)
delayed fsync /image.qcow2.kvmnet-overlay 1
killed verified before said ': prepare'
delayed renameat2 /image.qcow2 1
killed journal-written after grep -qs '^kvmnet-journal [0-9]* ready' "$journal"
delayed fsync '' 2
killed image-renamed after there images/image.qcow2.kvmnet-commit

delayed fsync /image.qcow2.kvmnet-journal 3
killed image-synced after grep -qs '^kvmnet-journal [0-9]* done' "$journal"
delayed unlink /image.qcow2.kvmnet-overlay 1
killed journal-removed after gone "$journal"
under=()
kvmnet 0 revert images/image.qcow2
expect_out 'nothing to do'

# No way on where somebody else has written to the image meanwhile.
delayed fsync '' 2
kill_at image-renamed there images/image.qcow2.kvmnet-commit
qemu-io -f qcow2 -c 'write -q -P 0x5a 100M 64k' images/image.qcow2.kvmnet-commit >/dev/null
refused commit-conflict recover images/image.qcow2
