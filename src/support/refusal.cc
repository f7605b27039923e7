// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/refusal.h"

#include <array>

namespace kvmnet {
namespace {

struct Row {
  Reason reason;
  std::string_view code;
  std::string_view remedy;
};

constexpr std::string_view shut_down_fully =
    "start the guest, run 'powercfg /h off' in it as administrator, shut it down with "
    "'shutdown /s /t 0', and try again";

constexpr std::array<Row, 37> rows = {{
    {Reason::image_in_use, "image-in-use", "shut down the guest, or stop the process that uses it"},
    {Reason::commit_interrupted, "commit-interrupted", "finish it with 'kvmnet recover IMAGE'"},
    {Reason::commit_conflict, "commit-conflict",
     "keep the files, find out who wrote to the image, and restore it from a backup if in doubt; "
     "'kvmnet recover --discard IMAGE' drops a patch of which nothing has been written yet"},
    {Reason::commit_half_done, "commit-half-done",
     "finish it with 'kvmnet recover IMAGE', without --discard"},
    {Reason::unsupported_format, "unsupported-format",
     "if you know that it is one, convert it, naming the format: qemu-img convert -f FORMAT -O "
     "qcow2 "
     "IMAGE NEW.qcow2; if it is a raw disk (a guest can write its beginning), say --format raw"},
    {Reason::format_mismatch, "format-mismatch",
     "give the real format with --format, or leave the option out"},
    {Reason::external_data_file, "external-data-file",
     "convert it first: qemu-img convert -O qcow2 IMAGE NEW.qcow2"},
    {Reason::encrypted_image, "encrypted-image",
     "convert it first to an image without qcow2 encryption"},
    {Reason::damaged_image, "damaged-image",
     "keep a copy of it, then 'qemu-img check -r all IMAGE' repairs what it can; compare the "
     "result "
     "with a backup"},
    {Reason::unsafe_backing_file, "unsafe-backing-file",
     "check where the image comes from; 'qemu-img rebase -u -b FILE -F FORMAT IMAGE' sets the "
     "backing file and its format right; run kvmnet as the image's owner, or let that user read "
     "the backing file"},
    {Reason::not_a_regular_file, "not-a-regular-file",
     "make a patched copy of a block device with --output FILE"},
    {Reason::hard_linked, "hard-linked",
     "make a patched copy with --output FILE, or remove the other links"},
    {Reason::image_is_backing_file, "image-is-backing-file",
     "make a patched copy with --output FILE; if you know that nothing needs the images that are "
     "based on it any more, say --allow-backing-file"},
    {Reason::image_not_writable, "image-not-writable",
     "give this user write permission to the image, or make a patched copy with --output FILE"},
    {Reason::directory_not_writable, "directory-not-writable",
     "make the directory writable for this user, or make a patched copy with --output FILE"},
    {Reason::name_too_long, "name-too-long",
     "rename the image, or make a patched copy with a shorter name with --output FILE"},
    {Reason::no_host_space, "no-host-space",
     "make room on the file system, or make a patched copy on another one with --output FILE"},
    {Reason::no_windows, "no-windows", "give an image with an installed Windows"},
    {Reason::several_windows, "several-windows",
     "choose one with --root DEVICE or --root DEVICE:/DIRECTORY, or take the first with --root "
     "first"},
    {Reason::no_such_root, "no-such-root", "give one of the devices that the message lists"},
    {Reason::encrypted_volume, "encrypted-volume",
     "turn BitLocker off in the guest (manage-bde -off C:), wait until it has decrypted, and shut "
     "it down"},
    {Reason::hibernated, "hibernated", shut_down_fully},
    {Reason::unclean_ntfs, "unclean-ntfs",
     "start the guest, let it check its disk, shut it down with 'shutdown /s /t 0', and try again"},
    {Reason::damaged_ntfs, "damaged-ntfs",
     "start the guest and run 'chkdsk /f' in it, or restore the image"},
    {Reason::read_only_mount, "read-only-mount", shut_down_fully},
    {Reason::dirty_hive, "dirty-hive",
     "start the guest once and shut it down with 'shutdown /s /t 0', so that Windows writes its "
     "registry out; --dirty-hive use-primary goes on and loses what is only in the logs"},
    {Reason::damaged_hive, "damaged-hive", "restore the hive, or the whole guest, from a backup"},
    {Reason::hive_not_editable, "hive-not-editable",
     "change these settings in the running guest instead"},
    {Reason::unknown_version, "unknown-version",
     "check the guest's SOFTWARE hive; without the version the right settings are not known"},
    {Reason::unsupported_version, "unsupported-version",
     "kvmnet knows Windows NT 5.1, 5.2, 6.0 to 6.3 and 10.0"},
    {Reason::unknown_architecture, "unknown-architecture",
     "check PROCESSOR_ARCHITECTURE in the guest's SYSTEM hive"},
    {Reason::unknown_product_type, "unknown-product-type",
     "check Control\\ProductOptions in the guest's SYSTEM hive"},
    {Reason::no_control_set, "no-control-set",
     "restore the hive, or the whole guest, from a backup"},
    {Reason::no_service_key, "no-service-key",
     "reinstall TCP/IP in the guest; kvmnet does not invent a service that Windows lacks"},
    {Reason::service_marked_for_deletion, "service-marked-for-deletion",
     "start the guest once, so that Windows finishes removing it, and shut it down"},
    {Reason::unsupported_system_root, "unsupported-system-root",
     "apply the settings by hand in the guest: 'kvmnet script' prints the commands"},
    {Reason::option_unsupported, "option-unsupported",
     "leave the option out for this guest, or give a value that its Windows version knows"},
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

}  // namespace kvmnet
