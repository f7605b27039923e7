#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Where the appliance hangs with KVM, kvmnet waits for a minute, ends it, and goes on with TCG.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
[ -w /dev/kvm ] || { echo "SKIP: no /dev/kvm"; exit 77; }
image blank.qcow2
unset LIBGUESTFS_BACKEND_SETTINGS
export KVMNET_TEST_KVM=hangs KVMNET_LAUNCH_LOG=$work/launches
kvmnet 3 plan blank.qcow2
expect_err 'did not start within 60 s'
expect_out '[no-windows]'
expect_nothing_left
