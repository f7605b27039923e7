#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The new hive is on disk before it has the old one's name, and has that on disk before the logs are
# touched: the calls with which `kvmnet hive patch` changes files, as strace sees them, are these and
# in this order. A kill cannot prove that, since the kernel keeps what was written.
# shellcheck source=tests/faults/bare-hive.sh
source "$(dirname "$0")/bare-hive.sh"

# What strace has seen, in words. The new hive has no name at first, where the file system can do that.
effects() {
  sed -nE "s#$work/now#.#g; s#^[0-9]+ +##
    s#^(write|pwrite64|writev|pwritev2?|ftruncate|fallocate)\([0-9]+<\./(\#|SYSTEM\.kvmnet-new).*#write new#p
    s#^(copy_file_range\(.*|sendfile\([0-9]+)<\./(\#|SYSTEM\.kvmnet-new).*#write new#p
    s#^f(data)?sync\([0-9]+<\./(\#|SYSTEM\.kvmnet-new).*#fsync new#p
    s#^(write|pwrite64|ftruncate)\([0-9]+<\./SYSTEM\.(LOG[12])>.*#write \2#p
    s#^f(data)?sync\([0-9]+<\./SYSTEM\.(LOG[12])>.*#fsync \2#p
    s#^fsync\([0-9]+<\.>.*#fsync .#p
    s#^open(at)?\(.*\"\./(SYSTEM\.kvmnet-unfinished)\".*O_CREAT.*#create \2#p
    s#^rename[a-z0-9]*\([^\"]*\"\./([^\"]*)\"[^\"]*\"\./([^\"]*)\".*#rename \1 \2#p
    s#^unlink[a-z]*\([^\"]*\"\./([^\"]*)\".*#unlink \1#p
    s#^[a-z0-9]+\([0-9]+<\./SYSTEM>.*#TOUCHES THE OLD HIVE#p" trace | uniq
}

# steps LOG...: those that are to be made invalid.
steps() {
  printf '%s\n' 'write new' 'fsync new' 'write new' 'fsync new' \
    'create SYSTEM.kvmnet-unfinished' 'rename SYSTEM.kvmnet-new SYSTEM' 'fsync .'
  local log
  for log; do printf '%s\n' "write $log" "fsync $log"; done
  echo 'unlink SYSTEM.kvmnet-unfinished'
}

calls=write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,copy_file_range,sendfile
calls=$calls,fsync,fdatasync,open,openat,rename,renameat,renameat2,unlink,unlinkat
watch() { # DIRECTORY LOG...
  rm -rf now
  cp -r "$1" now
  strace -f -y -s 80 -o trace -e "trace=$calls" \
    "$KVMNET" hive patch now/SYSTEM --windows 10.0 >out 2>err || fail "$1: $(cat err)"
  steps "${@:2}" >expected
  effects >seen
  diff expected seen >&2 || fail "$1: not these effects in this order"
}
watch dirty LOG1 # the other one is empty
watch clean LOG1 LOG2
