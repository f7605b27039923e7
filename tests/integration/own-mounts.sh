# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced first by a test that mounts a small disk: starts it again with mounts of its own, so that
# an ordinary user may do it, too, and nothing stays mounted.
if [ -z "${KVMNET_TEST_MOUNTS-}" ]; then
  as_root=-r
  [ "$(id -u)" -ne 0 ] || as_root=
  # shellcheck disable=SC2086
  KVMNET_TEST_MOUNTS=1 exec unshare -m $as_root "$0"
fi
