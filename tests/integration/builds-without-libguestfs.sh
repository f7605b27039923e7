#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# KVMNET_LIBGUESTFS=OFF, as the preset `direct` has it, where libguestfs is not installed: nothing of it
# is found, and what is built patches an image.
# shellcheck source=tests/integration/own-mounts.sh
source "$(dirname "$0")/own-mounts.sh"
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
top=$(realpath "$KVMNET_TEST_SUPPORT/../..")
mount --make-rprivate /
for file in /usr/include/guestfs.h "$(pkg-config --variable=pcfiledir libguestfs)/libguestfs.pc"; do
  mount --bind /dev/null "$file"
done
configure() { cmake -S "$top" -B build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DKVMNET_WERROR=ON "$@" >log 2>&1; }
! configure || fail "libguestfs was found: it is not hidden"
rm -rf build
configure -DKVMNET_LIBGUESTFS=OFF || { cat log >&2; fail "cannot be configured"; }
cmake --build build --target kvmnet >log 2>&1 || { tail -n 50 log >&2; fail "cannot be built"; }
! grep -c guestfs_launch build/src/kvmnet || fail "the program knows libguestfs"

KVMNET=$work/build/src/kvmnet
image nt100-text.qcow2
kvmnet 0 --version
expect_equal "$(tail -n 1 out)" 'backends: direct' 'the version'
kvmnet 0 patch nt100-text.qcow2
kvmnet 0 plan --exit-code nt100-text.qcow2
kvmnet 1 plan --backend libguestfs nt100-text.qcow2
expect_out 'built without libguestfs'
rm -r build
expect_nothing_left
