#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Where KVM is there and QEMU aborts with it, kvmnet says so once, goes on with TCG, and does not try
# KVM again for the next image. With --accel kvm it fails instead.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
[ -w /dev/kvm ] || { echo "SKIP: no /dev/kvm"; exit 77; }
image blank.qcow2
cp blank.qcow2 second.qcow2
unset LIBGUESTFS_BACKEND_SETTINGS
export KVMNET_TEST_KVM=aborts KVMNET_LAUNCH_LOG=$work/launches
kvmnet 3 plan blank.qcow2 second.qcow2
expect_equal "$(grep -c 'KVM cannot be used' err)" 1 "times it was said"
expect_equal "$(tr '\n' ' ' <launches)" 'kvm tcg tcg ' launches
expect_out '[no-windows]'

kvmnet 1 plan --accel kvm blank.qcow2
expect_out 'the appliance could not be started (KVM)'
