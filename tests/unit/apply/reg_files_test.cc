// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/reg_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "hive/contents.h"
#include "hive/edit.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/apply/hive_file_fixture.h"

namespace kvmnet {
namespace {

using hive::RegEncoding;
using Lines = std::vector<std::string>;

// The first part of https://www.linux-kvm.org/page/WindowsGuestDrivers/kvmnet/registry.
constexpr const char* wiki_page =
    "Windows Registry Editor Version 5.00\n\n"
    "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\AFD\\Parameters]\n"
    "\"DefaultSendWindow\"=dword:00100000\n"
    "\"DefaultReceiveWindow\"=dword:00100000\n"
    "\"FastSendDatagramThreshold\"=dword:00004000\n\n\n"
    "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters]\n"
    "\"Tcp1323Opts\"=dword:00000001\n"
    "\"TcpWindowSize\"=dword:00100000\n";

class RegFilesTest : public test::HiveFileTest {
 protected:
  static RegRequest request(Mode mode = Mode::patch) {
    RegRequest request;
    request.mode = mode;
    request.root = {"HKEY_LOCAL_MACHINE", "SYSTEM"};
    return request;
  }
  static Outcome import(const std::string& hive, const Lines& files, Mode mode = Mode::patch) {
    return import_reg_files(hive, read(files), request(mode));
  }
  static RegInput read(const Lines& files) {
    return read_reg_files(files, std::nullopt, {"HKEY_LOCAL_MACHINE", "SYSTEM"});
  }
  static std::string changes(const Outcome& outcome) {
    std::string text;
    for (const Edit& edit : outcome.edits) {
      const EditText words = describe(edit, outcome.registry_root);
      text += words.verb + " " + words.target + ": " + words.old + " -> " + words.value + "\n";
    }
    return text;
  }
  std::string exported(const std::string& hive, const std::string& key) {
    const Fd to = make_memory_file("exported");
    const Outcome outcome = export_reg_file(hive, key, RegEncoding::utf8, to, request());
    EXPECT_EQ(outcome.status, Status::reported) << outcome.error;
    const auto bytes = read_whole(to);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

TEST_F(RegFilesTest, OfTheWikiPageGivesItsFiveValuesAndNothingElse) {
  const std::string hive = fixture("nt52.system");
  const Outcome outcome = import(hive, {file("wiki.reg", wiki_page)});
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  const std::string services = "set HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\";
  EXPECT_EQ(changes(outcome),
            services + "AFD\\Parameters\\DefaultSendWindow: (absent) -> dword:0x00100000\n" +
                services + "AFD\\Parameters\\DefaultReceiveWindow: (absent) -> dword:0x00100000\n" +
                services +
                "AFD\\Parameters\\FastSendDatagramThreshold: (absent) -> dword:0x00004000\n" +
                services + "Tcpip\\Parameters\\Tcp1323Opts: (absent) -> dword:0x00000001\n" +
                services + "Tcpip\\Parameters\\TcpWindowSize: (absent) -> dword:0x00100000\n");
  EXPECT_EQ(test::lines_added(test::listing(hive), {}).size(), 0U);
  const std::string twin = path("twin");
  test::write_file(twin, test::fixture_hive("nt52.system"));
  EXPECT_EQ(test::lines_added(test::listing(twin), test::listing(hive)).size(), 5U);
  const hive::Bytes after = test::read_file(hive);
  EXPECT_EQ(import(hive, {path("wiki.reg")}).status, Status::unchanged);
  EXPECT_EQ(test::read_file(hive), after);
}

// As "--reg <(...)" of a shell has them.
TEST_F(RegFilesTest, MayComeThroughAPipe) {
  const std::string hive = fixture("nt52.system");
  Pipe pipe = make_pipe();
  write_whole(pipe.write_end, wiki_page);
  pipe.write_end.reset();
  const Outcome outcome = import(hive, {proc_path(pipe.read_end)});
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  EXPECT_EQ(outcome.edits.size(), 5U);
}

TEST_F(RegFilesTest, GoIntoAHiveWithTheSettings) {
  const std::string hive = fixture("nt52.system");
  HiveFileRequest request = {Mode::patch, {5, 2, 0}, test::default_settings()};
  request.settings.reg = read({file("wiki.reg", wiki_page)});
  const Outcome outcome = patch_hive_file(hive, request);
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  EXPECT_EQ(outcome.edits.size(), 5U);
  EXPECT_TRUE(outcome.warnings.empty());
  EXPECT_EQ(patch_hive_file(hive, request).status, Status::unchanged);
}

TEST_F(RegFilesTest, AreOnlyForetoldByADryRun) {
  const std::string hive = fixture("nt52.system");
  const Outcome outcome = import(hive, {file("wiki.reg", wiki_page)}, Mode::plan);
  EXPECT_EQ(outcome.status, Status::pending);
  EXPECT_EQ(outcome.edits.size(), 5U);
  EXPECT_EQ(test::read_file(hive), test::fixture_hive("nt52.system"));
}

TEST_F(RegFilesTest, AreAppliedAllOrNotAtAll) {
  const std::string hive = fixture("nt52.system");
  const std::string good = file("good.reg", wiki_page);
  struct Case {
    const char* text;
    const char* error;
  };
  for (const auto& [text, error] :
       {Case{"REGEDIT4\n\n[HKLM\\SYSTEM\\A]\n\"a\"=dwrd:1\n", "line 4, column 5"},
        Case{"REGEDIT4\n[HKEY_CURRENT_USER\\A]\n",
             "line 2, column 2: HKEY_CURRENT_USER\\A is not in"},
        Case{"[HKLM\\SYSTEM\\A]\n", "line 1"}}) {
    try {
      import(hive, {good, file("bad.reg", text)});
      ADD_FAILURE() << text;
    } catch (const UsageError& e) {
      EXPECT_EQ(std::string(e.what()).find(path("bad.reg") + ", " + error), 0U) << e.what();
    }
  }
  EXPECT_THROW(import(hive, {good, path("none.reg")}), UsageError);
  // What hivex would damage.
  const Outcome refused =
      import(hive, {good, file("empty.reg", "REGEDIT4\n[HKLM\\SYSTEM\\A]\n\"a\"=hex:\n")});
  EXPECT_EQ(refused.status, Status::refused);
  EXPECT_EQ(code(refused.refusal->reason), "hive-not-editable");
  EXPECT_EQ(
      refused.refusal->message.find(path("empty.reg") + ", line 3, column 1: a value of 0 bytes"),
      0U)
      << refused.refusal->message;
  EXPECT_EQ(test::read_file(hive), test::fixture_hive("nt52.system"));
}

TEST_F(RegFilesTest, AreTakenInTheirOrderAndSayWhereEachChangeIs) {
  const std::string hive = fixture("nt52.system");
  const Outcome outcome =
      import(hive, {file("a.reg", "REGEDIT4\n[HKLM\\SYSTEM\\A]\n\"x\"=\"a\"\n\"y\"=\"a\"\n"),
                    file("b.reg", "REGEDIT4\n\n[HKLM\\SYSTEM\\A]\n\"y\"=\"b\"\n")});
  ASSERT_EQ(outcome.edits.size(), 2U);
  EXPECT_EQ(describe(outcome.edits[0]).why, path("a.reg") + ", line 3");
  EXPECT_EQ(describe(outcome.edits[1]).why, path("b.reg") + ", line 4");
  EXPECT_EQ(describe(outcome.edits[1]).value, "\"b\"");
}

// hivex fails at the name of another key, and does not say more.
TEST_F(RegFilesTest, NameTheLineOfWhatHivexRefuses) {
  const std::string hive = fixture("nt52.system");
  const std::string half = "\xef\xbf\xbdhalf";  // U+FFFD, which half a surrogate pair replaces
  test::merge(hive, "[\\A]\n\n[\\A\\" + half + "]\n");
  hive::Bytes bytes = test::read_file(hive);
  const std::array name = {std::byte{0xFD}, std::byte{0xFF}, std::byte{'h'}, std::byte{0}};
  const auto found = std::ranges::search(bytes, name);
  ASSERT_FALSE(found.empty());
  found[0] = std::byte{0x00};
  found[1] = std::byte{0xD8};
  test::write_file(hive, bytes);
  const Outcome outcome =
      import(hive, {file("a.reg", "REGEDIT4\n[HKLM\\SYSTEM\\B]\n[HKLM\\SYSTEM\\A\\New]\n")});
  EXPECT_EQ(outcome.status, Status::refused) << outcome.error;
  ASSERT_TRUE(outcome.refusal);
  EXPECT_NE(outcome.refusal->message.find("a.reg, line 3, column 2: hivex: "), std::string::npos)
      << outcome.refusal->message;
  EXPECT_EQ(test::read_file(hive), bytes);
}

TEST_F(RegFilesTest, CanMakeAKeyAnew) {
  const std::string hive = fixture("nt52.system");
  const Outcome outcome =
      import(hive, {file("anew.reg",
                         "REGEDIT4\n[-HKLM\\SYSTEM\\CurrentControlSet\\Services\\AFD]\n"
                         "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\AFD]\n\"a\"=dword:5\n")});
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  EXPECT_EQ(exported(hive, "CurrentControlSet\\Services\\AFD"),
            "Windows Registry Editor Version 5.00\n\n"
            "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\AFD]\n"
            "\"a\"=dword:00000005\n\n");
}

// As if Windows had taken one section after the other.
TEST_F(RegFilesTest, KeepWhatWasMadeOnTheWayToAKeyThatGoesAgain) {
  const std::string hive = fixture("nt52.system");
  const auto edits = [&](const std::string& text) {
    const Outcome outcome = import(hive, {file("a.reg", "REGEDIT4\n" + text)}, Mode::plan);
    EXPECT_EQ(outcome.status, Status::pending) << outcome.error;
    return outcome.edits.size();
  };
  EXPECT_EQ(edits("[HKLM\\SYSTEM\\A\\B]\n[-HKLM\\SYSTEM\\A\\B]\n"), 1U);
  EXPECT_EQ(edits("[HKLM\\SYSTEM\\A\\B\\C]\n\"x\"=dword:1\n[-HKLM\\SYSTEM\\a\\b\\c]\n"
                  "[-HKLM\\SYSTEM\\A\\B]\n"),
            1U);
  EXPECT_EQ(edits("[HKLM\\SYSTEM\\CurrentControlSet\\A\\B\\C]\n"
                  "[HKLM\\SYSTEM\\CurrentControlSet\\A\\B\\D]\n"
                  "[-HKLM\\SYSTEM\\CurrentControlSet\\A\\B\\C]\n"),
            2U);
  EXPECT_EQ(edits("[-HKLM\\SYSTEM\\Select]\n[HKLM\\SYSTEM\\SELECT\\x\\y]\n"
                  "[-HKLM\\SYSTEM\\Select\\x\\y]\n"),
            2U);
}

TEST_F(RegFilesTest, SayNothingOfCurrentControlSetWhereThereIsAKeyOfThatName) {
  const std::string hive = fixture("nt52.system");
  test::merge(hive, "[\\CurrentControlSet]\n");
  const Outcome refused = import(hive, {file("wiki.reg", wiki_page)});
  EXPECT_EQ(refused.status, Status::refused);
  EXPECT_EQ(code(refused.refusal->reason), "hive-not-editable");
  EXPECT_EQ(
      refused.refusal->message.find(path("wiki.reg") + ", line 3, column 2: the hive has a key"),
      0U)
      << refused.refusal->message;
  const Fd to = make_memory_file("exported");
  const Outcome exported =
      export_reg_file(hive, "CurrentControlSet", RegEncoding::utf16, to, request());
  EXPECT_EQ(exported.status, Status::failed);
  EXPECT_EQ(exported.error.find("the hive has a key CurrentControlSet"), 0U) << exported.error;
  HiveFileRequest patching = {Mode::patch, {5, 2, 0}, test::default_settings()};
  patching.settings.reg = read({file("wiki.reg", wiki_page)});
  const Outcome patched = patch_hive_file(hive, patching);
  EXPECT_EQ(patched.status, Status::refused);
  EXPECT_EQ(patched.refusal->message.find("--reg: " + path("wiki.reg") +
                                          ", line 3, column 2: the hive has"),
            0U)
      << patched.refusal->message;
  patching.settings.reg = {};
  EXPECT_EQ(patch_hive_file(hive, patching).status, Status::patched) << "the profile alone";
}

TEST_F(RegFilesTest, AreOnlyMadeOfKeysThatAreThere) {
  const std::string hive = fixture("nt52.system");
  EXPECT_NE(exported(hive, "HKLM\\SYSTEM\\Select").find("\"Default\"=dword:00000001"),
            std::string::npos);
  const Fd to = make_memory_file("exported");
  const Outcome outcome = export_reg_file(hive, "Nowhere", RegEncoding::utf16, to, request());
  EXPECT_EQ(outcome.status, Status::failed);
  EXPECT_EQ(outcome.error, hive + ": there is no key Nowhere");
  EXPECT_EQ(exported(hive, "HKLM\\SYSTEM\\Select\\"), exported(hive, "Select"));
  EXPECT_EQ(exported(hive, "HKLM\\SYSTEM\\"), exported(hive, ""));
}

TEST_F(RegFilesTest, OfWhatIsNoKeyOfTheHiveAreWrongUsage) {
  const std::string hive = fixture("nt52.system");
  const auto complaint = [&](const std::string& key) -> std::string {
    const Fd to = make_memory_file("exported");
    try {
      export_reg_file(hive, key, RegEncoding::utf16, to, request());
      return {};
    } catch (const UsageError& e) {
      return e.what();
    }
  };
  EXPECT_EQ(complaint("HKCU\\Nowhere"),
            "key 'HKCU\\Nowhere': HKEY_CURRENT_USER\\Nowhere is not in HKEY_LOCAL_MACHINE\\SYSTEM");
  EXPECT_EQ(
      complaint("HKLM\\SYSTEMx"),
      "key 'HKLM\\SYSTEMx': HKEY_LOCAL_MACHINE\\SYSTEMx is not in HKEY_LOCAL_MACHINE\\SYSTEM");
  EXPECT_EQ(complaint("HKEY_DYN_DATA\\x"),
            "key 'HKEY_DYN_DATA\\x': HKEY_DYN_DATA\\x is not in HKEY_LOCAL_MACHINE\\SYSTEM");
  EXPECT_EQ(complaint("HKxyz"), "") << "a key like another";
  EXPECT_EQ(complaint("\x1bSelect\\\\"), "key '\\x1bSelect\\\\': a key path has an empty element");
  EXPECT_NE(complaint("\\"), "");
}

// A file that would be read as another one, or that a terminal would obey.
TEST_F(RegFilesTest, AreNotMadeOfAKeyWhoseNameTheyCannotHave) {
  const std::string hive = fixture("nt52.system");
  const Fd from = make_memory_file("hive");
  const Fd to = make_memory_file("exported");
  write_whole(from, test::read_file(hive));
  const std::vector<hive::KeyEdit> keys = {{hive::KeyPath::parse("x] ;y"), {}}};
  hive::edit(from.get(), to.get(), keys, {});
  test::write_file(hive, read_whole(to));
  const auto error = [&](const std::string& key, RegEncoding encoding) {
    return export_reg_file(hive, key, encoding, to, request()).error;
  };
  EXPECT_EQ(error("x] ;y", RegEncoding::utf16), "no .reg file can have a key of the name 'x] ;y'");
  EXPECT_THROW(hive::require_fit_for_reg("\x1bz", RegEncoding::utf8), hive::Unsupported);
  EXPECT_NO_THROW(hive::require_fit_for_reg("\x1bz", RegEncoding::utf16));
  EXPECT_THROW(hive::require_fit_for_reg("n\nl", RegEncoding::utf16), hive::Unsupported);
}

// Control sets are in SYSTEM alone.
TEST_F(RegFilesTest, OfOtherHivesMayHaveWhatIsSpecialInSystem) {
  const std::string hive = path("software");
  test::write_file(hive, test::minimal_hive());
  const RegRequest software = {Mode::plan, {"HKEY_LOCAL_MACHINE", "SOFTWARE"}};
  RegInput input;
  const std::string text =
      "REGEDIT4\n[HKLM\\SOFTWARE\\CurrentControlSet\\x]\n"
      "[HKLM\\SOFTWARE\\ControlSettings\\Hardware Profiles\\Current]\n";
  input.add("a.reg", std::as_bytes(std::span(text)), std::nullopt, software.root);
  const Outcome outcome = import_reg_files(hive, std::move(input), software);
  EXPECT_EQ(outcome.status, Status::pending) << outcome.error;
  EXPECT_EQ(outcome.edits.size(), 2U);
  // SYSTEM is SYSTEM wherever it is said to be.
  const std::string system = fixture("nt61.system");
  const RegRequest offline = {Mode::plan, {"HKEY_LOCAL_MACHINE", "OFFLINE"}};
  for (const auto& [key, expected] : std::vector<std::pair<std::string, Status>>{
           {"CurrentControlSet\\Services\\x", Status::pending},
           {"CurrentControlSet\\Hardware Profiles\\Current", Status::refused}}) {
    RegInput one;
    const std::string lines = "REGEDIT4\n[HKLM\\OFFLINE\\" + key + "]\n";
    one.add("b.reg", std::as_bytes(std::span(lines)), std::nullopt, offline.root);
    const Outcome result = import_reg_files(system, std::move(one), offline);
    EXPECT_EQ(result.status, expected) << result.error;
    for (const Edit& edit : result.edits)
      EXPECT_EQ(describe(edit).target.find("CurrentControlSet"), std::string::npos);
  }
}

TEST_F(RegFilesTest, InNoEncodingOfThisHostAreWrongUsage) {
  try {
    read_reg_files({file("a.reg", "\xFF\xFER")}, 99999, {"HKEY_LOCAL_MACHINE", "SYSTEM"});
    ADD_FAILURE() << "taken";
  } catch (const UsageError& e) {
    EXPECT_EQ(std::string(e.what()).find("--code-page 99999: this host cannot"), 0U) << e.what();
  }
}

// A terminal would obey them.
TEST_F(RegFilesTest, AreNamedWithoutControlCharacters) {
  const std::string hive = fixture("nt52.system");
  const auto complaint = [](const Lines& files) -> std::string {
    try {
      read(files);
      return {};
    } catch (const UsageError& e) {
      return e.what();
    }
  };
  const std::string name = path("\x1b[2J.reg");
  const std::string shown = path("\\x1b[2J.reg");
  EXPECT_EQ(complaint({name}), shown + ": No such file or directory");
  EXPECT_EQ(complaint({file("\x1b[2J.reg", "x")}).find(shown + ", line 1, column 1: not a"), 0U);
  file("\x1b[2J.reg", "REGEDIT4\n[HKLM\\SYSTEM\\A]\n\"a\"=hex:\n");
  const Outcome refused = import(hive, {name});
  ASSERT_TRUE(refused.refusal);
  EXPECT_EQ(refused.refusal->message,
            shown + ", line 3, column 1: a value of 0 bytes: hivex can write 1 to 16344");
}

TEST_F(RegFilesTest, NeitherIntoNorOutOfAHiveThatIsNotClosedAndHasNoLogs) {
  const std::string hive = path("SYSTEM");
  const hive::Bytes dirty = test::with_dirty_header(test::fixture_hive("nt52.system"));
  test::write_file(hive, dirty);
  const Fd to = make_memory_file("exported");
  for (const Outcome& outcome : {import(hive, {file("wiki.reg", wiki_page)}),
                                 export_reg_file(hive, "", RegEncoding::utf16, to, request())}) {
    EXPECT_EQ(outcome.status, Status::refused);
    EXPECT_EQ(code(outcome.refusal->reason), "dirty-hive");
  }
  EXPECT_EQ(test::read_file(hive), dirty);
  EXPECT_TRUE(read_whole(to).empty());
}

TEST_F(RegFilesTest, BelongWhereTheHivesNameSays) {
  EXPECT_EQ(registry_path("/x/system", ""), (Lines{"HKEY_LOCAL_MACHINE", "SYSTEM"}));
  EXPECT_EQ(registry_path("NTUSER.DAT", ""), Lines{"HKEY_CURRENT_USER"});
  EXPECT_EQ(registry_path("SYSTEM", "hklm\\Offline"), (Lines{"HKEY_LOCAL_MACHINE", "Offline"}));
  EXPECT_THROW(registry_path("hive", ""), UsageError);
  EXPECT_THROW(registry_path("SYSTEM", "Offline"), UsageError);
}

}  // namespace
}  // namespace kvmnet
