// The fault injector itself: each kind of fault happens when asked for, nothing else does, and the
// same seed gives the same faults.
#include "tests/support/failing_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/types.h"
#include "runtime/page_file/thread_engine.h"
#include "tests/support/seed.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kPatience = 30'000'000'000;
constexpr uint64_t kPages = 64;

class FailingEngineTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = open((directory_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(file_, 0);
    ASSERT_EQ(ftruncate(file_, kPages * kPageBytes), 0);
  }
  void TearDown() override { close(file_); }

  // Transfers every page by itself, all at once. Returns the completions in the order in which they
  // came, after checking that there is one for each.
  std::vector<IoCompletion> TransferAll(FailingEngine* engine, IoDirection direction) {
    std::vector<iovec> parts;
    for (uint64_t page = 0; page < kPages; ++page) {
      parts.push_back({&memory_[page * kPageBytes], kPageBytes});
    }
    for (uint64_t page = 0; page < kPages; ++page) {
      engine->Submit({direction, file_, {&parts[page], 1}, page * kPageBytes, page});
    }
    std::vector<IoCompletion> all;
    std::set<uint64_t> tags;
    while (all.size() < kPages) {
      IoCompletion some[8];
      const size_t count = engine->Wait(some, kPatience);
      EXPECT_GT(count, 0u);
      if (count == 0) break;
      for (size_t i = 0; i < count; ++i) EXPECT_TRUE(tags.insert(some[i].tag).second);
      all.insert(all.end(), some, some + count);
    }
    return all;
  }

  std::vector<int64_t> ResultsByTag(FailingEngine* engine, IoDirection direction) {
    std::vector<IoCompletion> all = TransferAll(engine, direction);
    std::sort(all.begin(), all.end(),
              [](const IoCompletion& a, const IoCompletion& b) { return a.tag < b.tag; });
    std::vector<int64_t> results;
    for (const IoCompletion& completion : all) results.push_back(completion.result);
    return results;
  }

  // Bytes of the file that differ from `expected`.
  uint64_t BytesNot(char expected) {
    const std::string content = ContentOf(directory_ / "file");
    return content.size() -
           static_cast<uint64_t>(std::count(content.begin(), content.end(), expected));
  }

  TempDirectory directory_;
  int file_ = -1;
  std::string memory_ = std::string(kPages * kPageBytes, 'a');
};

TEST_F(FailingEngineTest, PassesEverythingOnWithoutAPlan) {
  ThreadEngine inner;
  FailingEngine engine(&inner, {}, TestSeed());
  ASSERT_EQ(engine.Open(), 0);
  EXPECT_EQ(ResultsByTag(&engine, IoDirection::kWrite),
            std::vector<int64_t>(kPages, kPageBytes));
  EXPECT_EQ(BytesNot('a'), 0u);
  EXPECT_EQ(engine.faults(), 0u);
}

TEST_F(FailingEngineTest, SameSeedGivesTheSameFaults) {
  std::vector<int64_t> before;
  for (unsigned i = 0; i < 2; ++i) {
    ThreadEngine inner;
    FailingEngine engine(&inner, {.fail_write = 0.3, .shorten = 0.3}, TestSeed());
    ASSERT_EQ(engine.Open(), 0);
    const std::vector<int64_t> results = ResultsByTag(&engine, IoDirection::kWrite);
    EXPECT_EQ(static_cast<uint64_t>(std::count(results.begin(), results.end(), -EIO) +
                                    std::count(results.begin(), results.end(), kPageBytes / 2)),
              engine.faults());
    EXPECT_GT(engine.faults(), 0u);
    if (i == 0) before = results;
    EXPECT_EQ(results, before);
  }
}

TEST_F(FailingEngineTest, FailsWhatItIsTold) {
  ThreadEngine inner;
  FailingEngine engine(&inner, {}, TestSeed());
  ASSERT_EQ(engine.Open(), 0);
  engine.FailNextWrites(3);
  engine.FailNextReads(2);
  const std::vector<int64_t> writes = ResultsByTag(&engine, IoDirection::kWrite);
  EXPECT_EQ(std::count(writes.begin(), writes.end(), -EIO), 3);
  EXPECT_EQ(BytesNot('a'), 3 * kPageBytes);
  const std::vector<int64_t> reads = ResultsByTag(&engine, IoDirection::kRead);
  EXPECT_EQ(std::count(reads.begin(), reads.end(), -EIO), 2);
  EXPECT_EQ(engine.faults(), 5u);
}

TEST_F(FailingEngineTest, CorruptedReadsDifferByOneBit) {
  ThreadEngine inner;
  FailingEngine engine(&inner, {}, TestSeed());
  ASSERT_EQ(engine.Open(), 0);
  TransferAll(&engine, IoDirection::kWrite);
  engine.CorruptNextReads(4);
  TransferAll(&engine, IoDirection::kRead);
  int bits = 0;
  for (const char byte : memory_) bits += std::popcount(static_cast<uint8_t>(byte ^ 'a'));
  EXPECT_EQ(bits, 4);
  EXPECT_EQ(BytesNot('a'), 0u) << "the file itself is whole";
}

TEST_F(FailingEngineTest, LostWritesAreReportedAsDone) {
  struct Case {
    FailurePlan plan;
    uint64_t bytes_wrong;
  };
  const Case cases[] = {{{.drop_write = 1}, kPages * kPageBytes},
                        {{.tear_write = 1}, kPages * kPageBytes / 2}};
  char letter = 'b';
  for (const Case& one : cases) {
    std::fill(memory_.begin(), memory_.end(), letter);
    ThreadEngine inner;
    FailingEngine engine(&inner, one.plan, TestSeed());
    ASSERT_EQ(engine.Open(), 0);
    EXPECT_EQ(ResultsByTag(&engine, IoDirection::kWrite),
              std::vector<int64_t>(kPages, kPageBytes));
    EXPECT_EQ(BytesNot(letter), one.bytes_wrong);
    ++letter;
  }
}

TEST_F(FailingEngineTest, MisdirectedWritesLandOnePageBeside) {
  for (uint64_t page = 0; page < kPages; ++page) {
    memset(&memory_[page * kPageBytes], static_cast<int>(page), kPageBytes);
  }
  ThreadEngine inner;
  FailingEngine engine(&inner, {.misdirect_write = 1}, TestSeed());
  ASSERT_EQ(engine.Open(), 0);
  TransferAll(&engine, IoDirection::kWrite);
  const std::string content = ContentOf(directory_ / "file");
  for (uint64_t page = 0; page < kPages; ++page) {
    EXPECT_EQ(content[page * kPageBytes], static_cast<char>(page ^ 1));
  }
}

TEST_F(FailingEngineTest, HeldBackAndReorderedCompletionsAllCome) {
  ThreadEngine inner;
  FailingEngine engine(&inner, {.hold_back = 0.7, .hold_back_waits = 5, .reorder = true},
                       TestSeed());
  ASSERT_EQ(engine.Open(), 0);
  for (unsigned i = 0; i < 20; ++i) {
    ASSERT_EQ(TransferAll(&engine, IoDirection::kWrite).size(), kPages);
  }
  const std::vector<IoCompletion> last = TransferAll(&engine, IoDirection::kRead);
  EXPECT_FALSE(std::is_sorted(last.begin(), last.end(), [](const auto& a, const auto& b) {
    return a.tag < b.tag;
  })) << "64 completions came in order";
  EXPECT_EQ(engine.faults(), 0u);
}

TEST_F(FailingEngineTest, MessagesPassUnharmed) {
  ThreadEngine inner;
  FailingEngine engine(&inner, {.fail_read = 1, .corrupt_read = 1, .hold_back = 1}, TestSeed());
  ASSERT_EQ(engine.Open(), 0);
  const int event = eventfd(6, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t value = 0;
  engine.SubmitMessageRead(event, &value, sizeof value, 77);
  IoCompletion completion{};
  ASSERT_EQ(engine.Wait({&completion, 1}, kPatience), 1u);
  EXPECT_EQ(completion.tag, 77u);
  EXPECT_EQ(value, 6u);
  close(event);
}

}  // namespace
}  // namespace userpager
