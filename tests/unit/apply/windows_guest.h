// SPDX-License-Identifier: GPL-2.0-or-later
// Guests with an installed Windows, for the tests of src/apply.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "src/plan/facts.h"
#include "src/plan/settings.h"
#include "tests/support/fake_guest.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet::test {

// A release of Windows as the fixtures have it.
struct Release {
  const char* label;
  const char* software;  // what fixture_hive() takes
  const char* system;
  WindowsVersion version;
  Architecture architecture;
  ProductType product;
  const char* product_name;
};
inline constexpr std::array<Release, 11> releases = {{
    {"XP",
     "nt51.software",
     "nt51.system",
     {5, 1, 2600},
     Architecture::x86,
     ProductType::client,
     "Microsoft Windows XP"},
    {"Server2003",
     "nt52.software",
     "nt52.system",
     {5, 2, 3790},
     Architecture::x86,
     ProductType::server,
     "Microsoft Windows Server 2003"},
    {"Server2008",
     "nt60.software",
     "nt60.system",
     {6, 0, 6002},
     Architecture::amd64,
     ProductType::server,
     "Windows Server (R) 2008 Standard"},
    {"Seven",
     "nt61.software",
     "nt61.system",
     {6, 1, 7601},
     Architecture::amd64,
     ProductType::client,
     "Windows 7 Professional"},
    {"Eight",
     "nt62.software",
     "nt62.system",
     {6, 2, 9200},
     Architecture::amd64,
     ProductType::client,
     "Windows 8 Pro"},
    {"Server2012R2",
     "nt63.software",
     "nt63.system",
     {6, 3, 9600},
     Architecture::amd64,
     ProductType::server,
     "Windows Server 2012 R2 Standard"},
    {"Server2016",
     "nt100-14393.software",
     "nt100.system+server.system",
     {10, 0, 14393},
     Architecture::amd64,
     ProductType::server,
     "Windows Server 2016 Standard"},
    {"Ten1703",
     "nt100-15063.software",
     "nt100.system",
     {10, 0, 15063},
     Architecture::amd64,
     ProductType::client,
     "Windows 10 Pro"},
    {"Ten1709",
     "nt100-16299.software",
     "nt100.system",
     {10, 0, 16299},
     Architecture::amd64,
     ProductType::client,
     "Windows 10 Pro"},
    {"Ten22H2",
     "nt100-19045.software",
     "nt100.system",
     {10, 0, 19045},
     Architecture::amd64,
     ProductType::client,
     "Windows 10 Pro"},
    {"Server2025",
     "nt100-26100.software",
     "nt100.system+server.system",
     {10, 0, 26100},
     Architecture::amd64,
     ProductType::server,
     "Windows Server 2025 Standard"},
}};
inline const Release& seven = releases[3];
inline const Release& ten = releases[9];

inline std::string text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Puts a Windows into the directory `root` of the volume.
inline void install(FakeGuest::Volume& volume, const std::string& software,
                    const std::string& system, const std::string& root = "/Windows") {
  volume.files[root + "/System32/config/SOFTWARE"] = text_of(fixture_hive(software));
  volume.files[root + "/System32/config/SYSTEM"] = text_of(fixture_hive(system));
  volume.files[root + "/System32/config/SAM"] = "sam";
  volume.files[root + "/notepad.exe"] = "MZ";
  volume.directories.insert("/Users");
}
inline void install(FakeGuest::Volume& volume, const Release& release,
                    const std::string& root = "/Windows") {
  install(volume, release.software, release.system, root);
}

inline Settings default_settings() {
  return make_settings({});
}

}  // namespace kvmnet::test
