// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/refusal.h"

#include <array>

#include "src/support/reasons_manual.h"

namespace kvmnet {
namespace {

struct Row {
  Reason reason;
  std::string_view code;
  std::string_view meaning;
  std::string_view remedy;
};

constexpr std::string_view shut_down_fully =
    "start the guest, run 'powercfg /h off' in it as administrator, shut it down with "
    "'shutdown /s /t 0', and try again";

constexpr std::array<Row, 47> rows = {{
    {Reason::image_in_use, "image-in-use", "another program has the image open, or changes it",
     "shut down the guest, or stop the process that uses it"},
    {Reason::commit_interrupted, "commit-interrupted",
     "an earlier run was interrupted while it wrote to the image",
     "finish it with 'kvmnet recover IMAGE'"},
    {Reason::commit_conflict, "commit-conflict",
     "somebody has written to the image since a run was interrupted, or files of that run are "
     "missing, damaged or not this user's",
     "keep the files, find out who wrote to the image, and restore it from a backup if in doubt; "
     "'kvmnet recover --discard IMAGE' drops a patch of which nothing has been written yet"},
    {Reason::commit_half_done, "commit-half-done",
     "--discard: a part of the patch is in the image already",
     "finish it with 'kvmnet recover IMAGE', without --discard"},
    {Reason::unsupported_format, "unsupported-format", "neither qcow2 nor raw",
     "if you know that it is one, convert it, naming the format: qemu-img convert -f FORMAT -O "
     "qcow2 "
     "IMAGE NEW.qcow2; if it is a raw disk (a guest can write its beginning), say --format raw"},
    {Reason::format_mismatch, "format-mismatch",
     "the image has another format than --format or its name says, or its name does not say that "
     "it is "
     "a qcow2 image with a backing file (a guest can write the beginning of a raw disk)",
     "say what it is, if you know it: --format qcow2 or --format raw; a raw disk that begins like "
     "a qcow2 image is patched as a copy only: qemu-img convert -f raw -O qcow2"},
    {Reason::external_data_file, "external-data-file",
     "a qcow2 image whose data are in another file",
     "convert it first: qemu-img convert -O qcow2 IMAGE NEW.qcow2"},
    {Reason::encrypted_image, "encrypted-image", "a qcow2 image with qcow2's own encryption",
     "convert it first to an image without qcow2 encryption"},
    {Reason::damaged_image, "damaged-image", "the image file is damaged or cut short",
     "keep a copy of it, then 'qemu-img check -r all IMAGE' repairs what it can; compare the "
     "result "
     "with a backup"},
    {Reason::unsafe_backing_file, "unsafe-backing-file",
     "the image is based on something that is missing or not safe to open",
     "check where the image comes from; 'qemu-img rebase -u -b FILE -F FORMAT IMAGE' sets the "
     "backing file and its format right; run kvmnet as the image's owner, or let that user read "
     "the backing file"},
    {Reason::not_a_regular_file, "not-a-regular-file",
     "a block device, which cannot be patched in place",
     "make a patched copy of a block device with --output FILE"},
    {Reason::hard_linked, "hard-linked", "the image has several names (hard links)",
     "make a patched copy with --output FILE, or remove the other links"},
    {Reason::image_is_backing_file, "image-is-backing-file",
     "other images are based on this one: a patch would destroy them",
     "make a patched copy with --output FILE; if you know that nothing needs the images that are "
     "based on it any more, say --allow-backing-file"},
    {Reason::image_not_writable, "image-not-writable", "no permission to write to the image",
     "give this user write permission to the image, or make a patched copy with --output FILE"},
    {Reason::directory_not_writable, "directory-not-writable",
     "no permission to write beside the image",
     "make the directory writable for this user, or make a patched copy with --output FILE"},
    {Reason::name_too_long, "name-too-long",
     "the names of our files beside the image would be too long",
     "rename the image, or make a patched copy with a shorter name with --output FILE"},
    {Reason::no_host_space, "no-host-space", "too little space on the host's file system",
     "make room on the file system, or make a patched copy on another one with --output FILE"},
    {Reason::no_windows, "no-windows", "no volume has a Windows",
     "give an image with an installed Windows"},
    {Reason::several_windows, "several-windows", "several Windows, and --root does not choose one",
     "choose one with --root DEVICE or --root DEVICE:/DIRECTORY, or take the first with --root "
     "first"},
    {Reason::no_such_root, "no-such-root", "--root names a volume that has no Windows",
     "give one of the devices that the message lists"},
    {Reason::encrypted_volume, "encrypted-volume", "BitLocker or LUKS, and no key was given",
     "give its key or password with --key DEVICE:key:WORDS or --keys-from-stdin; or turn BitLocker "
     "off in the guest (manage-bde -off C:), wait until it has decrypted, and shut it down"},
    {Reason::wrong_key, "wrong-key", "BitLocker or LUKS, and no key that was given opens it",
     "give the right key; of BitLocker the recovery password, 48 digits in groups of six"},
    {Reason::hibernated, "hibernated",
     "Windows is hibernated: its hiberfil.sys holds a session, which fast startup may leave, too",
     shut_down_fully},
    {Reason::fast_startup, "fast-startup",
     "Windows was shut down with fast startup, or cut off: by its journal, it still holds the NTFS",
     shut_down_fully},
    {Reason::unclean_ntfs, "unclean-ntfs", "the NTFS was not cleanly unmounted",
     "start the guest, let it check its disk, shut it down with 'shutdown /s /t 0', and try again; "
     "--unclean-ntfs accept (with --backend libguestfs) goes on and loses what is only in its "
     "journal"},
    {Reason::damaged_ntfs, "damaged-ntfs", "the NTFS is damaged",
     "see whether the image was cut short, as by a copy that did not end; else start the guest and "
     "run 'chkdsk /f' in it, or restore the image"},
    {Reason::read_only_mount, "read-only-mount", "the NTFS can be mounted read-only only",
     shut_down_fully},
    {Reason::no_guest_space, "no-guest-space", "too little space on the guest's system volume",
     "make room on the guest's system volume: start the guest and remove files, or enlarge it"},
    {Reason::path_blocked, "path-blocked",
     "something in the guest is where a file or directory of ours must be",
     "start the guest, look at what is there, and move it away as administrator"},
    {Reason::dirty_hive, "dirty-hive",
     "Windows has not closed a hive, and its transaction logs do not apply",
     "start the guest once and shut it down with 'shutdown /s /t 0', so that Windows writes its "
     "registry out; --dirty-hive use-primary goes on and loses what is only in the logs"},
    {Reason::damaged_hive, "damaged-hive",
     "a hive is damaged, or brings down the process that reads it",
     "restore the hive, or the whole guest, from a backup"},
    {Reason::hive_not_editable, "hive-not-editable",
     "an edit would damage the hive, or could not be taken back",
     "change these settings in the running guest instead"},
    {Reason::unknown_version, "unknown-version", "the guest does not tell its Windows version",
     "check the guest's SOFTWARE hive; without the version the right settings are not known"},
    {Reason::unsupported_version, "unsupported-version",
     "a Windows version that kvmnet has no facts about",
     "kvmnet knows Windows NT 5.1, 5.2, 6.0 to 6.3 and 10.0"},
    {Reason::windows_pe, "windows-pe", "the guest's Windows is Windows PE",
     "give an image with an installed Windows: Windows PE forgets every change when it ends"},
    {Reason::setup_in_progress, "setup-in-progress", "Windows Setup is in the middle of its work",
     "let Windows Setup come to its end in the guest, and shut it down"},
    {Reason::unknown_architecture, "unknown-architecture",
     "the guest does not tell its architecture",
     "check PROCESSOR_ARCHITECTURE in the guest's SYSTEM hive"},
    {Reason::unknown_product_type, "unknown-product-type",
     "the guest does not tell whether it is a server",
     "check Control\\ProductOptions in the guest's SYSTEM hive"},
    {Reason::no_control_set, "no-control-set", "the control set that boots next is missing",
     "restore the hive, or the whole guest, from a backup"},
    {Reason::no_service_key, "no-service-key", "the guest has no TCP/IP",
     "reinstall TCP/IP in the guest; kvmnet does not invent a service that Windows lacks"},
    {Reason::service_marked_for_deletion, "service-marked-for-deletion",
     "Windows is about to remove the first-boot service",
     "start the guest once, so that Windows finishes removing it, and shut it down; of a "
     "generalised image that has kvmnet's record, which that would unseal: 'kvmnet revert "
     "--firstboot none', then patch it again"},
    {Reason::unsupported_system_root, "unsupported-system-root",
     "Windows is in a directory that cannot stand in a service's command line",
     "apply the settings by hand in the guest: 'kvmnet script' prints the commands"},
    {Reason::option_unsupported, "option-unsupported",
     "an option asks for what this guest's Windows does not know or have",
     "leave the option out for this guest, or give a value that its Windows version knows"},
    {Reason::record_damaged, "record-damaged",
     "the record of an earlier patch cannot be read or trusted",
     "restore the file, or the whole guest, from a backup; without the directory "
     "%SystemRoot%\\kvmnet (start the guest and remove it as administrator) the guest can be "
     "patched again, but what earlier patches have done cannot be taken back. 'revert --force' "
     "trusts a record that others have access to"},
    {Reason::record_newer, "record-newer",
     "the record of an earlier patch is that of a newer kvmnet",
     "use the newer kvmnet for this guest: what it has noted there this one does not know"},
    {Reason::record_missing, "record-missing",
     "the guest has something of kvmnet's, or of its name, but no record of a patch",
     "start the guest and look at %SystemRoot%\\kvmnet, the service kvmnet-firstboot and what "
     "SetupComplete.cmd has of kvmnet: without them it can be patched, and what is there now "
     "counts as the original; what an earlier patch has done comes back from a backup only"},
    {Reason::changed_since_patch, "changed-since-patch",
     "revert: somebody has changed a value since the patch",
     "look at the changes; --force puts back what was there before the patch all the same"},
}};

const Row& row(Reason reason) {
  for (const Row& r : rows)
    if (r.reason == reason) return r;
  return rows.front();  // unreachable: a test proves that every reason has its row
}

}  // namespace

std::string_view code(Reason reason) {
  return row(reason).code;
}
std::string_view remedy(Reason reason) {
  return row(reason).remedy;
}

std::string manual_of_reasons() {
  std::string text = "| code | what it means | what to do |\n|---|---|---|\n";
  for (const Row& r : rows) {
    text += "| `";
    text.append(r.code).append("` | ").append(r.meaning).append(" | ").append(r.remedy);
    text += " |\n";
  }
  return text;
}

}  // namespace kvmnet
