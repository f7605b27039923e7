// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/merge.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "hive/contents.h"
#include "hive/edit.h"
#include "hive/error.h"
#include "hive/reg_export.h"
#include "hive/reg_path.h"
#include "src/support/fd.h"
#include "src/support/temp_dir.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/hive_files.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using Lines = std::vector<std::string>;

constexpr const char* present =
    "[\\Key]\n"
    "\"Text\"=\"old\"\n"
    "\"Number\"=dword:00000001\n"
    "[\\Key\\Below]\n"
    "\"Deep\"=\"x\"\n"
    "[\\Key\\Below\\Deeper]\n"
    "[\\Other]\n";

// hivexregedit wants an empty line before each key.
Bytes hive_of(std::string reg) {
  const TempDir directory;
  for (std::size_t at = 0; (at = reg.find("\n[", at)) != std::string::npos; at += 3)
    reg.insert(at, "\n");
  const std::string file = directory.path() + "/hive";
  test::write_file(file, test::minimal_hive());
  test::merge(file, reg);
  return test::read_file(file);
}

std::vector<RegSection> sections(const std::string& text) {
  return below({"HKEY_LOCAL_MACHINE", "SYSTEM"},
               parse_reg("Windows Registry Editor Version 5.00\n" + text, CodePage(1252)));
}

Bytes edited(const Bytes& hive, const std::vector<KeyEdit>& edits) {
  if (edits.empty()) return hive;
  const Fd from = make_memory_file("hive");
  const Fd to = make_memory_file("edited hive");
  write_whole(from, hive);
  edit(from.get(), to.get(), edits, {});
  return read_whole(to);
}

Bytes merged(const Bytes& hive, const std::string& text) {
  const Merge merge = hive::merge(Tree(hive), sections(text));
  return edited(edited(hive, merge.first), merge.second);
}

std::string exported(const Bytes& hive) {
  const Tree tree(hive);
  std::string text;
  export_reg(tree, tree.root(), "HKLM\\SYSTEM", RegEncoding::utf8, [&](auto piece) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return text;
}

Lines words(const Merge& merge) {
  Lines lines;
  for (const Change& change : merge.changes) {
    const auto shown = [](const std::optional<Value>& v) { return v ? describe(*v) : "-"; };
    const std::string key = change.key.to_string();
    switch (change.what) {
      case Change::What::set_value:
        lines.push_back(key + "\\" + change.name + ": " + shown(change.old) + " -> " +
                        shown(change.value));
        break;
      case Change::What::delete_value:
        lines.push_back(key + "\\" + change.name + ": " + shown(change.old) + " goes");
        break;
      case Change::What::create_key:
        lines.push_back(key + " is made");
        break;
      case Change::What::delete_key:
        lines.push_back(key + " goes");
        break;
    }
  }
  return lines;
}

Lines changes(const std::string& text) {
  const Bytes hive = hive_of(present);
  return words(merge(Tree(hive), sections(text)));
}

TEST(Merge, ChangesWhatDiffers) {
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\Key]\n\"text\"=\"new\"\n\"Number\"=dword:1\n"),
            Lines{"Key\\Text: \"old\" -> \"new\""});
  EXPECT_EQ(changes("[HKEY_LOCAL_MACHINE\\system\\KEY\\New\\Newer]\n@=\"x\"\n"),
            Lines{"Key\\New\\Newer\\: - -> \"x\""});
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\Key]\n\"Number\"=-\n\"Absent\"=-\n"),
            Lines{"Key\\Number: dword:0x00000001 goes"});
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\Key]\n[HKLM\\SYSTEM\\Empty]\n"), Lines{"Empty is made"});
  EXPECT_EQ(changes("[-HKLM\\SYSTEM\\Key]\n[-HKLM\\SYSTEM\\Absent]\n"), Lines{"Key goes"});
}

TEST(Merge, OfOneSectionAfterTheOtherGivesWhatTheLastSays) {
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\Key]\n\"Text\"=\"a\"\n[HKLM\\SYSTEM\\key]\n\"TEXT\"=\"b\"\n"),
            Lines{"Key\\Text: \"old\" -> \"b\""});
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\Key]\n\"Text\"=\"a\"\n\"Text\"=\"old\"\n"), Lines());
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\Key]\n\"New\"=\"a\"\n\"NEW\"=\"b\"\n"),
            Lines{"Key\\New: - -> \"b\""});
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\Key]\n\"Text\"=\"a\"\n[-HKLM\\SYSTEM\\Key]\n"),
            Lines{"Key goes"});
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\New\\Key]\n\"a\"=\"a\"\n[-HKLM\\SYSTEM\\New]\n"), Lines());
  EXPECT_EQ(changes("[-HKLM\\SYSTEM\\Key]\n[-HKLM\\SYSTEM\\Key\\Below]\n"), Lines{"Key goes"});
}

TEST(Merge, MakesAKeyAnewThatGoes) {
  const std::string text =
      "[HKLM\\SYSTEM\\Key]\n\"Lost\"=\"x\"\n[-HKLM\\SYSTEM\\Key]\n"
      "[HKLM\\SYSTEM\\Key\\Below]\n\"Kept\"=\"y\"\n";
  EXPECT_EQ(changes(text), (Lines{"Key goes", "Key\\Below\\Kept: - -> \"y\""}));
  EXPECT_EQ(exported(merged(hive_of(present), text)),
            exported(hive_of("[\\Key]\n[\\Key\\Below]\n\"Kept\"=\"y\"\n[\\Other]\n")));
}

// Batches patch again and again: what is there already is not made anew.
TEST(Merge, LeavesAKeyThatWouldComeAgainTheSame) {
  const std::string gone = "[-HKLM\\SYSTEM\\Key]\n";
  const std::string values = "\"Text\"=\"old\"\n\"Number\"=dword:1\n\"x\"=-\n";
  const std::string key = "[HKLM\\SYSTEM\\Key]\n" + values;
  const std::string below = "[HKLM\\SYSTEM\\Key\\Below]\n\"Deep\"=\"x\"\n";
  const std::string deeper = "[HKLM\\SYSTEM\\Key\\Below\\Deeper]\n";
  EXPECT_EQ(changes(gone + key + below + deeper), Lines());
  EXPECT_EQ(changes(gone + deeper + below + key), Lines());
  EXPECT_EQ(changes(gone + key + "[-HKLM\\SYSTEM\\Key\\Below]\n" + below + deeper), Lines());
  EXPECT_EQ(changes("[-HKLM\\SYSTEM\\Other]\n[HKLM\\SYSTEM\\Other]\n"), Lines());
  for (const std::string& other :
       {gone + key + below, gone + key + deeper, gone + below + deeper,
        gone + key + "\"More\"=dword:1\n" + below + deeper,
        gone + key + "\"text\"=\"new\"\n" + below + deeper,
        gone + key + "\"number\"=-\n" + below + deeper,
        "[-HKLM\\SYSTEM\\key]\n[HKLM\\SYSTEM\\KEY]\n" + values + below + deeper,
        gone + "[HKLM\\SYSTEM\\Key]\n\"TEXT\"=\"old\"\n" + "\"Number\"=dword:1\n" + below + deeper,
        gone + key + below + deeper + "[HKLM\\SYSTEM\\Key\\New]\n"}) {
    const Lines lines = changes(other);
    ASSERT_FALSE(lines.empty()) << other;
    EXPECT_EQ(std::count(lines.begin(), lines.end(), "Key goes"), 1) << other;
    EXPECT_EQ(words(merge(Tree(merged(hive_of(present), other)), sections(other))), Lines())
        << other;
  }
}

// A key that is made has no class, and its parent's permissions.
TEST(Merge, MakesAKeyAnewThatHasWhatANewOneHasNot) {
  test::SoundHive hive = test::sound_hive();
  const auto text = [](const std::string& name) {
    return "[-HKLM\\SYSTEM\\" + name + "]\n[HKLM\\SYSTEM\\" + name + "]\n";
  };
  EXPECT_NE(words(merge(Tree(hive.bytes), sections(text("Gamma")))), Lines()) << "permissions";
  constexpr std::size_t key_security = 44;
  hive.set_u32(hive.gamma, key_security, hive.root_security);
  EXPECT_EQ(words(merge(Tree(hive.bytes), sections(text("Gamma")))), Lines());
  constexpr std::size_t key_class = 48;
  constexpr std::size_t key_class_size = 74;
  hive.set_u32(hive.gamma, key_class, hive.class_name);
  hive.set_u16(hive.gamma, key_class_size, 2);
  EXPECT_NE(words(merge(Tree(hive.bytes), sections(text("Gamma")))), Lines()) << "class";
}

TEST(Merge, GivesTheHiveThatItForetells) {
  const std::string text =
      "[HKLM\\SYSTEM\\Key]\n\"Text\"=-\n\"Big\"=hex:01,02\n[-HKLM\\SYSTEM\\Other]\n"
      "[HKLM\\SYSTEM\\A\\B]\n";
  const Bytes after = merged(hive_of(present), text);
  EXPECT_EQ(words(merge(Tree(after), sections(text))), Lines());
  EXPECT_EQ(exported(after),
            exported(hive_of("[\\A]\n[\\A\\B]\n[\\Key]\n\"Number\"=dword:00000001\n"
                             "\"Big\"=hex(3):01,02\n[\\Key\\Below]\n\"Deep\"=\"x\"\n"
                             "[\\Key\\Below\\Deeper]\n")));
}

TEST(Merge, TakesNamesForTheSameAsWindowsDoes) {
  const Bytes hive = hive_of("[\\Key]\n\"\xc3\x84rger\"=\"old\"\n\"\xc4\xb1x\"=\"dotless\"\n");
  const Merge found =
      merge(Tree(hive), sections("[HKLM\\SYSTEM\\Key]\n\"\xc3\xa4RGER\"=\"new\"\n"));
  EXPECT_EQ(words(found), Lines{"Key\\\xc3\x84rger: \"old\" -> \"new\""});
}

// "" or why the value cannot be set in a key that has another one.
std::string refusal_of(const std::string& wanted, const std::string& there) {
  const Bytes hive = edited(test::minimal_hive(), {{KeyPath::parse("Key"), {{there, sz("old")}}}});
  try {
    merge(Tree(hive), sections("[HKLM\\SYSTEM\\Key]\n\"" + wanted + "\"=\"new\"\n"));
    return {};
  } catch (const Unsupported& e) {
    return e.what();
  }
}

// Whether a dotless i has an upper case differs among Windows versions.
TEST(Merge, RefusesNamesThatMayOrMayNotBeTheSame) {
  EXPECT_EQ(refusal_of("Ix", "\u0131x"),
            "the hive has '\u0131x', which Windows may or may not take for 'Ix': spell it as the "
            "hive does, or, where another one is meant, make that in Windows itself");
  EXPECT_NE(refusal_of("\u017f", "s"), "");
  EXPECT_NE(refusal_of("k\u03b5", "\u212a\u03b5"), "");
  EXPECT_NE(refusal_of("\u03b5a", "\u0395A"), "");
  EXPECT_NE(refusal_of("\u00ff", "\u0178"), "");
}

TEST(Merge, TakesNamesForDifferentWhereOneLetterTellsThemApart) {
  EXPECT_EQ(refusal_of("ab", "\u0395\u03bb"), "");
  EXPECT_EQ(refusal_of("\u0395b", "\u03b5a"), "");
  EXPECT_EQ(refusal_of("Ax", "\u0131x"), "");
  EXPECT_EQ(refusal_of("\u017fx", "kx"), "");
  EXPECT_EQ(refusal_of("\u65e5", "\u03b5"), "");
  EXPECT_EQ(refusal_of("\u0395\u03bb", "\u0395\u03bb"), "");
}

// The line of what makes the merge impossible; 0: it is possible.
unsigned line_of_refusal(const Bytes& hive, const std::string& text) {
  try {
    merge(Tree(hive), sections(text));
    return 0;
  } catch (const UnsupportedInLine& e) {
    return e.line();
  }
}

// The hive has none of them: otherwise two imports would be refused, and one would not.
TEST(Merge, RefusesTwoNewNamesThatMayOrMayNotBeTheSame) {
  const Bytes hive = hive_of("[\\Key]\n");
  const auto line = [&](const std::string& text) { return line_of_refusal(hive, text); };
  const std::string key = "[HKLM\\SYSTEM\\Key]\n";
  EXPECT_EQ(line(key + "\"\u03b1\"=dword:1\n\"b\"=dword:1\n\"\u0391\"=dword:2\n"), 5U);
  EXPECT_EQ(line(key + "\"Ix\"=dword:1\n\"\u0131x\"=dword:2\n"), 4U);
  EXPECT_EQ(line(key + "\"\u0131x\"=dword:1\n\"Ix\"=dword:2\n"), 4U);
  EXPECT_EQ(line(key + "\"\u03b1\"=dword:1\n\"\u0391\"=-\n"), 4U);
  EXPECT_EQ(line(key + "\"\u03b1\"=dword:1\n" + key + "\"\u0391\"=dword:2\n"), 5U);
  EXPECT_EQ(line("[HKLM\\SYSTEM\\New]\n\"\u03b1\"=dword:1\n\"\u0391\"=dword:2\n"), 4U);
  EXPECT_EQ(line(key + "\"\u03b1\"=dword:1\n\"\u03b1\"=dword:2\n"), 0U);
  EXPECT_EQ(line(key + "\"\u03b1\"=dword:1\n\"\u03b1b\"=dword:2\n\"b\"=dword:2\n"), 0U);
  const Bytes both = hive_of("[\\Key]\n\"\u0394\"=\"x\"\n\"\u03b4\"=\"y\"\n");
  const std::string changed = key + "\"\u0394\"=\"a\"\n\"\u03b4\"=\"b\"\n";
  EXPECT_EQ(line_of_refusal(both, changed), 0U);
  EXPECT_EQ(line_of_refusal(both, "[-HKLM\\SYSTEM\\Key]\n" + changed), 5U);
}

TEST(Merge, RefusesToMakeAKeyThatMayBeOneThatIsToGo) {
  const Bytes hive = hive_of("[\\Key]\n");
  const auto line = [&](const std::string& text) { return line_of_refusal(hive, text); };
  const std::string gone = "[-HKLM\\SYSTEM\\Key\\\u017f]\n";
  EXPECT_EQ(line("[HKLM\\SYSTEM\\Key\\S]\n" + gone), 3U);
  EXPECT_EQ(line("\n[HKLM\\SYSTEM\\Key\\s\\Below]\n" + gone), 4U);
  EXPECT_EQ(line("[-HKLM\\SYSTEM\\Key]\n[HKLM\\SYSTEM\\Key\\S]\n" + gone), 4U);
  EXPECT_EQ(line("[HKLM\\SYSTEM\\Key\\T]\n" + gone), 0U);
  EXPECT_EQ(line("[HKLM\\SYSTEM\\S]\n" + gone), 0U);
  EXPECT_EQ(line(gone), 0U);
}

// Such a name reads as U+FFFD, and so do others.
TEST(Merge, RefusesNamesThatReadLikeOnesThatAreNoText) {
  Bytes hive = hive_of("[\\Key]\n\"\ufffdx\"=\"half\"\n\"b\"=dword:00000001\n");
  const auto value = [&](const std::string& line) {
    return line_of_refusal(hive, "[HKLM\\SYSTEM\\Key]\n" + line + "\n");
  };
  EXPECT_EQ(value("\"\ufffdx\"=-"), 0U);
  const std::array<std::byte, 2> replacement = {std::byte{0xFD}, std::byte{0xFF}};
  const auto found = std::ranges::search(hive, replacement);
  ASSERT_FALSE(found.empty());
  found[0] = std::byte{0x00};
  found[1] = std::byte{0xD8};
  EXPECT_EQ(value("\"\ufffdx\"=-"), 3U);
  EXPECT_EQ(value("\"\ufffdX\"=\"new\""), 3U);
  EXPECT_EQ(value("\"b\"=-"), 0U);
}

// How Windows orders the sibling's name is not known; that it is there before and after is.
TEST(Merge, MakesAndRemovesAKeyBesideOneOfAnotherScript) {
  const Bytes before =
      hive_of("[\\P]\n[\\P\\A]\n[\\P\\B]\n[\\P\\\u0395\u03bb]\n[\\P\\\u0395\u03bc]\n");
  const Bytes with_key = merged(before, "[HKLM\\SYSTEM\\P\\C]\n\"x\"=\"1\"\n");
  EXPECT_NE(exported(with_key), exported(before));
  EXPECT_EQ(exported(merged(with_key, "[-HKLM\\SYSTEM\\P\\C]\n")), exported(before));
  EXPECT_EQ(exported(merged(before, "[-HKLM\\SYSTEM\\P\\\u0395\u03bb]\n")),
            exported(hive_of("[\\P]\n[\\P\\A]\n[\\P\\B]\n[\\P\\\u0395\u03bc]\n")));
}

// What is below a key that goes is not looked for; what is above stays, as the hive spells it.
TEST(Merge, MakesAKeyAnewBelowOneThatIsSpelledInAnotherWay) {
  const Bytes hive = hive_of("[\\\u00c4]\n[\\\u00c4\\Key]\n\"old\"=\"x\"\n");
  const std::string text =
      "[-HKLM\\SYSTEM\\\u00e4\\Key]\n[HKLM\\SYSTEM\\\u00e4\\Key\\Sub]\n\"new\"=\"y\"\n";
  EXPECT_EQ(words(merge(Tree(hive), sections(text))),
            (Lines{"\u00c4\\Key goes", "\u00c4\\Key\\Sub\\new: - -> \"y\""}));
  EXPECT_EQ(
      exported(merged(hive, text)),
      exported(hive_of("[\\\u00c4]\n[\\\u00c4\\Key]\n[\\\u00c4\\Key\\Sub]\n\"new\"=\"y\"\n")));
}

TEST(Merge, NamesTheLineOfWhatHivexCannotMake) {
  const Bytes hive =
      hive_of("[\\Odd]\n\"empty\"=hex(3):\n\"x\"=\"x\"\n[\\\u00c4]\n[\\\u00c4\\Key]\n[\\Key]\n");
  EXPECT_EQ(line_of_refusal(hive, "[HKLM\\SYSTEM\\Key]\n\"a\"=hex:01\n\"b\"=hex:\n"), 4U);
  EXPECT_EQ(line_of_refusal(hive, "\n[HKLM\\SYSTEM\\Odd]\n\"x\"=\"y\"\n"), 3U);
  EXPECT_EQ(line_of_refusal(hive, "[HKLM\\SYSTEM\\Odd]\n\"x\"=\"x\"\n"), 0U);
  EXPECT_EQ(line_of_refusal(hive, "[HKLM\\SYSTEM\\Odd\\New]\n\"x\"=\"x\"\n"), 0U);
  EXPECT_EQ(line_of_refusal(hive, "[-HKLM\\SYSTEM\\Odd]\n[HKLM\\SYSTEM\\Odd]\n\"x\"=\"y\"\n"), 0U);
  EXPECT_EQ(line_of_refusal(hive, "[HKLM\\SYSTEM\\A\\\u00d6\\B]\n"), 2U);
  EXPECT_EQ(line_of_refusal(hive, "[HKLM\\SYSTEM\\\u00e4\\Key\\New]\n"), 0U);
  const std::string anew = "[-HKLM\\SYSTEM\\\u00c4\\Key]\n[HKLM\\SYSTEM\\\u00c4\\Key\\New]\n";
  EXPECT_EQ(line_of_refusal(hive, anew), 0U);
  EXPECT_EQ(line_of_refusal(hive, "[-HKLM\\SYSTEM\\\u00c4]\n[HKLM\\SYSTEM\\\u00c4]\n"), 3U);
  EXPECT_EQ(line_of_refusal(hive, "\n\n[-HKLM\\SYSTEM]\n"), 4U);
}

// Windows would never see what is written there.
TEST(Merge, RefusesWhatLeadsThroughASymbolicLink) {
  test::SoundHive hive = test::sound_hive();
  const auto line = [&](const std::string& text) { return line_of_refusal(hive.bytes, text); };
  const std::string below = "[HKLM\\SYSTEM\\Beta\\Delta]\n\"x\"=dword:1\n";
  EXPECT_EQ(line(below), 0U);
  constexpr std::size_t key_flags = 2;
  hive.set_u16(hive.beta, key_flags, KeyNode::symbolic_link | KeyNode::latin1_name);
  EXPECT_EQ(line(below), 2U);
  EXPECT_EQ(line("\n[HKLM\\SYSTEM\\beta]\n\"x\"=dword:1\n"), 3U);
  EXPECT_EQ(line("[HKLM\\SYSTEM\\Beta\\New\\Newer]\n"), 2U);
  EXPECT_EQ(line("[-HKLM\\SYSTEM\\Beta]\n"), 2U);
  EXPECT_EQ(line("[-HKLM\\SYSTEM\\Beta\\Delta]\n[HKLM\\SYSTEM\\Beta\\Delta]\n"), 3U);
  EXPECT_EQ(line("[HKLM\\SYSTEM\\Gamma]\n"), 0U);
}

TEST(Merge, RefusesTheLinkThatWindowsMakesWhenItStarts) {
  const auto refuse = [](const std::string& key) {
    refuse_link_of_windows(KeyPath::parse(key).elements());
  };
  EXPECT_THROW(refuse("ControlSet001\\hardware profiles\\current"), Unsupported);
  EXPECT_THROW(refuse("ControlSet002\\Hardware Profiles\\Current\\Software"), Unsupported);
  EXPECT_NO_THROW(refuse("ControlSet001\\Hardware Profiles\\0001"));
  EXPECT_NO_THROW(refuse("Other\\Hardware Profiles\\Current"));
}

// As if Windows had taken one section after the other.
TEST(Merge, KeepsWhatWasMadeOnTheWayToAKeyThatGoesAgain) {
  const std::string made = "[HKLM\\SYSTEM\\New\\Newer\\Key]\n";
  EXPECT_EQ(changes(made + "[-HKLM\\SYSTEM\\New\\Newer\\Key]\n"), Lines{"New\\Newer is made"});
  EXPECT_EQ(changes(made + "[-HKLM\\SYSTEM\\New\\Newer]\n"), Lines{"New is made"});
  EXPECT_EQ(changes(made + "[-HKLM\\SYSTEM\\New]\n"), Lines());
  EXPECT_EQ(changes("[-HKLM\\SYSTEM\\New\\Key]\n"), Lines());
  const std::string text =
      "[-HKLM\\SYSTEM\\Key]\n[HKLM\\SYSTEM\\Key\\A]\n\"x\"=\"y\"\n[-HKLM\\SYSTEM\\Key\\A]\n";
  EXPECT_EQ(exported(merged(hive_of(present), text)), exported(hive_of("[\\Key]\n[\\Other]\n")));
}

TEST(Merge, SpellsANewKeyAsItIsNamedFirst) {
  const std::string second = "[HKLM\\SYSTEM\\NEW\\B]\n[HKLM\\SYSTEM\\new\\A]\n";
  EXPECT_EQ(changes(second), (Lines{"NEW\\B is made", "NEW\\A is made"}));
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\new\\A]\n[HKLM\\SYSTEM\\NEW]\n\"x\"=\"y\"\n"),
            (Lines{"new\\A is made", "new\\x: - -> \"y\""}));
  EXPECT_EQ(changes("[-HKLM\\SYSTEM\\mk]\n[HKLM\\SYSTEM\\MK]\n"), Lines{"MK is made"});
  EXPECT_EQ(changes("[HKLM\\SYSTEM\\mk]\n[-HKLM\\SYSTEM\\mK]\n[HKLM\\SYSTEM\\MK]\n"),
            Lines{"MK is made"});
  const std::string again = "[-HKLM\\SYSTEM\\key]\n[HKLM\\SYSTEM\\KEY\\below]\n";
  EXPECT_EQ(exported(merged(hive_of(present), again)),
            exported(hive_of("[\\KEY]\n[\\KEY\\below]\n[\\Other]\n")));
}

// What hivex would make of more is many times as large as what is in it.
TEST(Merge, RefusesMoreNewKeysBesideEachOtherThanHivexMakesWell) {
  const Bytes hive = hive_of(present);
  const auto keys = [](const std::string& parent, unsigned count) {
    std::string text;
    for (unsigned i = 0; i < count; ++i)
      text += fmt::format("[HKLM\\SYSTEM\\{}\\{:05}]\n", parent, i);
    return text;
  };
  EXPECT_EQ(line_of_refusal(hive, keys("Many", 7093)), 0U);
  EXPECT_EQ(line_of_refusal(hive, keys("Many", 7094)), 7095U);
  EXPECT_EQ(line_of_refusal(hive, keys("Key", 7094)), 7094U) << "which has one already";
  EXPECT_EQ(line_of_refusal(hive, "[-HKLM\\SYSTEM\\Key]\n" + keys("Key", 7094)), 7096U);
}

TEST(Merge, NeverRemovesTheRoot) {
  const Bytes hive = hive_of(present);
  EXPECT_THROW(merge(Tree(hive), sections("[-HKLM\\SYSTEM]\n")), Unsupported);
}

TEST(Merge, IntoAnotherHiveIsRefusedByName) {
  try {
    sections("\n  [-HKEY_CURRENT_USER\\Software]\n");
    ADD_FAILURE() << "taken for a key of SYSTEM";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(),
                 "line 3, column 5: HKEY_CURRENT_USER\\Software is not in "
                 "HKEY_LOCAL_MACHINE\\SYSTEM");
  }
  EXPECT_THROW(parse_reg_path("SYSTEM"), Error);
  EXPECT_EQ(parse_reg_path("hklm\\Software"), (Lines{"HKEY_LOCAL_MACHINE", "Software"}));
}

TEST(Merge, PutsTheControlSetThatBootsNextInThePlaceOfTheCurrentOne) {
  const Bytes& hive = test::fixture_hive("two-control-sets.system");
  Lines key = {"currentcontrolset", "Services"};
  resolve_control_set(Contents(hive), key);
  EXPECT_EQ(key, (Lines{"ControlSet002", "Services"}));
  const Bytes none = hive_of(present);
  key = {"CurrentControlSet"};
  EXPECT_THROW(resolve_control_set(Contents(none), key), Unsupported);
  key = {"Key", "CurrentControlSet"};
  resolve_control_set(Contents(none), key);
  EXPECT_EQ(key, (Lines{"Key", "CurrentControlSet"}));
}

// In Windows the name is a link that no file has: a key of that name is nobody's control set.
TEST(Merge, RefusesCurrentControlSetWhereThereIsAKeyOfThatName) {
  const Bytes hive =
      merged(test::fixture_hive("nt61.system"), "[HKLM\\SYSTEM\\CURRENTControlSet]\n");
  Lines key = {"CurrentControlSet", "Services"};
  EXPECT_THROW(resolve_control_set(Contents(hive), key), Unsupported);
  key = {"ControlSet001", "Services"};
  resolve_control_set(Contents(hive), key);
  EXPECT_EQ(key, (Lines{"ControlSet001", "Services"}));
}

}  // namespace
}  // namespace kvmnet::hive
