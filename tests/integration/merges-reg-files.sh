#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --reg: .reg files go into a guest's SYSTEM hive with the settings, are foretold, recorded, watched
# and taken back. What cannot be taken back, or belongs elsewhere, is wrong usage, with its line.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt52.qcow2 nt100-text.qcow2 two-control-sets.qcow2 generalised.qcow2

system_of() { # IMAGE MIB PATH OUT
  volume "$1" "$2" some.vol
  ntfsfix -n some.vol >/dev/null
  guest_file some.vol "$3" "$4"
}
export_hive() { hivexregedit --export "$1" "\\"; }
# The registry as it was, in the export of a program that is not ours, and in our own.
expect_same_registry() { # BEFORE AFTER
  cmp <(export_hive "$1") <(export_hive "$2") >&2 || fail "the registry is not as it was"
}
xp=/WINDOWS/system32/config/system ten=/Windows/System32/config/SYSTEM

# The text of the KVM wiki's page, as it is there.
cat >wiki.reg <<'REG'
Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\AFD\Parameters]
"DefaultSendWindow"=dword:00100000
"DefaultReceiveWindow"=dword:00100000
"FastSendDatagramThreshold"=dword:00004000


[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters]
"Tcp1323Opts"=dword:00000001
"TcpWindowSize"=dword:00100000
REG
system_of nt52.qcow2 1 $xp xp.before
kvmnet 0 patch --json --reg wiki.reg nt52.qcow2
expect_json out
expect_out 'wiki.reg, line 4'
system_of nt52.qcow2 1 $xp xp.after
expect_only_these_changes xp.before xp.after <<'PATHS'
/ControlSet001/Services/AFD/Parameters/DefaultReceiveWindow
/ControlSet001/Services/AFD/Parameters/DefaultSendWindow
/ControlSet001/Services/AFD/Parameters/FastSendDatagramThreshold
/ControlSet001/Services/Tcpip/Parameters/Tcp1323Opts
/ControlSet001/Services/Tcpip/Parameters/TcpWindowSize
PATHS
expect_dword xp.after 'ControlSet001\Services\Tcpip\Parameters' TcpWindowSize 0x100000
# What the profile says is the same: nothing is left to be done, with the file or without it.
remember nt52.qcow2
kvmnet 0 patch nt52.qcow2
expect_out 'nothing to do'
expect_unchanged
kvmnet 0 revert nt52.qcow2
system_of nt52.qcow2 1 $xp xp.after
expect_same_registry xp.before xp.after

# Every kind of change: types, the default value, a removal, new keys, and a value of kvmnet's own.
parameters='HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters'
cat >kinds.reg <<REG
Windows Registry Editor Version 5.00

[$parameters]
"Hostname"=-
"EnableWsd"=dword:1
"Text"="a \"quoted\" \\\\ text"
"Expanded"=hex(2):25,00,41,00,25,00,00,00
"Many"=hex(7):41,00,00,00,42,00,00,00,00,00
"Long"=hex(b):01,00,00,00,00,00,00,00
"Bytes"=hex:01,\\
  02,03
@="default"

[$parameters\\New\\Newer]
"x"=dword:7

[HKLM\\SYSTEM\\ControlSet001\\Services\\Empty]
REG
system_of nt100-text.qcow2 117 $ten ten.before
before=$(hive_value ten.before 'ControlSet001\Services\Tcpip\Parameters' Hostname)
remember nt100-text.qcow2
kvmnet 4 plan --exit-code --reg kinds.reg nt100-text.qcow2
expect_out "delete HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters\\Hostname"
expect_out "\"$before\" -> (absent)"
expect_out '(absent) -> dword:0x00000007'
expect_out 'create HKLM\SYSTEM\ControlSet001\Services\Empty'
expect_out 'kinds.reg, line 4'
expect_out 'EnableWsd is as kinds.reg, line 5 has it, not dword:0x00000000 as profile kvm has it'
expect_unchanged
kvmnet 4 plan --exit-code --json --reg kinds.reg nt100-text.qcow2
expect_json out
expect_out '"verb":"create"'
kvmnet 0 patch --reg kinds.reg nt100-text.qcow2
expect_nothing_left
system_of nt100-text.qcow2 117 $ten ten.after
services='ControlSet001\Services'
expect_dword ten.after "$services\\Tcpip\\Parameters" EnableWsd 1
expect_dword ten.after "$services\\Tcpip\\Parameters\\New\\Newer" x 7
expect_equal "$(hive_value ten.after "$services\\Tcpip\\Parameters" Text)" 'a "quoted" \ text' Text
expect_equal "$(hive_value ten.after "$services\\Tcpip\\Parameters" Many)" $'A\nB' Many
! hivexget ten.after "$services\\Tcpip\\Parameters" Hostname 2>/dev/null || fail "Hostname is still there"
hivexget ten.after "$services\\Empty" >/dev/null || fail "there is no key Empty"
remember nt100-text.qcow2
kvmnet 0 plan --exit-code --reg kinds.reg nt100-text.qcow2
expect_out 'nothing to do'
kvmnet 0 patch --reg kinds.reg nt100-text.qcow2
expect_out 'nothing to do'
kvmnet 0 status --json nt100-text.qcow2
expect_json out
expect_out '"value":"HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters\\New\\Newer\\x","state":"as patched"'
expect_out 'Parameters\\Hostname","state":"as patched","present":null'
expect_unchanged
kvmnet 0 revert nt100-text.qcow2
system_of nt100-text.qcow2 117 $ten ten.after
expect_same_registry ten.before ten.after
kvmnet 0 revert nt100-text.qcow2
expect_out 'nothing to do'

# CurrentControlSet is each control set that is edited; another one only where it is named.
printf 'REGEDIT4\n[%s]\n"Here"=dword:1\n[HKLM\\SYSTEM\\ControlSet002]\n"Second"=dword:2\n' \
  "$parameters" >sets.reg
system_of two-control-sets.qcow2 1 $ten two.before
kvmnet 0 patch --firstboot none --reg sets.reg two-control-sets.qcow2
system_of two-control-sets.qcow2 1 $ten two.after
expect_only_these_changes two.before two.after <<'PATHS'
/ControlSet001/Services/Tcpip/Parameters/EnableWsd
/ControlSet001/Services/Tcpip/Parameters/Here
/ControlSet002/Second
/ControlSet002/Services/Tcpip/Parameters/EnableWsd
/ControlSet002/Services/Tcpip/Parameters/Here
PATHS
remember two-control-sets.qcow2
kvmnet 0 patch --firstboot none --reg sets.reg two-control-sets.qcow2
expect_out 'nothing to do'
kvmnet 0 status --json two-control-sets.qcow2
for set in ControlSet001 ControlSet002; do
  expect_out "\"value\":\"HKLM\\\\SYSTEM\\\\$set\\\\Services\\\\Tcpip\\\\Parameters\\\\Here\",\"state\":\"as patched\""
done
expect_unchanged
kvmnet 0 revert two-control-sets.qcow2
system_of two-control-sets.qcow2 1 $ten two.after
expect_same_registry two.before two.after

# A template that Windows Setup has still to make a machine of; and a file that touches what the
# first-boot service starts after.
cat >template.reg <<REG
Windows Registry Editor Version 5.00

[$parameters]
@="default"
"Template"=dword:1

[HKLM\\SYSTEM\\CurrentControlSet\\Services\\nsi]
"Description"=-
"Start"=dword:4

[HKLM\\SYSTEM\\CurrentControlSet\\Services\\nsi\\New]
REG
system_of generalised.qcow2 1 $ten general.before
kvmnet 0 patch --reg template.reg generalised.qcow2
expect_out 'template.reg, line 9: with the service nsi disabled the first-boot service will not start'
system_of generalised.qcow2 1 $ten general.after
guest_file some.vol /Windows/Setup/Scripts/setupcomplete.cmd setup.cmd
grep -qF firstboot.cmd setup.cmd || fail "Setup does not start the script"
expect_dword general.after 'ControlSet001\Services\Tcpip\Parameters' Template 1
expect_dword general.after 'ControlSet001\Services\nsi' Start 4
expect_equal "$(hive_value general.after 'ControlSet001\Services\kvmnet-firstboot' DependOnService)" nsi \
  DependOnService
kvmnet 0 patch --reg template.reg generalised.qcow2
expect_out 'nothing to do'
kvmnet 4 status --exit-code generalised.qcow2
kvmnet 0 status -v generalised.qcow2
expect_out 'Tcpip\Parameters\(default)'
kvmnet 0 revert generalised.qcow2
system_of generalised.qcow2 1 $ten general.after
expect_same_registry general.before general.after

# Wrong usage, before any image is looked at.
expect_wrong() { # TEXT ERROR
  printf 'REGEDIT4\n%b' "$1" >wrong.reg
  kvmnet 2 patch --reg wiki.reg --reg wrong.reg no-such-image.qcow2
  expect_err "$2"
}
expect_wrong '[-HKLM\\SYSTEM\\A]\n' 'wrong.reg, line 2, column 3: a key cannot be removed as a whole'
expect_wrong '\n[HKEY_CURRENT_USER\\A]\n' 'wrong.reg, line 3, column 2: HKEY_CURRENT_USER\A is not in HKEY_LOCAL_MACHINE\SYSTEM'
expect_wrong '[HKLM\\SYSTEM\\A]\n"a"=dwrd:1\n' 'wrong.reg, line 3, column 5'
expect_wrong '[HKLM\\SYSTEM\\Select]\n"Default"=dword:2\n' 'wrong.reg, line 2, column 2: Select is left alone'
expect_wrong '[HKLM\\SYSTEM\\A]\n"a"=hex:\n' 'wrong.reg, line 3, column 1: a value of 0 bytes'
kvmnet 2 plan --reg missing.reg nt52.qcow2
# The same of bare hives.
remember xp.before
kvmnet 2 hive import --prefix 'HKLM\SYSTEM' xp.before wiki.reg missing.reg
printf 'REGEDIT4\n[HKLM\\SYSTEM\\A]\n"a"=dwrd:1\n' >wrong.reg
kvmnet 2 hive import --prefix 'HKLM\SYSTEM' xp.before wiki.reg wrong.reg
expect_err 'wrong.reg, line 3, column 5'
expect_unchanged

# What hivex would do wrong, and control sets that are not there, are refused by the guest.
remember nt52.qcow2
printf 'REGEDIT4\n[HKLM\\SYSTEM\\CurrentControlSet\\\303\244]\n"a"=dword:1\n' >odd.reg
kvmnet 3 plan --reg odd.reg nt52.qcow2
expect_out 'hive-not-editable'
printf 'REGEDIT4\n[HKLM\\SYSTEM\\ControlSet007\\A]\n"a"=dword:1\n' >odd.reg
kvmnet 3 patch --reg odd.reg nt52.qcow2
expect_out 'the guest has no ControlSet007'
expect_unchanged
