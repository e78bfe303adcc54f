// discard:on: the page file shrinks on the disk when what is in it goes, and keeps what was
// promised. Each case in a process of its own, as a process has one pager for good.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <cstdint>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kBytes = 192 * kMiB;
constexpr uint64_t kStep = 6;  // of pages that are written
// Free slots that keep their disk space (runtime/api/commit_limit.cc), and what does not make runs.
constexpr uint64_t kKept = 64 * kMiB;
constexpr uint64_t kRest = 2 * kMiB;

userpager_stats Stats() {
  userpager_stats stats = {};
  stats.struct_bytes = sizeof stats;
  (void)userpager_get_stats(&stats);
  return stats;
}

uint64_t WordOf(uint64_t page, uint64_t round) { return page * 0x9e3779b97f4a7c15 + round + 1; }

uint64_t* Commit() {
  return static_cast<uint64_t*>(
      VirtualAlloc(nullptr, kBytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
}

// Writes to some of the pages, twice as many as memory holds, and reads them back.
std::string Use(uint64_t* memory, uint64_t round) {
  constexpr uint64_t kWords = kPage / sizeof(uint64_t);
  for (uint64_t page = 0; page < kBytes / kPage; page += kStep) {
    memory[page * kWords] = memory[page * kWords + kWords - 1] = WordOf(page, round);
  }
  for (uint64_t page = 0; page < kBytes / kPage; page += kStep) {
    if (memory[page * kWords] != WordOf(page, round) ||
        memory[page * kWords + kWords - 1] != WordOf(page, round)) {
      return "page " + std::to_string(page) + " is wrong";
    }
  }
  return "";
}

uint64_t DiskBytes(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

// Waits for the thread that gives disk space back: the state, and no time, decides.
bool FallsTo(const std::string& path, uint64_t bytes) {
  for (unsigned i = 0; i < 3000 && DiskBytes(path) > bytes; ++i) usleep(20'000);
  return DiskBytes(path) <= bytes;
}

std::string UseTwice(const std::string& path, const char* options) {
  userpager_options chosen;
  userpager_options_init(&chosen);
  const std::string text = "memory:16M,page_file_max:512M,page_file:" + path + "," + options;
  if (userpager_options_parse(&chosen, text.c_str()) != 0 || userpager_start(&chosen) != 0) {
    return userpager_error_message();
  }
  for (uint64_t round = 0; round < 2; ++round) {
    uint64_t* const memory = Commit();
    if (memory == nullptr) return "VirtualAlloc: " + std::to_string(GetLastError());
    if (std::string wrong = Use(memory, round); !wrong.empty()) return wrong;
    // What is promised keeps its place, whatever is free of it.
    const bool strict = Stats().commit == USERPAGER_COMMIT_STRICT;
    if (strict && Stats().page_file_allocated_bytes + 16 * kMiB < kBytes) return "a promise broken";
    if (strict && DiskBytes(path) + 16 * kMiB < kBytes) return "no disk space for a promise";
    if (!VirtualFree(memory, 0, MEM_RELEASE)) return "VirtualFree";
    if (!FallsTo(path, kKept + kRest)) {
      return "after round " + std::to_string(round) + " the file still has " +
             std::to_string(DiskBytes(path)) + " bytes";
    }
  }
  const userpager_stats stats = Stats();
  if (stats.page_file_allocated_bytes > kKept + kRest) return "slots without space are counted";
  return stats.page_file_discarded_bytes >= kBytes - 16 * kMiB - kKept - kRest
             ? ""
             : "the statistics tell of " + std::to_string(stats.page_file_discarded_bytes);
}

class DiscardTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string problem = InChild([]() -> std::string {
      return userpager_start(nullptr) == 0 ? "" : userpager_error_message();
    });
    if (!problem.empty()) GTEST_SKIP() << "the pager cannot run here: " << problem;
    WriteFile(path_, "");
  }

  TempDirectory directory_;
  const std::string path_ = directory_ / "pages";
};

TEST_F(DiscardTest, ThePageFileShrinksAndGrowsAgain) {
  EXPECT_EQ(InChild([&] { return UseTwice(path_, "discard:on"); }), "");
}

TEST_F(DiscardTest, SoWithLazyCommit) {
  EXPECT_EQ(InChild([&] { return UseTwice(path_, "discard:on,commit:lazy"); }), "");
}

TEST_F(DiscardTest, SoWithEncryptionAndWithoutMove) {
  EXPECT_EQ(InChild([&] { return UseTwice(path_, "discard:on,encrypt:aes-xts,move:off"); }), "");
}

// While what was committed stays committed, its disk space stays, however little of it is in use.
TEST_F(DiscardTest, APromiseKeepsItsDiskSpace) {
  EXPECT_EQ(InChild([&]() -> std::string {
              userpager_options chosen;
              userpager_options_init(&chosen);
              const std::string text =
                  "memory:16M,page_file_max:512M,discard:on,page_file:" + path_;
              if (userpager_options_parse(&chosen, text.c_str()) != 0 ||
                  userpager_start(&chosen) != 0) {
                return userpager_error_message();
              }
              uint64_t* const kept = Commit();
              uint64_t* const freed = Commit();
              if (kept == nullptr || freed == nullptr) return "VirtualAlloc";
              const uint64_t before = DiskBytes(path_);
              if (!VirtualFree(freed, 0, MEM_RELEASE)) return "VirtualFree";
              // It shrinks by what was freed, so the thread has looked, and not by more.
              if (!FallsTo(path_, before - kBytes / 2)) return "nothing was given back";
              for (unsigned i = 0; i < 3; ++i) {
                const uint64_t discarded = Stats().page_file_discarded_bytes;
                usleep(1'100'000);
                if (Stats().page_file_discarded_bytes == discarded) break;
              }
              if (Stats().page_file_allocated_bytes + 16 * kMiB < kBytes) return "a promise broken";
              return Use(kept, 7);
            }),
            "");
}

}  // namespace
}  // namespace userpager
