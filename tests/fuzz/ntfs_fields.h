// SPDX-License-Identifier: GPL-2.0-or-later
// The numbers in what an NTFS is made of (ntfs-3g, layout.h and logfile.h).
#pragma once

#include <array>
#include <cstdint>

#include "tests/fuzz/ntfs_records.h"

namespace kvmnet::fuzz {

inline constexpr std::array boot_fields = {
    Field{11, 2}, Field{13, 1}, Field{14, 2}, Field{16, 1}, Field{17, 2}, Field{19, 2},
    Field{21, 1}, Field{22, 2}, Field{24, 2}, Field{28, 4}, Field{32, 4}, Field{40, 8},
    Field{48, 8}, Field{56, 8}, Field{64, 1}, Field{68, 1}, Field{510, 2}};
inline constexpr std::array file_fields = {Field{4, 2},  Field{6, 2},  Field{16, 2}, Field{18, 2},
                                           Field{20, 2}, Field{22, 2}, Field{24, 4}, Field{28, 4},
                                           Field{32, 8}, Field{40, 2}, Field{44, 4}};
inline constexpr std::array attribute_fields = {Field{4, 4},  Field{8, 1},  Field{9, 1},
                                                Field{10, 2}, Field{12, 2}, Field{14, 2}};
inline constexpr std::array resident_fields = {Field{16, 4}, Field{20, 2}, Field{22, 1}};
inline constexpr std::array run_fields = {Field{16, 8}, Field{24, 8}, Field{32, 2}, Field{34, 1},
                                          Field{40, 8}, Field{48, 8}, Field{56, 8}, Field{64, 8}};
inline constexpr std::array index_fields = {Field{0, 4}, Field{4, 4}, Field{8, 4}, Field{12, 1}};
inline constexpr std::array entry_fields = {Field{0, 4}, Field{4, 2}, Field{8, 2}, Field{10, 2},
                                            Field{12, 2}};
inline constexpr std::array list_fields = {Field{0, 4}, Field{4, 2},  Field{6, 1}, Field{7, 1},
                                           Field{8, 8}, Field{16, 4}, Field{24, 2}};
inline constexpr std::array log_fields = {Field{4, 2},  Field{6, 2},  Field{8, 8},  Field{16, 4},
                                          Field{20, 4}, Field{24, 2}, Field{26, 2}, Field{28, 2}};
inline constexpr std::array area_fields = {Field{0, 8},  Field{8, 2},  Field{10, 2}, Field{12, 2},
                                           Field{14, 2}, Field{16, 4}, Field{20, 2}, Field{22, 2},
                                           Field{24, 8}, Field{32, 4}, Field{36, 2}};

inline constexpr std::uint64_t index_root = 0x90;
inline constexpr std::uint64_t attribute_list = 0x20;
inline constexpr std::size_t node_header = 24;  // of an INDX record; there its index header begins
inline constexpr std::size_t root_header = 16;  // the same, of an index root

}  // namespace kvmnet::fuzz
