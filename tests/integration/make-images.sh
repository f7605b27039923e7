#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes every sample image, in one launch of the appliance.
set -euo pipefail
make_images=$KVMNET_TEST_SUPPORT/make-images
mapfile -t names < <("$make_images" | awk '{print $1}')
hives=()
if [ -n "${KVMNET_TEST_HIVES-}" ]; then
  hives=(--hives "$KVMNET_TEST_HIVES")
else
  echo "KVMNET_TEST_HIVES is not set: no images with hives of real machines"
  mapfile -t names < <("$make_images" | grep -v 'needs --hives' | awk '{print $1}')
fi
rm -rf "$KVMNET_TEST_IMAGES"
mkdir -p "$KVMNET_TEST_IMAGES"
"$make_images" --tools "$KVMNET_TEST_TOOLS" --out "$KVMNET_TEST_IMAGES" "${hives[@]}" "${names[@]}"
