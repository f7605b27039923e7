#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An image with a chain of backing files of several formats, in other directories, by relative and absolute
# names: all of the chain is read, and nothing but the image is changed.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt52.qcow2
mkdir base middle middle/deep leaf
qemu-img convert -O raw nt52.qcow2 base/disk.raw
rm nt52.qcow2

# overlay DIRECTORY NAME FORMAT BACKING [OPTION...]: with a sector of its own in front of the partition.
sector=100
overlay() {
  (cd "$1" && qemu-img create -q -f qcow2 -F "$3" -b "$4" "${@:5}" "$2")
  qemu-io -f qcow2 -c "write -q -P $sector $((sector * 512)) 512" "$1/$2"
  sector=$((sector + 1))
}
overlay base one.qcow2 raw disk.raw
overlay middle two.qcow2 qcow2 ../base/one.qcow2 -o cluster_size=4k
overlay middle/deep three.qcow2 qcow2 ../two.qcow2 -o compat=0.10
overlay base four.qcow2 qcow2 "$work/middle/deep/three.qcow2" -o cluster_size=2M
overlay leaf image.qcow2 qcow2 ../base/four.qcow2 -o extended_l2=on,cluster_size=128k
find base middle -type f -exec sha256sum {} + >remembered

patched() { # IMAGE
  volume "$1" 1 after.vol
  ntfsfix -n after.vol >/dev/null
  guest_file after.vol /WINDOWS/system32/config/system after.hive
  expect_dword after.hive 'ControlSet001\Services\Tcpip\Parameters' TcpWindowSize 0x100000
  qemu-img convert -f qcow2 -O raw "$1" whole.raw
  local number
  for number in 100 101 102 103 104; do
    expect_equal "$(od -An -tu1 -j $((number * 512)) -N 1 whole.raw | tr -d ' ')" "$number" "sector $number"
  done
  rm whole.raw
}

cp leaf/image.qcow2 leaf/second.qcow2
kvmnet 0 patch --output copy.qcow2 leaf/second.qcow2
patched copy.qcow2
cd leaf # names are relative to where the image is, not to where we are
"$KVMNET" patch --json image.qcow2 >../out 2>../err || fail "patch: $(cat ../out)"
cd ..
expect_out '"status":"patched"'
patched leaf/image.qcow2
kvmnet 0 plan --exit-code leaf/image.qcow2
kvmnet 0 revert leaf/image.qcow2
expect_unchanged
expect_nothing_left
