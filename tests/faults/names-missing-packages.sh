#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Where a library or a program is missing that kvmnet needs only when it comes to it, the message names
# the package. Each is hidden from a kvmnet with mounts of its own.
# shellcheck source=tests/integration/own-mounts.sh
source "$(dirname "$0")/../integration/own-mounts.sh"
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/../integration/lib.sh"

trap 'umount -l "$work"/layers-* && rm -rf "$work"' EXIT
truncate -s 10M disk.raw

# hide FILE: its directory as it is, but for what has that name; elsewhere a link may lead to it.
hide() {
  local directory layers
  directory=$(dirname "$(realpath "$1")")
  layers=$work/layers-$(basename "$1")
  mkdir "$layers"
  mount -t tmpfs none "$layers"
  mkdir "$layers/upper" "$layers/work"
  if ! mount -t overlay overlay \
    -o "lowerdir=$directory,upperdir=$layers/upper,workdir=$layers/work" "$directory"; then
    echo "SKIP: nothing can be hidden here: no overlay mounts"
    exit 77
  fi
  rm -f "$directory/$(basename "$1")" "$directory/$(basename "$1")".*
}

unhide() { umount -l "$(dirname "$(realpath "$1")")"; }

library() { ldconfig -p | sed -n "s#.*$1 .* => ##p" | head -n 1; }

kvmnet 3 plan --backend direct disk.raw # no Windows there, but all that is needed
# What the appliance is made of and run with: libguestfs itself only says that a program has failed.
supermin=$(command -v supermin)
hide "$supermin"
kvmnet 1 plan --backend libguestfs disk.raw
expect_out 'this host lacks supermin (package supermin)'
unhide "$supermin"
hide "$(library libguestfs.so.0)"
kvmnet 1 plan --backend libguestfs disk.raw
expect_out 'package libguestfs0'
expect_out '--backend direct does without'
kvmnet 3 plan --backend direct disk.raw # which does without it
hide "$(library libnbd.so.0)"
kvmnet 1 plan --backend direct disk.raw
expect_out 'package libnbd0'
hide "$(command -v qemu-img)"
kvmnet 1 plan --backend direct disk.raw
expect_out 'package qemu-utils'
expect_nothing_left
