#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make-wine-template.sh DIRECTORY: makes the Wine prefix that every test copies, unless the one that
# is there was made by this script with this Wine.
set -euo pipefail
export LC_ALL=C.UTF-8

template=$1
wine=/usr/lib/wine/wine64 wineserver=/usr/lib/wine/wineserver64
for program in "$wine" "$wineserver"; do
  [ -x "$program" ] || { echo "no $program: scripts/install-deps installs it" >&2; exit 1; }
done
made_by="$(dpkg-query -W -f '${Package} ${Version}\n' wine64 libwine) $(sha256sum <"$0")"
if [ "$(cat "$template/made-by" 2>/dev/null)" = "$made_by" ]; then
  echo "The template is there."
  exit 0
fi

rm -rf "$template" "$template.new"
mkdir -p "$template.new/home"
trap 'WINEPREFIX=$template.new "$wineserver" -k9 2>/dev/null || true' EXIT
# No Mono, Gecko or menus: each would ask to be downloaded, or look for a desktop.
in_wine() {
  env -i PATH=/usr/bin:/bin HOME="$template.new/home" WINEPREFIX="$template.new" WINEARCH=win64 \
    WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe=' WINEDEBUG=-all LC_ALL=C.UTF-8 TZ=UTC \
    WINESERVER="$wineserver" timeout 300 "$@"
}
in_wine "$wine" wineboot --init
in_wine "$wineserver" -w

# 15 MB instead of 700 MB, because every test copies it: files that are Wine's own become links.
cd "$template.new/drive_c"
rm -rf windows/{winsxs,resources,Fonts,help,syswow64,twain_64} windows/system32/{spool,wbem,Speech} \
  'Program Files' 'Program Files (x86)'
find windows -type f -print0 | while IFS= read -r -d '' file; do
  own=/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/${file##*/}
  if [ -f "$own" ] && cmp -s "$file" "$own"; then ln -sf "$own" "$file"; fi
done
cd "$template.new"

# Services that only take time; a boot is to start ours.
for service in winebus wineusb winehid PlugPlay FontCache FontCache3.0.0.0 Winmgmt Spooler MountMgr \
  BITS Eventlog HTTP LanmanServer NDIS nsiproxy Schedule StiSvc TermService wuauserv MSIServer; do
  printf '\n[System\\\\CurrentControlSet\\\\Services\\\\%s] 1\n"Start"=dword:00000004\n' "$service"
done >>system.reg
# The last that the service manager starts, when it has started all others: tells that it has.
cat >>system.reg <<'REG'

[System\\CurrentControlSet\\Control] 1
"AutoStartDelay"=dword:00000001

[System\\CurrentControlSet\\Services\\kvmnet-boot-is-over] 1
"Type"=dword:00000010
"Start"=dword:00000002
"DelayedAutoStart"=dword:00000001
"ErrorControl"=dword:00000000
"ImagePath"="C:\\windows\\system32\\cmd.exe /d /c echo over>C:\\boot-is-over"
"ObjectName"="LocalSystem"
REG
# The stand-ins come before Wine's own programs of that name; no display, no crash dialogue.
cat >>user.reg <<'REG'

[Software\\Wine\\DllOverrides] 1
"netsh.exe"="native"
"sc.exe"="native,builtin"
"reg.exe"="native,builtin"
"shutdown.exe"="native,builtin"

[Software\\Wine\\Drivers] 1
"Graphics"="null"

[Software\\Wine\\WineDbg] 1
"ShowCrashDialog"=dword:00000000
REG
echo "$made_by" >made-by
mv "$template.new" "$template"
trap - EXIT
du -sh "$template"
