#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# real-reg-files-agree.sh KVMNET HIVE-TOOL WINE-TEMPLATE REG-CONTENTS: of the hives of real machines
# kvmnet and hivexregedit write the same keys and values; and Wine's regedit, which is given parts of
# them by kvmnet, writes what it was given.
set -euo pipefail
export PERL_UNICODE=SD # else hivexregedit writes Latin-1
kvmnet=$1 hive_tool=$2 template=$3 contents=$4
if [ -z "${KVMNET_TEST_HIVES-}" ]; then
  echo "SKIP: KVMNET_TEST_HIVES is not set"
  exit 77
fi

# shellcheck source=tests/firstboot/wine.sh
source "$(dirname "$0")/wine.sh"

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

start_wine "$template"
entries=0
for name in win7-x86.SYSTEM win8.SYSTEM win10-1709.SYSTEM; do
  for key in 'ControlSet001\Services\Tcpip' 'ControlSet001\Control'; do
    "$kvmnet" hive export --prefix "$prefix" -o "$name.reg" "$name" "$key"
    regedit /S "Z:$PWD/$name.reg"
    top=$(iconv -f UTF-16 "$name.reg" | sed -n '0,/^\[/s/^\[\(.*\)\]\r$/\1/p')
    regedit /E "Z:$PWD/$name.wine" "$top"
    forget_keys
    agree "$name.reg" "$name.wine" "$key of $name and what Wine makes of it" --texts
    entries=$((entries + $(wc -l <first)))
    rm "$name.reg"
  done
done
stop_wine
echo "$entries keys and values: as Wine has them"
