#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Windows is found by its hives: in a system root of any name and letter case, without cmd.exe, with
# a cmd.exe that ntfs-3g cannot read; on the volume that --root names. The search writes nowhere: an
# unclean data volume keeps every byte.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image no-cmd.qcow2 wof-cmd.qcow2 unclean-data.qcow2 two-roots.qcow2
volume unclean-data.qcow2 256 data.before

kvmnet 0 patch no-cmd.qcow2 wof-cmd.qcow2 unclean-data.qcow2
expect_equal "$(grep -c ': patched, ' out)" 3 "images patched"
expect_out '/WinNT.Custom on /dev/sda3'

volume no-cmd.qcow2 117 after.vol
guest_has_file after.vol /WinNT.Custom/kvmnet/firstboot.cmd || fail "no script in no-cmd"
volume wof-cmd.qcow2 117 after.vol
guest_has_file after.vol /Windows/kvmnet/firstboot.cmd || fail "no script in wof-cmd"
volume unclean-data.qcow2 1 after.vol
guest_has_file after.vol /Windows/kvmnet/firstboot.cmd || fail "no script in unclean-data"
volume unclean-data.qcow2 256 data.after
expect_same_file data.before data.after

volume two-roots.qcow2 1 first.before
kvmnet 0 patch --root /dev/sda2 two-roots.qcow2
expect_out 'Windows NT 10.0'
volume two-roots.qcow2 256 second.after
guest_has_file second.after /Windows/kvmnet/firstboot.cmd || fail "no script on the chosen volume"
volume two-roots.qcow2 1 first.after
expect_same_file <(head -c $((255 << 20)) first.before) <(head -c $((255 << 20)) first.after)
