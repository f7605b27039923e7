# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For the tests that compare .reg files with Wine's: a working directory, where they are then, and
# programs of Wine.
set -euo pipefail
export LC_ALL=C.UTF-8

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Where the keys of the tests are in Wine's registry.
readonly prefix='HKEY_LOCAL_MACHINE\Software\kvmnet'

fail() {
  echo "$(basename "$0" .sh): $*" >&2
  exit 1
}

# A fresh prefix, $work/wine.
start_wine() { # TEMPLATE
  rm -rf wine
  cp -a "$1" wine
}

in_wine() { # PROGRAM ARGUMENT...
  local program=/usr/lib/wine/$1
  shift
  env -i PATH=/usr/bin:/bin HOME="$work/wine/home" WINEPREFIX="$work/wine" WINEARCH=win64 \
    WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe=' WINEDEBUG=-all LC_ALL=C.UTF-8 TZ=UTC \
    WINESERVER=/usr/lib/wine/wineserver64 timeout 280 "$program" "$@"
}

regedit() { # ARGUMENT...
  in_wine wine64 regedit "$@"
}

forget_keys() {
  in_wine wine64 reg delete "$prefix" /f >/dev/null
}

# A server that has had nothing to do for some seconds has ended by itself: then -k has status 1.
stop_wine() {
  in_wine wineserver64 -k || true
  in_wine wineserver64 -w
}
