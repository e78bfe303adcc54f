// What others may learn from the page file and from core files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/arena.h"
#include "tests/stress/page_content.h"
#include "tests/support/running_pager.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 256;
constexpr uint64_t kPages = 64;

struct Mapping {
  uint64_t begin;
  uint64_t end;
  std::string access;
  std::string name;
  std::string flags;  // with a space around each
};

std::vector<Mapping> Mappings() {
  std::vector<Mapping> mappings;
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  while (std::getline(smaps, line)) {
    unsigned long begin;
    unsigned long end;
    char access[8];
    int name_at = 0;
    if (sscanf(line.c_str(), "%lx-%lx %7s %*s %*s %*s %n", &begin, &end, access, &name_at) == 3) {
      mappings.push_back({begin, end, access, line.substr(static_cast<size_t>(name_at)), ""});
    } else if (line.rfind("VmFlags:", 0) == 0) {
      mappings.back().flags = line.substr(8) + " ";
    }
  }
  return mappings;
}

class SecretsTest : public testing::TestWithParam<Road> {
 protected:
  void StartIn(const std::string& place) {
    PagerOptions options = RunningPager::Options(GetParam(), kLimitPages);
    options.page_file_path = place;
    pager_ = std::make_unique<RunningPager>();
    if (!pager_->Start(options)) GTEST_SKIP() << pager_->why();
    vad_ = pager_->Reserve(kPages);
    for (uint64_t i = 0; i < kPages; ++i) stress::FillPage(WordsOf(At(i)), i, 0);
  }
  PageIndex At(uint64_t i) const { return vad_->range.begin + PageCount(i); }

  TempDirectory directory_;
  std::unique_ptr<RunningPager> pager_;
  Vad* vad_ = nullptr;
};

TEST_P(SecretsTest, ThePageFileHasNoNameAndIsItsOwnersAlone) {
  const mode_t before = umask(0);
  StartIn(directory_.path());
  umask(before);
  if (IsSkipped()) return;
  struct stat status{};
  ASSERT_EQ(fstat((*pager_)->page_file().descriptor(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0u);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(directory_.entries(), 0u);
  EXPECT_NE(fcntl((*pager_)->page_file().descriptor(), F_GETFD) & FD_CLOEXEC, 0);
}

// No word of a page is in its slot of an encrypted file, and all are in one that is not.
TEST_P(SecretsTest, TheFileHasWhatTheOptionSays) {
  StartIn("/var/tmp");
  if (IsSkipped()) return;
  ASSERT_TRUE(pager_->PushOut(*vad_));
  alignas(kPageBytes) uint64_t content[stress::kWordsInPage];
  uint64_t readable = 0;
  for (uint64_t i = 0; i < kPages; ++i) {
    const PageFile& file = (*pager_)->page_file();
    const auto offset = static_cast<off_t>(file.OffsetOf(vad_->Load(At(i)).slot()));
    ASSERT_EQ(pread(file.descriptor(), content, kPageBytes, offset),
              static_cast<ssize_t>(kPageBytes));
    const uint64_t key = stress::ContentKey(i, 0);
    for (size_t k = 0; k < stress::kWordsInPage; ++k) {
      readable += content[k] == stress::ContentWord(key, k);
    }
  }
  EXPECT_EQ(readable, GetParam().encrypt ? 0 : kPages * stress::kWordsInPage);
  for (uint64_t i = 0; i < kPages; ++i) {
    EXPECT_EQ(stress::FirstWrongWord(WordsOf(At(i)), i, 0), stress::kWordsInPage) << i;
  }
}

// Of what the pager maps for itself nothing is in a core file but the stacks of its threads and
// pages of zeros: not the metadata, not the parked pages, not the buffers. The program's memory is.
TEST_P(SecretsTest, WhatIsThePagersOwnIsInNoCoreFile) {
  StartIn("/var/tmp");
  if (IsSkipped()) return;
  ASSERT_TRUE(pager_->PushOut(*vad_));
  uint64_t left_out = 0;
  for (const Mapping& mapping : Mappings()) {
    const bool ours = mapping.begin == AddressOf(vad_->range.begin);
    if (ours) {
      EXPECT_EQ(mapping.flags.find(" dd "), std::string::npos) << mapping.flags;
    }
    // Faults of the program's memory are answered; of the pager's own, the parking area's.
    const bool managed = mapping.flags.find(" um ") != std::string::npos;
    const bool excluded = mapping.flags.find(" dd ") != std::string::npos;
    if (managed && excluded) left_out += mapping.end - mapping.begin;
  }
  if (GetParam().move) {
    EXPECT_GE(left_out, kLimitPages * kPageBytes);
  }
  ArenaArray<uint64_t> metadata(1 << 16);
  void* const small = Arena::Allocate(64);
  uint64_t found = 0;
  for (const Mapping& mapping : Mappings()) {
    for (const void* block : {static_cast<const void*>(metadata.data()),
                              static_cast<const void*>(small)}) {
      const auto at = reinterpret_cast<uint64_t>(block);
      if (at < mapping.begin || at >= mapping.end) continue;
      ++found;
      EXPECT_NE(mapping.flags.find(" dd "), std::string::npos) << mapping.flags;
    }
  }
  EXPECT_EQ(found, 2u);
  Arena::Free(small, 64);
}

INSTANTIATE_TEST_SUITE_P(Roads, SecretsTest,
                         testing::Values(Road{true}, Road{false},
                                         Road{.move = true, .encrypt = true}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
