#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The states of an image that it is refused for, with real images: each has its reason code in the JSON output, a
# remedy, exit status 3, and keeps every byte of the image. No appliance: it could not even be started, so that
# --backend auto shows that no refusal is put to a second judge. KVMNET_TEST_BACKENDS=libguestfs has the appliance
# judge all of them.
#
# Not here: read-only-mount and unsupported-system-root, which tools for NTFS cannot make, have unit
# tests only. What opens with its key is in asks-the-appliance.sh and opens-bitlocker.sh.
export KVMNET_BACKEND=direct
read -ra backends <<<"${KVMNET_TEST_BACKENDS:-direct auto}"
[ "${backends[*]}" != "direct auto" ] || export LIBGUESTFS_PATH=/nonexistent
# shellcheck source=tests/integration/own-mounts.sh
source "$(dirname "$0")/own-mounts.sh"
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt61-text.qcow2 nt52.qcow2
volume nt61-text.qcow2 101 sound.raw # a volume is a disk, too: one without partitions
guest_file sound.raw /Windows/System32/config/SYSTEM SYSTEM
guest_file sound.raw /Windows/System32/config/SOFTWARE SOFTWARE

refused() { # CODE ARGUMENT...
  local backend
  for backend in "${backends[@]}"; do
    KVMNET_BACKEND=$backend kvmnet 3 "${@:2}" --json
    expect_out "\"code\":\"$1\""
    ! grep -q '"remedy":""' out || fail "$1 has no remedy"
    expect_json out
    expect_unchanged
  done
}

# The same images are shown to the appliance in one launch, by refusals_test.cc.
while read -r code image; do
  echo "== $code: $image"
  image "$image.qcow2"
  remember "$image.qcow2"
  refused "$code" patch "$image.qcow2"
  rm "$image.qcow2"
done <<'IMAGES'
no-windows not-windows
no-windows blank
several-windows two-roots
hibernated hibernated
fast-startup fast-startup
unclean-ntfs unclean
unclean-ntfs to-be-checked
dirty-hive dirty-hive
no-service-key no-tcpip
damaged-ntfs damaged
no-guest-space full
encrypted-volume bitlocker
encrypted-volume luks
windows-pe windows-pe
setup-in-progress setup-in-progress
unknown-version no-version
record-missing foreign-directory
IMAGES

echo "== unclean-ntfs, though it is accepted"
image unclean.qcow2
remember unclean.qcow2
for backend in direct auto; do
  refused unclean-ntfs patch --backend "$backend" --unclean-ntfs accept unclean.qcow2
  expect_out 'only --backend libguestfs writes to such a one'
done

put() { # FILE PATH: into the guest on disk.raw, which image.qcow2 is made of
  ntfscp -q -f disk.raw "$1" "$2" 2>/dev/null || fail "cannot write $2"
  qemu-img convert -f raw -O qcow2 disk.raw image.qcow2
  remember image.qcow2
}

# A Windows with another value in one of its hives.
while IFS='|' read -r code command hive key value; do
  echo "== $code"
  cp sound.raw disk.raw
  cp "$hive" changed.hive
  printf '[%s]\n%s\n' "$key" "$value" >change.reg
  hivexregedit --merge changed.hive change.reg
  put changed.hive "/Windows/System32/config/$hive"
  # shellcheck disable=SC2086
  refused "$code" $command image.qcow2
done <<'STATES'
no-control-set|patch|SYSTEM|\Select|"Default"=dword:00000007
unknown-architecture|patch|SYSTEM|\ControlSet001\Control\Session Manager\Environment|"PROCESSOR_ARCHITECTURE"=str(1):"z80"
unknown-product-type|patch|SYSTEM|\ControlSet001\Control\ProductOptions|"ProductType"=str(1):"Toaster"
unsupported-version|patch|SOFTWARE|\Microsoft\Windows NT\CurrentVersion|"CurrentVersion"=str(1):"4.0"
service-marked-for-deletion|patch|SYSTEM|\ControlSet001\Services\kvmnet-firstboot|"DeleteFlag"=dword:00000001
hive-not-editable|patch|SYSTEM|\ControlSet001\Services\Tcpip\Parameters|"EnableWsd"=hex(20):00
record-missing|patch|SYSTEM|\ControlSet001\Services\kvmnet-firstboot|"Start"=dword:00000002
record-missing|revert|SYSTEM|\ControlSet001\Services\kvmnet-firstboot|"Start"=dword:00000002
STATES

echo "== damaged-hive"
cp sound.raw disk.raw
{ head -c 4096 SYSTEM; head -c $(($(stat -c %s SYSTEM) - 4096)) /dev/zero; } >changed.hive
put changed.hive /Windows/System32/config/SYSTEM
refused damaged-hive patch image.qcow2

echo "== path-blocked"
cp sound.raw disk.raw
put SOFTWARE /Windows/kvmnet
refused path-blocked patch image.qcow2

echo "== options that do not fit the guest or the image"
truncate -s 4M short.raw
remember nt61-text.qcow2 nt52.qcow2 short.raw
refused option-unsupported patch --congestion-provider bbr2 nt61-text.qcow2
refused no-such-root patch --root /dev/sda7 nt52.qcow2
refused format-mismatch patch --format raw nt52.qcow2
refused format-mismatch patch --format qcow2 short.raw

head -c 70000 /dev/zero >long
kvmnet 2 plan --keys-from-stdin nt52.qcow2 <long
expect_same_file err - <<<'kvmnet: --keys-from-stdin: is longer than 64 KiB, as no key is'
kvmnet 2 plan --key all:file:long nt52.qcow2
expect_same_file err - <<<'kvmnet: --key: long: is longer than 64 KiB, as no key is'
kvmnet 2 plan --key all:file:missing nt52.qcow2
expect_same_file err - <<<'kvmnet: --key: missing: No such file or directory'

echo "== what has become of a patch"
cp --sparse=always sound.raw patched.raw
kvmnet 0 patch patched.raw
cp patched.raw disk.raw
guest_file disk.raw /Windows/System32/config/SYSTEM changed.hive
printf '[\\ControlSet001\\Services\\Tcpip\\Parameters]\n"EnableWsd"=dword:00000005\n' >change.reg
hivexregedit --merge changed.hive change.reg
put changed.hive /Windows/System32/config/SYSTEM
refused changed-since-patch revert image.qcow2
cp patched.raw disk.raw
echo '{}' >record
put record /Windows/kvmnet/record.json
for command in patch revert; do refused record-damaged "$command" image.qcow2; done
cp patched.raw disk.raw
guest_file disk.raw /Windows/kvmnet/record.json record
sed -i 's/"kvmnet_record": 1/"kvmnet_record": 2/' record
put record /Windows/kvmnet/record.json
for command in patch revert; do refused record-newer "$command" image.qcow2; done

echo "== the JSON output of every command"
cp nt52.qcow2 own.qcow2
cp SYSTEM bare
while read -r status command; do
  # shellcheck disable=SC2086
  kvmnet "$status" $command
  expect_json out
done <<'COMMANDS'
0 plan --json own.qcow2
0 patch --json own.qcow2
0 status --json own.qcow2
0 recover --json own.qcow2
0 revert --json own.qcow2
1 patch --json no-such-file.qcow2
1 recover --json no-such-file.qcow2
0 hive plan --json --windows 6.1 bare
0 hive patch --json --windows 6.1 bare
COMMANDS

echo "== names and permissions on the host"
long=$(printf '%0250d' 0)
cp --sparse=always nt52.qcow2 "$long"
remember "$long"
refused name-too-long patch "$long"
rm "$long"
mkdir closed
cp --sparse=always nt52.qcow2 closed/image.qcow2
mount --bind closed closed
mount -o remount,bind,ro closed
remember closed/image.qcow2
refused image-not-writable patch closed/image.qcow2
mount --bind nt52.qcow2 closed/image.qcow2 # writable, in a directory that is not
refused directory-not-writable patch closed/image.qcow2
umount closed/image.qcow2
umount closed
expect_nothing_left
