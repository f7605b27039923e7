# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the tests of bare hives share: they watch or kill `kvmnet hive patch` by strace.
#
# From CMake: KVMNET, KVMNET_TEST_TOOLS (hive-tool), KVMNET_FIXTURES.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/../integration/lib.sh"
if ! command -v strace >/dev/null; then
  echo "SKIP: strace is not there"
  exit 77
fi

printf 'Windows Registry Editor Version 5.00\n\n[\\Select]\n"Logged"=dword:00000001\n' >logged.reg
mkdir dirty clean
"$KVMNET_TEST_TOOLS/hive-tool" build original 'HKEY_LOCAL_MACHINE\SYSTEM' \
  "$KVMNET_FIXTURES/hives/nt100.system.reg"
"$KVMNET_TEST_TOOLS/hive-tool" record-logs original dirty/SYSTEM logged.reg
# Both logs of the clean hive are in use: Windows leaves them so.
cp original clean/SYSTEM
cp dirty/SYSTEM.LOG1 clean/SYSTEM.LOG1
cp dirty/SYSTEM.LOG1 clean/SYSTEM.LOG2
