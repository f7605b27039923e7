#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes the sample images, without the appliance.
set -euo pipefail
make_images=$KVMNET_TEST_SUPPORT/make-images
# One of another test's is not for all: its BitLocker volume comes from the network.
list() { "$make_images" | grep -v '^bitlocker-windows '; }
mapfile -t names < <(list | awk '{print $1}')
hives=()
if [ -n "${KVMNET_TEST_HIVES-}" ]; then
  hives=(--hives "$KVMNET_TEST_HIVES")
else
  echo "KVMNET_TEST_HIVES is not set: no images with hives of real machines"
  mapfile -t names < <(list | grep -v 'needs --hives' | awk '{print $1}')
fi
rm -rf "$KVMNET_TEST_IMAGES"
mkdir -p "$KVMNET_TEST_IMAGES"
"$make_images" --tools "$KVMNET_TEST_TOOLS" --out "$KVMNET_TEST_IMAGES" "${hives[@]}" "${names[@]}"
