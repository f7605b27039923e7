#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each step of a commit is on disk before the next one begins: the calls with which commit-tool and
# the programs that it starts change files, as strace sees them, are these and in this order. A kill
# cannot prove that, since the kernel keeps what was written.
#
# From CMake: KVMNET_TEST_TOOLS (commit-tool).
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/../integration/lib.sh"
if ! command -v strace >/dev/null; then
  echo "SKIP: strace is not there"
  exit 77
fi

# make_image FORMAT: ./disk, and ./recorded with changes to it.
make_image() {
  rm -f disk recorded
  qemu-img create -q -f "$1" disk 8M
  qemu-io -f "$1" -c 'write -q -P 1 0 1M' -c 'write -q -P 2 4M 1M' disk
  qemu-img create -q -f qcow2 -F "$1" -b "$work/disk" recorded
  qemu-io -f qcow2 -c 'write -q -P 3 64k 192k' -c 'write -q -P 4 2M 512' \
    -c 'write -q -z 4160k 128k' -c 'write -q -P 5 6M 64k' recorded
}

# What strace has seen, in words. All that qemu-img does with the image is to write it: what it brings
# to disk between its writes is its own affair.
effects() {
  sed -nE "s#$work/##g; s#<$work>#<.>#g; s#^[0-9]+ +##
    s#^(write|pwrite64|pwritev2?|ftruncate|fallocate|fdatasync)\([0-9]+<disk\.kvmnet-(overlay|commit)>.*#write \2#p
    s#^pwrite64\([0-9]+<disk\.kvmnet-journal>, \"(ready|writing|restoring|done) *\".*#journal \1#p
    s#^write\([0-9]+<disk\.kvmnet-journal>, \"kvmnet-journal 2 ready .*#journal ready#p
    s#^fsync\([0-9]+<(disk|disk\.kvmnet-)?([a-z.]+)>.*#fsync \2#p
    s#^rename[a-z0-9]*\(([^\"]*\")([^\"]*)(\"[^\"]*\")([^\"]*)\".*#rename \2 \4#p
    s#^unlink[a-z]*\([^\"]*\"(disk[^\"]*)\".*#unlink \1#p
    s#^[a-z0-9]+\([0-9]+<disk>.*#TOUCHES THE IMAGE UNDER ITS NAME#p" trace | uniq
}

cat >expected <<'END'
write overlay
fsync overlay
journal ready
fsync journal
fsync .
rename disk disk.kvmnet-commit
fsync .
journal writing
fsync journal
write commit
fsync commit
journal done
fsync journal
rename disk.kvmnet-commit disk
fsync .
unlink disk.kvmnet-journal
fsync .
unlink disk.kvmnet-overlay
END

calls=write,pwrite64,pwritev,pwritev2,ftruncate,fallocate,fsync,fdatasync
calls=$calls,rename,renameat,renameat2,link,unlink,unlinkat
for format in qcow2 raw; do
  make_image "$format"
  strace -f -y -s 80 -o trace -e "trace=$calls" "$KVMNET_TEST_TOOLS/commit-tool" "$work/disk" recorded
  effects >seen
  diff expected seen >&2 || fail "$format: not these effects in this order"
done
