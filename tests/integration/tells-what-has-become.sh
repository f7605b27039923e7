#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What status and revert make of a guest that has been used since its patch: values that somebody has
# changed, a first boot that has ended well or badly, and what the guest has written to mislead. The
# guests are real NTFS volumes; what Windows would have done is put into them with ntfsprogs and hivex.
# shellcheck source=tests/integration/lib.sh
source "$(dirname "$0")/lib.sh"
image nt61-text.qcow2 generalised.qcow2
volume nt61-text.qcow2 101 sound.raw # a volume is a disk, too: one without partitions
volume generalised.qcow2 1 template.raw
readonly parameters='ControlSet001\Services\Tcpip\Parameters' hive=/Windows/System32/config/SYSTEM

put() { # FILE PATH: into guest.raw
  ntfscp -q -f guest.raw "$1" "$2" 2>/dev/null || fail "cannot write $2"
}

change_hive() { # [PATH]: of guest.raw, as the .reg text on standard input says
  guest_file guest.raw "${1-$hive}" changed.hive
  cat >change.reg
  hivexregedit --merge changed.hive change.reg
  put changed.hive "${1-$hive}"
}

registry() { # OUT: that of guest.raw
  guest_file guest.raw $hive exported.hive
  hivexregedit --export exported.hive "\\" >"$1"
}

# result STATUS LINE...: a first boot of guest.raw has ended so; its script is gone from the hive, and
# as ntfsprogs remove nothing, the file stays.
result() {
  guest_file guest.raw /Windows/kvmnet/firstboot.cmd script
  {
    echo kvmnet-firstboot-result 1
    sed -n 's/^set "ID=\(.*\)"\r*$/id \1/p' script
    echo 'boot 1'
    printf '%s\n' "${@:2}"
    echo "status $1"
  } | sed 's/\r*$/\r/' >result
  put result /Windows/kvmnet/firstboot.result
  change_hive <<<'[-\ControlSet001\Services\kvmnet-firstboot]'
}

patched() {
  cp --sparse=always sound.raw guest.raw
  registry registry.before
  kvmnet 0 patch guest.raw
}

echo '== a value that somebody has changed'
patched
kvmnet 4 status --exit-code guest.raw
expect_out 'first boot: pending'
change_hive <<<"[\\$parameters]
\"EnableWsd\"=dword:00000005"
remember guest.raw
kvmnet 0 status guest.raw
expect_out 'EnableWsd: changed'
expect_out 'now dword:0x00000005, patched dword:0x00000000, before (absent)'
kvmnet 0 status --json guest.raw
expect_json out
expect_out '"state":"changed"'
kvmnet 3 revert guest.raw
expect_out "$parameters\\EnableWsd is dword:0x00000005, was set to dword:0x00000000"
expect_unchanged
kvmnet 0 revert --force guest.raw
registry registry.after
expect_same_file registry.before registry.after
! guest_has_file guest.raw /Windows/kvmnet || fail "the directory is still there"

echo '== a first boot that has ended well, and is taken back'
patched
result 'done' 'soft 1 netsh interface tcp set heuristics disabled' \
  'mandatory 0 netsh interface tcp set global autotuninglevel=normal'
kvmnet 0 status --exit-code guest.raw
expect_out 'first boot: done'
expect_out '      1 netsh interface tcp set heuristics disabled (may fail)'
kvmnet 0 status --json guest.raw
expect_json out
expect_out '"firstboot":{"state":"done"'
kvmnet 0 revert guest.raw
expect_out "auto-tuning level goes back to 'normal' (Windows' default)"
kvmnet 4 status --exit-code guest.raw
expect_out 'reverted, but for what its next boot puts back'
result 'done' 'mandatory 0 netsh interface tcp set global autotuninglevel=normal'
kvmnet 0 status guest.raw
expect_out 'revert it again'
kvmnet 0 revert guest.raw
registry registry.after
expect_same_file registry.before registry.after
! guest_has_file guest.raw /Windows/kvmnet || fail "the directory is still there"
kvmnet 0 revert guest.raw
expect_out 'nothing to do'

echo '== a first boot that has given up'
patched
result failed 'mandatory -1073741515 netsh interface tcp set global autotuninglevel=normal'
kvmnet 0 status guest.raw
expect_out 'first boot: failed'
kvmnet 4 status --exit-code guest.raw
expect_out '-1073741515 netsh interface tcp set global autotuninglevel=normal'

echo '== what the guest says reaches no terminal as it is'
printf 'kvmnet-firstboot-result 1\r\nid 0000000000000000\r\nboot 1\r\n' >hostile
printf 'mandatory 0 netsh \033[2J\033]0;owned\a \302\233 \377\376\330\r\nstatus done\r\n' >>hostile
put hostile /Windows/kvmnet/firstboot.result
printf '\033[31m\000\001\377' >ran
put ran /Windows/kvmnet/firstboot.ran
# A name of the product with ESC, CSI, a bell, and half a surrogate pair.
change_hive /Windows/System32/config/SOFTWARE <<'REG'
[\Microsoft\Windows NT\CurrentVersion]
"ProductName"=hex(1):57,00,1b,00,5b,00,33,00,31,00,6d,00,9b,00,07,00,00,d8,57,00,00,00
REG
for options in '' --json '-v'; do
  # shellcheck disable=SC2086
  kvmnet 0 status $options guest.raw
  for said in out err; do
    iconv -f UTF-8 -t UTF-8 $said >/dev/null || fail "$said of status $options is no UTF-8"
    ! grep -aqP '[\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' $said ||
      fail "$said of status $options has control characters"
  done
done
kvmnet 0 status guest.raw
expect_out '(W\x1b[31m'
expect_no_out owned
kvmnet 0 status --json guest.raw
expect_json out

head -c 1100000 hostile >long
head -c 1100000 /dev/urandom >>long
put long /Windows/kvmnet/firstboot.result
kvmnet 0 status guest.raw
expect_out 'the result of the first boot is not one plain file of 1 MiB at most'

echo '== a record that others have access to'
patched
ntfssecaudit guest.raw 777 /Windows/kvmnet/record.json >/dev/null 2>&1 || fail "cannot open the record to all"
remember guest.raw
for command in patch revert; do
  kvmnet 3 "$command" guest.raw
  expect_out '[record-damaged]'
done
expect_out 'have access to it'
expect_unchanged
kvmnet 0 status guest.raw
expect_out 'record.json: others than SYSTEM and Administrators have access to it'
kvmnet 0 revert --force guest.raw
registry registry.after
expect_same_file registry.before registry.after

echo '== a SetupComplete.cmd that is too long to be read'
cp --sparse=always template.raw guest.raw
kvmnet 0 patch guest.raw
guest_file guest.raw /Windows/Setup/Scripts/setupcomplete.cmd long
head -c 2000000 /dev/zero | tr '\0' x >>long
put long /Windows/Setup/Scripts/setupcomplete.cmd
remember guest.raw
kvmnet 3 revert guest.raw
expect_out 'SetupComplete.cmd is not one plain file of 1 MiB at most any more'
expect_unchanged
kvmnet 0 revert --force guest.raw
expect_out 'SetupComplete.cmd is not one plain file'
guest_file guest.raw /Windows/Setup/Scripts/setupcomplete.cmd kept
expect_same_file long kept
cp --sparse=always template.raw guest.raw
put long /Windows/Setup/Scripts/setupcomplete.cmd
kvmnet 0 patch guest.raw
guest_file guest.raw /Windows/Setup/Scripts/setupcomplete.cmd kept
expect_same_file long kept
expect_nothing_left
