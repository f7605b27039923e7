#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Windows Server 2003: five registry values, their record, and nothing else, in qcow2 and raw images of one run; a
# second run changes no byte.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt52.qcow2 nt52-raw.raw nt52-per-interface.qcow2
chmod 600 nt52.qcow2
volume nt52.qcow2 1 before.vol
guest_file before.vol /WINDOWS/system32/config/system before.hive

remember nt52.qcow2
kvmnet 4 plan --exit-code nt52.qcow2
expect_out 'TcpWindowSize'
expect_out '(absent) -> dword:0x00100000'
expect_out 'nt52.qcow2: 6 changes pending'
expect_unchanged

umask 000
# Work goes on beside the image itself, not beside a link to it.
mkdir links
ln -s ../nt52-per-interface.qcow2 links/link.qcow2
kvmnet 0 patch nt52.qcow2 nt52-raw.raw links/link.qcow2
expect_out 'nt52.qcow2: patched, 6 changes'
expect_out 'nt52-raw.raw: patched, 6 changes'
expect_out 'GlobalMaxTcpWindowSize=0xffff limits TcpWindowSize'
expect_out 'has a TcpWindowSize of its own, which wins'
expect_nothing_left
expect_equal "$(stat -c %a nt52.qcow2)" 600 "mode of the image"
qemu-img check -q nt52.qcow2

for name in nt52.qcow2 nt52-raw.raw; do
  volume "$name" 1 after.vol
  ntfsfix -n after.vol >/dev/null
  guest_file after.vol /WINDOWS/system32/config/system after.hive
  afd='ControlSet001\Services\AFD\Parameters' tcpip='ControlSet001\Services\Tcpip\Parameters'
  expect_dword after.hive "$afd" DefaultSendWindow 0x100000
  expect_dword after.hive "$afd" DefaultReceiveWindow 0x100000
  expect_dword after.hive "$afd" FastSendDatagramThreshold 0x4000
  expect_dword after.hive "$tcpip" Tcp1323Opts 1
  expect_dword after.hive "$tcpip" TcpWindowSize 0x100000
  expect_only_these_changes before.hive after.hive <<'PATHS'
/ControlSet001/Services/AFD/Parameters/DefaultReceiveWindow
/ControlSet001/Services/AFD/Parameters/DefaultSendWindow
/ControlSet001/Services/AFD/Parameters/FastSendDatagramThreshold
/ControlSet001/Services/Tcpip/Parameters/Tcp1323Opts
/ControlSet001/Services/Tcpip/Parameters/TcpWindowSize
PATHS
  ! guest_has_file after.vol /WINDOWS/kvmnet/firstboot.cmd || fail "Server 2003 got a script"
  # The name of what kvmnet makes to see that the volume is writable.
  guest_file after.vol /WINDOWS/KVMNET-write-test own.txt
  expect_equal "$(cat own.txt)" $'not to be touched\r' "a file of the guest's own"
done

remember nt52.qcow2
kvmnet 0 patch nt52.qcow2
expect_out 'nt52.qcow2: nothing to do'
expect_unchanged
