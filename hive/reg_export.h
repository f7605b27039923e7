// SPDX-License-Identifier: GPL-2.0-or-later
// Writes keys of a hive as a .reg file in the way regedit does: version 5.00.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "hive/tree.h"

namespace kvmnet::hive {

enum class RegEncoding {
  utf16,  // UTF-16LE with a byte order mark, CRLF: as regedit writes it
  utf8,   // for people, and fit for terminals: no mark, LF
};

using RegSink = std::function<void(std::span<const std::byte> piece)>;

// Gives `sink` the file, piece by piece: the key with all that is in it and below it, under `path`
// ("HKEY_LOCAL_MACHINE\SYSTEM\..."), in the hive's own order. Returns what cannot be said in such a
// file, one sentence each (at most 20, and then how many more), escaped: names with line breaks or
// NULs, which would make other lines of the file; names of keys that look as if a comment came
// behind the key; names with half a surrogate pair, which are no text, so that read_reg() would not
// read the file; and, in UTF-8, names with control characters. A guest chooses names.
// Strings that quotes cannot hold are written as hex(1), in UTF-8 also those with control
// characters: a terminal would obey them.
// Not recursive. The tree is that of a hive that check() has found sound; of any other this may
// throw hive::Error.
std::vector<std::string> export_reg(const Tree& tree, CellOffset key, const std::string& path,
                                    RegEncoding encoding, const RegSink& sink);

// Throws Unsupported for a key's name that cannot be part of `path`, for the same reasons.
void require_fit_for_reg(const std::string& name, RegEncoding encoding);

}  // namespace kvmnet::hive
