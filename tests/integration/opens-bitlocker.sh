#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Volumes that BitLocker of Windows itself has made, as cryptsetup's authors test with them: opened with
# the password or the recovery key, patched, taken back. Nothing of them is in this repository, and
# Debian does not package them: they come with the source of its cryptsetup.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
"$KVMNET_TEST_SUPPORT/../../scripts/debian-source" cryptsetup source
tar -xf source/tests/bitlk-images.tar.xz

# of VOLUME WORD: what is told of a volume there.
of() { sed -n "/^\[$1\]\$/,/^\$/s/^$2=//p" bitlk-images/images.conf; }

# The files as another program sees them, each by its path and checksum; and the hive of its own.
guest_files() { # IMAGE PASSWORD OUT
  guestfish --ro --format=qcow2 -a "$1" >"$3" 2>fish.err <<FISH || fail "$(cat fish.err)"
run
debug sh "printf %s $2 >/tmp/key; cryptsetup open --readonly --type bitlk --key-file /tmp/key /dev/disk/by-partuuid/6269746c-01 inner"
mount-ro /dev/mapper/inner /
checksums-out sha256 / -
download /Windows/System32/config/SYSTEM $3.hive
FISH
}

# bitlocker_parts IMAGE OUT: BitLocker's own header and metadata, which nobody may write to. The volume begins at 1 MiB; the header says at 176 where the three blocks of metadata are ([libbde]
# 2.1), each of 64 KiB.
bitlocker_parts() { # IMAGE OUT
  local at
  qemu-img convert -O raw "$1" disk.tmp
  for at in 0 $(od -A n -t u8 -j $((1048576 + 176)) -N 24 disk.tmp); do
    dd if=disk.tmp bs=512 skip=$(((1048576 + at) / 512)) count=$((at == 0 ? 1 : 128)) status=none
  done >"$2"
  rm disk.tmp
}

for volume in bitlk-aes-xts-128 bitlk-aes-cbc-elephant-128; do
  echo "== $volume"
  password=$(of $volume PW) recovery=$(of $volume RP)
  "$KVMNET_TEST_SUPPORT/make-images" --tools "$KVMNET_TEST_TOOLS" --out . \
    --bitlocker "bitlk-images/$volume.img" "$password" bitlocker-windows
  image=bitlocker-windows.qcow2
  remember $image
  bitlocker_parts $image parts.before
  guest_files $image "$password" before

  kvmnet 3 patch $image
  expect_out '[encrypted-volume]'
  kvmnet 3 patch --key /dev/sda1:key:wrong $image
  expect_out '[wrong-key]'
  expect_unchanged

  kvmnet 0 patch --json --backend auto --key "/dev/sda1:key:$password" $image
  expect_json out
  expect_out '"backend":"libguestfs"'
  guest_files $image "$password" after
  grep -q ' ./Windows/kvmnet/firstboot.cmd$' after || fail "there is no script"
  expect_dword after.hive 'ControlSet001\Services\kvmnet-firstboot' Start 2

  printf '%s\n' "$recovery" >recovery
  kvmnet 0 status --keys-from-stdin $image <recovery
  expect_out 'first boot: pending'
  kvmnet 0 revert --key "all:file:recovery" $image
  guest_files $image "$password" reverted
  # The hive's own bytes are others: only what is in it is as it was.
  expect_same_file <(grep -v '/config/SYSTEM$' before) <(grep -v '/config/SYSTEM$' reverted)
  expect_same_file <(hivexregedit --export before.hive "\\") <(hivexregedit --export reverted.hive "\\")
  bitlocker_parts $image parts.after
  expect_same_file parts.before parts.after
  expect_nothing_left
done
