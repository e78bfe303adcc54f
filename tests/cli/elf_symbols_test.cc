// Symbol tables of this program, whole and damaged.
#include "runtime/cli/elf_symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "runtime/platform/loaded_modules.h"
#include "tests/support/seed.h"
#include "tests/support/temp_directory.h"

namespace userpager::cli {
namespace {

using testing::HasSubstr;

[[gnu::noinline, gnu::used]] int AFunctionWithAName(int argument) {
  asm volatile("" : "+r"(argument));
  return argument + 1;
}

TEST(ElfSymbols, TellWhereAnAddressIs) {
  LoadedModules modules;
  ASSERT_EQ(0, modules.Init());
  const auto all = modules.TakeIfChanged();
  ASSERT_FALSE(all.empty());
  const TraceModule& program = all[0];
  EXPECT_THAT(program.path, HasSubstr("cli_elf_symbols_test"));
  const auto at = reinterpret_cast<uint64_t>(&AFunctionWithAName);
  EXPECT_GE(at, program.begin);
  EXPECT_LT(at, program.end);
  EXPECT_TRUE(modules.TakeIfChanged().empty()) << "nothing was loaded since";

  ElfSymbols symbols;
  ASSERT_TRUE(symbols.Open("/proc/self/exe"));
  EXPECT_EQ(HexText(program.build_id, program.build_id_bytes), symbols.build_id());
  EXPECT_THAT(symbols.NameAt(at - program.load_address + 1),
              HasSubstr("AFunctionWithAName(int)"));
  EXPECT_EQ("", symbols.NameAt(0));
  EXPECT_EQ("", symbols.NameAt(UINT64_MAX));
}

TEST(ElfSymbols, WhatIsNoProgramHasNone) {
  const TempDirectory folder;
  constexpr const char* kLetter =
      "a letter, and no program, but longer than a header of one would have to be: dear reader";
  for (const char* content : {"", "\x7f" "ELF", kLetter}) {
    WriteFile(folder / "file", content);
    EXPECT_FALSE(ElfSymbols().Open(folder / "file"));
  }
  EXPECT_FALSE(ElfSymbols().Open(folder / "none"));
  EXPECT_FALSE(ElfSymbols().Open(folder.path()));
}

// Whatever a file says of itself, nothing outside of it is read: AddressSanitizer would tell.
TEST(ElfSymbols, DamagedFilesDoNoHarm) {
  const TempDirectory folder;
  const std::string whole = ContentOf("/bin/true");
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    if (round % 3 == 0) damaged.resize(random() % whole.size());
    for (int i = 0; i < 40 && !damaged.empty(); ++i) {
      // Headers are at the beginning, tables of sections at the end.
      const size_t near = random() % std::min<size_t>(damaged.size(), 2048);
      damaged[random() % 2 == 0 ? near : damaged.size() - 1 - near] = static_cast<char>(random());
    }
    if (damaged.size() >= 4) damaged.replace(0, 4, "\x7f" "ELF");
    WriteFile(folder / "file", damaged);
    ElfSymbols symbols;
    symbols.Open(folder / "file");
    (void)symbols.NameAt(random() % whole.size());
  }
}

}  // namespace
}  // namespace userpager::cli
