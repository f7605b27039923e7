#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --backend direct by an ordinary user without any privilege, in a root directory that has nothing
# but the packages that README names for it and what those depend on, and no device but /dev/null.
# KVMNET_WITHOUT_LIBGUESTFS: the program as it is when built so.
if [ -z "${KVMNET_TEST_USER-}" ]; then
  user=root as_root=
  [ "$(id -u)" -eq 0 ] || user=ordinary as_root=-r
  # shellcheck disable=SC2086
  KVMNET_TEST_USER=$user exec unshare -mpnif --kill-child $as_root "$0"
fi
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
root=$work/root
trap 'umount -l "$root/dev/null" "$root/proc"; rm -rf "$work"' EXIT
packages=(libblkid1 libfmt9 libhivex0 libnettle8 libntfs-3g89 libseccomp2 libnbd0 qemu-utils)
mount --make-rprivate /

files_of() { # PACKAGE...: theirs, and of all that they depend on
  apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$@" | grep -v '^[ |<]' | sort -u | xargs dpkg-query -L | sort -u |
    grep -vE '^/usr/share/(doc|man|locale)/|^/\.$' |
    while read -r file; do [ -d "$file" ] && [ ! -L "$file" ] || echo "${file#/}"; done
}

make_root() {
  local name
  for name in "${packages[@]}"; do
    grep -qw "$name" "$KVMNET_TEST_SUPPORT/../../README.md" || fail "README does not name $name"
  done
  mkdir -p "$root"/usr/{lib,lib64,bin,sbin} "$root"/{proc,dev,guests,tmp}
  for name in lib lib64 bin sbin; do ln -s "usr/$name" "$root/$name"; done
  files_of "${packages[@]}" >files
  tar -cf - -C / -T files | tar -xf - -C "$root" --no-same-owner --keep-directory-symlink
  ! find "$root" -name '*guestfs*' -o -name '*qemu-system*' | grep . || fail "there is more than needed"
  cp "$KVMNET" "$root/usr/bin/kvmnet"
  cp "$KVMNET_WITHOUT_LIBGUESTFS" "$root/usr/bin/kvmnet-without-libguestfs"
  touch "$root/dev/null"
  mount --bind /dev/null "$root/dev/null"
  mount -t proc proc "$root/proc"
}

in_root() { # COMMAND...
  if [ "$KVMNET_TEST_USER" = root ]; then
    env -i PATH="$PATH" chroot --userspec=65534:65534 --groups= "$root" "$@"
  else
    env -i PATH="$PATH" unshare -U --map-user=65534 --map-group=65534 --root="$root" "$@"
  fi
}

# As kvmnet in lib.sh.
kvmnet_in_root() { # STATUS PROGRAM ARGUMENT...
  local expected=$1 status=0
  shift
  in_root "$@" >out 2>err || status=$?
  [ "$status" = "$expected" ] || { cat out err >&2; fail "$*: exit status $status, not $expected"; }
}

make_root
cp --sparse=always "$KVMNET_TEST_IMAGES"/{nt100-text,nt52,luks}.qcow2 "$root/guests"
if [ "$KVMNET_TEST_USER" = root ]; then chown -R 65534:65534 "$root/guests"; fi
chmod 1777 "$root/tmp"

kvmnet_in_root 0 kvmnet patch --backend direct /guests/nt100-text.qcow2
kvmnet_in_root 0 kvmnet-without-libguestfs patch /guests/nt52.qcow2
for program in kvmnet kvmnet-without-libguestfs; do
  kvmnet_in_root 0 "$program" plan --backend direct --exit-code \
    /guests/nt100-text.qcow2 /guests/nt52.qcow2
  expect_out 'nothing to do'
done
volume "$root/guests/nt52.qcow2" 1 nt52
guest_file nt52 /WINDOWS/system32/config/system SYSTEM
expect_dword SYSTEM 'ControlSet001\Services\AFD\Parameters' DefaultSendWindow 0x100000
volume "$root/guests/nt100-text.qcow2" 117 nt100
expect_private nt100 /Windows/kvmnet/firstboot.cmd

# What is missing is named, and what would help.
kvmnet_in_root 1 kvmnet plan --backend libguestfs /guests/nt52.qcow2
expect_out "Debian's package libguestfs0"
expect_out '--backend direct does without'
kvmnet_in_root 1 kvmnet-without-libguestfs plan --backend libguestfs /guests/nt52.qcow2
expect_out 'built without libguestfs'
kvmnet_in_root 3 kvmnet plan --backend auto --key all:key:secret /guests/luks.qcow2
expect_out 'an appliance may read this disk, but libguestfs cannot be loaded'

expect_equal "$(cd "$root" && find guests tmp -mindepth 1 | sort | xargs)" \
  'guests/luks.qcow2 guests/nt100-text.qcow2 guests/nt52.qcow2' 'what is there at the end'
