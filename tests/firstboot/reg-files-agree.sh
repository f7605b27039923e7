#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# reg-files-agree.sh KVMNET HIVE-TOOL WINE-TEMPLATE FIXTURES: kvmnet and Wine's regedit write the same
# .reg file of the same keys, and make the same keys of one that uses all that the formats have; so
# do kvmnet and hivexregedit.
set -euo pipefail
kvmnet=$1 hive_tool=$2 template=$3 fixtures=$4

# shellcheck source=tests/firstboot/wine.sh
source "$(dirname "$0")/wine.sh"

through_wine() { # REG OUT: what regedit makes of the file
  start_wine "$template"
  regedit /S "Z:$PWD/$1"
  regedit /E "Z:$PWD/$2" "$prefix"
  stop_wine
}

through_kvmnet() { # REG OUT
  "$hive_tool" build empty ''
  "$kvmnet" hive import -q --prefix "$prefix" empty "$1"
  "$kvmnet" hive export --prefix "$prefix" -o "$2" empty
}

# Wine sorts the values of a key, Windows and kvmnet keep their order.
sorted() { # FILE
  iconv -f UTF-16 -t UTF-8 "$1" | python3 -c '
import re, sys
text = sys.stdin.read()
assert "\n" not in text.replace("\r\n", ""), "a line that does not end as on Windows"
for section in re.split(r"\r\n(?=\[)", text.replace(",\\\r\n  ", ",")):
    head, *values = section.split("\r\n")
    print(head, *sorted(values), sep="\n")'
}

agree() { # FILE FILE WHAT
  diff <(sorted "$1") <(sorted "$2") || fail "$3 differ"
}

for name in nt52.system nt61.system nt100.system nt100-19045.software; do
  kind=${name##*.}
  "$hive_tool" build "$name" "HKEY_LOCAL_MACHINE\\${kind^^}" "$fixtures/$name.reg"
  "$kvmnet" hive export --prefix "$prefix" -o "$name.kvmnet" "$name"
  [ "$(grep -ac . "$name.kvmnet")" -gt 20 ] || fail "$name has next to nothing in it"
  through_wine "$name.kvmnet" "$name.wine"
  agree "$name.kvmnet" "$name.wine" "the exports of $name"
  iconv -f UTF-16 "$name.kvmnet" | tr -d '\r' >"$name.broken"
  diff <(grep -c '\\$' "$name.broken") <(iconv -f UTF-16 "$name.wine" | tr -d '\r' | grep -c '\\$') ||
    fail "long lines of $name are not broken in the same places"
  hivexregedit --export --prefix "$prefix" "$name" \\ >"$name.hivexregedit"
  through_kvmnet "$name.hivexregedit" "$name.again"
  agree "$name.kvmnet" "$name.again" "kvmnet's and hivexregedit's exports of $name"
done

{
  echo REGEDIT4
  cat <<'REG'

; comment
[HKEY_LOCAL_MACHINE\Software\kvmnet\Forms]
@="the default"
"Quotes \"and\" \\ backslashes"="C:\\a\\b \"c\""
"Short"=dword:1f
"Hex"=hex:01,02,\
  03,\
  04
"Expand"=hex(2):25,50,41,54,48,25,00
"Multi"=hex(7):61,00,62,00,00
"Qword"=hex(b):01,02,03,04,05,06,07,08
"String"=hex(1):61,00
"Twice"="first"
"TWICE"="second"
"Gone"="x"
"gone"=-
"Semi;colon"="a;b" ; after
[HKEY_LOCAL_MACHINE\Software\kvmnet\Gone\Below]
"x"="y"
[-HKEY_LOCAL_MACHINE\Software\kvmnet\Gone]
[HKEY_LOCAL_MACHINE\Software\kvmnet\Again\Old]
[-HKEY_LOCAL_MACHINE\Software\kvmnet\Again]
[HKEY_LOCAL_MACHINE\Software\kvmnet\Again]
"new"="1"
[HKEY_LOCAL_MACHINE\Software\kvmnet\Empty]
REG
} >forms.reg
through_wine forms.reg forms.wine
through_kvmnet forms.reg forms.kvmnet
agree forms.kvmnet forms.wine "what Wine and kvmnet make of a .reg file"
echo "4 hives and 1 file: the same"
