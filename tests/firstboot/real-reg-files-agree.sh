#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# real-reg-files-agree.sh KVMNET HIVE-TOOL WINE-TEMPLATE REG-CONTENTS: of the hives of real machines
# kvmnet and hivexregedit write the same keys and values; and Wine's regedit, which is given parts of
# them by kvmnet, writes what it was given.
set -euo pipefail
export LC_ALL=C.UTF-8 PERL_UNICODE=SD # else hivexregedit writes Latin-1
kvmnet=$1 hive_tool=$2 template=$3 contents=$4
if [ -z "${KVMNET_TEST_HIVES-}" ]; then
  echo "SKIP: KVMNET_TEST_HIVES is not set"
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
prefix='HKEY_LOCAL_MACHINE\Software\kvmnet'

fail() {
  echo "real-reg-files-agree: $*" >&2
  exit 1
}

in_wine() { # PROGRAM ARGUMENT...
  local program=/usr/lib/wine/$1
  shift
  env -i PATH=/usr/bin:/bin HOME="$work/wine/home" WINEPREFIX="$work/wine" WINEARCH=win64 \
    WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe=' WINEDEBUG=-all LC_ALL=C.UTF-8 TZ=UTC \
    WINESERVER=/usr/lib/wine/wineserver64 timeout 280 "$program" "$@"
}

agree() { # FILE FILE WHAT [OPTION...]
  "$contents" "${@:4}" "$1" >first
  "$contents" "${@:4}" "$2" >second
  diff first second >differences || {
    cut -c 1-300 differences | head -n 20 >&2
    fail "$3 differ in $(grep -c '^[<>]' differences) lines"
  }
}

# What is damaged is not exported: kvmnet says so by itself. A name with a NUL is left out by kvmnet,
# and cut by hivexregedit.
hives=0 entries=0
while read -r packed; do
  name=${packed##*/}
  name=${name%.xz}
  [ "$name" != BogusKeyNamesHive ] || continue
  xz -dc "$packed" >packed.hive
  "$hive_tool" clean-header packed.hive "$name" 2>/dev/null || continue
  "$kvmnet" hive export --prefix "$prefix" "$name" >"$name.kvmnet" 2>errors || continue
  ! grep . errors >&2 || fail "$name: something is left out"
  hivexregedit --export --prefix "$prefix" "$name" \\ >"$name.hivexregedit"
  agree "$name.kvmnet" "$name.hivexregedit" "the exports of $name"
  hives=$((hives + 1)) entries=$((entries + $(wc -l <first)))
done < <(find "$KVMNET_TEST_HIVES" -name '*.xz' ! -name '*.LOG*' | sort)
[ "$hives" -ge 20 ] || fail "only $hives hives are sound"
echo "$hives hives, $entries keys and values: as hivexregedit has them"

cp -a "$template" wine
entries=0
for name in win7-x86.SYSTEM win8.SYSTEM win10-1709.SYSTEM; do
  for key in 'ControlSet001\Services\Tcpip' 'ControlSet001\Control'; do
    "$kvmnet" hive export --prefix "$prefix" -o "$name.reg" "$name" "$key"
    in_wine wine64 regedit /S "Z:$PWD/$name.reg"
    top=$(iconv -f UTF-16 "$name.reg" | sed -n '0,/^\[/s/^\[\(.*\)\]\r$/\1/p')
    in_wine wine64 regedit /E "Z:$PWD/$name.wine" "$top"
    in_wine wine64 reg delete "$prefix" /f >/dev/null
    agree "$name.reg" "$name.wine" "$key of $name and what Wine makes of it" --texts
    entries=$((entries + $(wc -l <first)))
    rm "$name.reg"
  done
done
in_wine wineserver64 -k
in_wine wineserver64 -w
echo "$entries keys and values: as Wine has them"
