#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The SYSTEM hives of real Windows 7, 8 and 10 machines: EnableWsd, the service with every value, the
# script, and nothing else. The hives of Windows 8 and 10 were taken from running machines: their
# headers were made clean for this test, without their logs' changes.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
requires_real_hives
image nt61.qcow2 nt62.qcow2 nt100.qcow2

service() { # HIVE CONTROL-SET-SERVICES
  local key="$2\\kvmnet-firstboot"
  expect_dword "$1" "$key" Type 0x10
  expect_dword "$1" "$key" Start 2
  expect_dword "$1" "$key" ErrorControl 0
  expect_equal "$(hive_value "$1" "$key" ImagePath)" \
    '%SystemRoot%\System32\cmd.exe /d /c if exist %SystemRoot%\kvmnet\firstboot.cmd (start "" /b %SystemRoot%\System32\cmd.exe /d /c %SystemRoot%\kvmnet\firstboot.cmd) else start "" /b %SystemRoot%\System32\sc.exe delete kvmnet-firstboot' ImagePath
  expect_equal "$(hive_value "$1" "$key" ObjectName)" LocalSystem ObjectName
  expect_equal "$(hive_value "$1" "$key" DependOnService)" nsi DependOnService
}

size_before=$(stat -c %s nt100.qcow2)
for name in nt61:101 nt62:1 nt100:117; do
  volume "${name%:*}.qcow2" "${name#*:}" "${name%:*}.before"
  guest_file "${name%:*}.before" /Windows/System32/config/SYSTEM "${name%:*}.before.hive"
done

kvmnet 0 patch --json nt61.qcow2 nt62.qcow2 nt100.qcow2
expect_json out
expect_equal "$(wc -l <out)" 3 "lines of JSON"
expect_equal "$(grep -c '"status":"patched"' out)" 3 "images patched"
expect_out '"nt_version":"6.1","build":7601'
expect_out '"nt_version":"10.0","build":16299'
expect_nothing_left
size_after=$(stat -c %s nt100.qcow2)
[ $((size_after - size_before)) -lt $((1 << 20)) ] || fail "the image grew by the size of the hive"

for name in nt61:101:6.1.7601 nt62:1:6.2.9200 nt100:117:10.0.16299; do
  IFS=: read -r image offset version <<<"$name"
  qemu-img check -q "$image.qcow2"
  volume "$image.qcow2" "$offset" after.vol
  ntfsfix -n after.vol >/dev/null
  guest_file after.vol /Windows/System32/config/SYSTEM after.hive
  guest_file after.vol /Windows/kvmnet/firstboot.cmd after.cmd
  "$KVMNET" script --windows "$version" >expected.cmd
  expect_same_file expected.cmd after.cmd
  services='ControlSet001\Services'
  service after.hive "$services"
  expect_dword after.hive "$services\\Tcpip\\Parameters" EnableWsd 0
  # The real Windows 7 has the key "services" in lower case: it must not get a twin.
  root=$(reglookup "$image.before.hive" 2>/dev/null |
    sed -n 's|^\(/ControlSet001/[Ss]ervices\),KEY.*|\1|p' | head -1)
  expect_only_these_changes "$image.before.hive" after.hive <<PATHS
$root/Tcpip/Parameters/EnableWsd
$root/kvmnet-firstboot
$root/kvmnet-firstboot/DependOnService
$root/kvmnet-firstboot/Description
$root/kvmnet-firstboot/DisplayName
$root/kvmnet-firstboot/ErrorControl
$root/kvmnet-firstboot/ImagePath
$root/kvmnet-firstboot/ObjectName
$root/kvmnet-firstboot/Start
$root/kvmnet-firstboot/Type
PATHS
done
# A second, independent program reads the new key, too.
reged -x after.hive 'HKEY_LOCAL_MACHINE\SYSTEM' '\ControlSet001\Services\kvmnet-firstboot' out.reg >/dev/null
grep -q '"Start"=dword:00000002' out.reg || fail "reged does not see the service"

remember nt100.qcow2
kvmnet 0 patch nt100.qcow2
expect_out 'nt100.qcow2: nothing to do'
expect_unchanged

# Status only reads, also where it may not write; revert leaves nothing behind, and every value as it
# was: hivexregedit's export is the same, byte for byte.
export_hive() { hivexregedit --export "$1" "\\"; }
chmod 400 nt62.qcow2
remember nt62.qcow2
kvmnet 4 status --exit-code --json nt62.qcow2
expect_out '"state":"patched"'
expect_out '"firstboot":{"state":"pending"}'
expect_json out
expect_unchanged
chmod 600 nt62.qcow2
kvmnet 0 revert --json nt62.qcow2
expect_out '"status":"reverted"'
expect_json out
expect_nothing_left
qemu-img check -q nt62.qcow2
volume nt62.qcow2 1 after.vol
ntfsfix -n after.vol >/dev/null
guest_file after.vol /Windows/System32/config/SYSTEM after.hive
cmp <(export_hive nt62.before.hive) <(export_hive after.hive) >&2 || fail "revert has left a trace"
! ntfsls -p /Windows/kvmnet after.vol >/dev/null 2>&1 || fail "our directory is still there"
kvmnet 0 revert nt62.qcow2
expect_out 'nt62.qcow2: nothing to do'
