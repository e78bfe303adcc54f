// The mmap family over managed memory: random calls under a tiny limit against a plain model of
// each page (whose it is, its protection, its content), and single calls by Linux's rules.
#include "runtime/preload/linux_memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <userpager/userpager.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/api/runtime.h"
#include "tests/support/guarded_access.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitBytes = 1 << 20;
// Nobody's, also under the sanitizers, and far from where the kernel places what may be anywhere.
constexpr uint64_t kWindow = 0x7e90'0000'0000;
constexpr uint64_t kPages = 1024;
constexpr unsigned kOperations = 4000;

class LinuxMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    static const int started = [] {
      userpager_options options;
      userpager_options_init(&options);
      options.memory_limit_bytes = kLimitBytes;
      options.page_file_max_bytes = uint64_t{64} << 20;
      options.commit = USERPAGER_COMMIT_LAZY;
      return userpager_start(&options);
    }();
    if (started == USERPAGER_ERROR_NO_USERFAULTFD || started == USERPAGER_ERROR_NO_IO_URING) {
      GTEST_SKIP() << "the pager cannot run here: " << userpager_error_message();
    }
    ASSERT_EQ(0, started) << userpager_error_message();
  }
  // Whatever a test mapped, it has unmapped.
  void TearDown() override {
    if (Runtime::Get() == nullptr) return;
    EXPECT_TRUE(reservations().CheckConsistency());
    EXPECT_EQ(0u, reservations().charge().charged().value());
  }

  static Reservations& reservations() { return Runtime::Get()->reservations(); }
  static LinuxMemory memory() { return LinuxMemory(reservations()); }
  static int64_t MapAt(uint64_t address, uint64_t bytes, int access, int more = 0) {
    return memory().Map({address, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | more, -1, 0});
  }
  static uint64_t* Word(uint64_t address, uint64_t page) {
    return reinterpret_cast<uint64_t*>(address + page * kPageBytes);
  }
};

enum class Owner { kNone, kManaged, kFile };

struct ModelPage {
  Owner owner = Owner::kNone;
  int access = PROT_NONE;
  uint64_t word = 0;
};

// The program and its model.
class Replay {
 public:
  Replay(Reservations& reservations, uint64_t seed) : memory_(reservations), random_(seed) {
    file_ = memfd_create("pages", 0);
    for (uint64_t i = 0; i < kPages; ++i) {
      const uint64_t word = FileWord(i);
      EXPECT_EQ(8, pwrite(file_, &word, 8, static_cast<off_t>(i * kPageBytes)));
    }
    EXPECT_EQ(0, ftruncate(file_, kPages * kPageBytes));
  }
  ~Replay() {
    memory_.Unmap(kWindow, kPages * kPageBytes);
    close(file_);
  }

  void Run(unsigned operations) {
    for (unsigned i = 0; i < operations && story_.empty(); ++i) Step();
    for (uint64_t i = 0; i < kPages && story_.empty(); ++i) Read(i);
  }
  const std::string& story() const { return story_; }

 private:
  static uint64_t FileWord(uint64_t page) { return 1'000'000 + page; }
  uint64_t Draw(uint64_t below) { return random_() % below; }
  int DrawAccess() {
    static constexpr std::array kChoices = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
                                            PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE};
    return kChoices[Draw(kChoices.size())];
  }
  static uint64_t At(uint64_t page) { return kWindow + page * kPageBytes; }
  bool All(uint64_t begin, uint64_t end, Owner owner) const {
    return std::all_of(model_.begin() + static_cast<long>(begin),
                       model_.begin() + static_cast<long>(end),
                       [owner](const ModelPage& page) { return page.owner == owner; });
  }
  void Expect(bool condition, const std::string& what, uint64_t page) {
    if (!condition && story_.empty()) story_ = what + ", page " + std::to_string(page);
  }
  void ExpectResult(int64_t expected, int64_t result, const std::string& what, uint64_t page) {
    Expect(expected == result, what + " gave " + std::to_string(result) + " and not " +
                                   std::to_string(expected), page);
  }

  void Step() {
    const uint64_t begin = Draw(kPages);
    const uint64_t end = std::min(kPages, begin + 1 + Draw(Draw(5) == 0 ? 400 : 12));
    switch (Draw(20)) {
      case 0: case 1: case 2: return Map(begin, end);
      case 3: return MapFile(begin, end);
      case 4: return Unmap(begin, end);
      case 5: case 6: return Protect(begin, end);
      case 7: return Empty(begin, end);
      case 8: return MapIfFree(begin, end);
      case 9: return Move(begin, end, Draw(kPages));
      case 10: return Resize(begin, end, 1 + Draw(60));
      case 11: case 12: case 13: case 14:
        for (uint64_t i = begin; i < end; ++i) Read(i);
        return;
      default:
        for (uint64_t i = begin; i < end; ++i) Write(i);
    }
  }

  void Map(uint64_t begin, uint64_t end) {
    const int access = DrawAccess();
    const int64_t got = memory_.Map({At(begin), (end - begin) * kPageBytes, access,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0});
    ExpectResult(static_cast<int64_t>(At(begin)), got, "mmap", begin);
    for (uint64_t i = begin; i < end; ++i) model_[i] = {Owner::kManaged, access, 0};
  }
  void MapIfFree(uint64_t begin, uint64_t end) {
    const int access = DrawAccess();
    const int64_t got = memory_.Map({At(begin), (end - begin) * kPageBytes, access,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0});
    const bool free = All(begin, end, Owner::kNone);
    ExpectResult(free ? static_cast<int64_t>(At(begin)) : -EEXIST, got, "mmap if free", begin);
    for (uint64_t i = begin; free && i < end; ++i) model_[i] = {Owner::kManaged, access, 0};
  }
  void MapFile(uint64_t begin, uint64_t end) {
    const int access = DrawAccess();
    const int64_t got =
        memory_.Map({At(begin), (end - begin) * kPageBytes, access, MAP_PRIVATE | MAP_FIXED, file_,
                     static_cast<off_t>(begin * kPageBytes)});
    ExpectResult(static_cast<int64_t>(At(begin)), got, "mmap of a file", begin);
    for (uint64_t i = begin; i < end; ++i) model_[i] = {Owner::kFile, access, FileWord(i)};
  }
  void Unmap(uint64_t begin, uint64_t end) {
    ExpectResult(0, memory_.Unmap(At(begin), (end - begin) * kPageBytes), "munmap", begin);
    for (uint64_t i = begin; i < end; ++i) model_[i] = {};
  }
  void Protect(uint64_t begin, uint64_t end) {
    const int access = DrawAccess();
    const int64_t got = memory_.Protect(At(begin), (end - begin) * kPageBytes, access);
    ExpectResult(HasHole(begin, end) ? -ENOMEM : 0, got, "mprotect", begin);
    for (uint64_t i = begin; i < end && model_[i].owner != Owner::kNone; ++i) {
      model_[i].access = access;
    }
  }
  bool HasHole(uint64_t begin, uint64_t end) const {
    for (uint64_t i = begin; i < end; ++i) {
      if (model_[i].owner == Owner::kNone) return true;
    }
    return false;
  }
  void Empty(uint64_t begin, uint64_t end) {
    const int64_t got = memory_.Advise(At(begin), (end - begin) * kPageBytes, MADV_DONTNEED);
    ExpectResult(HasHole(begin, end) ? -ENOMEM : 0, got, "MADV_DONTNEED", begin);
    for (uint64_t i = begin; i < end; ++i) {
      model_[i].word = model_[i].owner == Owner::kFile ? FileWord(i) : 0;
    }
  }
  void Move(uint64_t begin, uint64_t end, uint64_t to) {
    const uint64_t count = end - begin;
    const bool apart = to + count <= kPages && (to + count <= begin || end <= to);
    if (!apart || !All(begin, end, Owner::kManaged)) return;
    const int64_t got =
        memory_.Remap(At(begin), count * kPageBytes, count * kPageBytes,
                      MREMAP_MAYMOVE | MREMAP_FIXED, At(to));
    ExpectResult(static_cast<int64_t>(At(to)), got, "mremap", begin);
    for (uint64_t i = 0; i < count; ++i) {
      model_[to + i] = model_[begin + i];
      model_[begin + i] = {};
    }
  }
  void Resize(uint64_t begin, uint64_t end, uint64_t count) {
    if (begin + count > kPages || !All(begin, end, Owner::kManaged)) return;
    const uint64_t wanted = begin + count;
    const bool fits = wanted <= end || All(end, wanted, Owner::kNone);
    const int64_t got = memory_.Remap(At(begin), (end - begin) * kPageBytes, count * kPageBytes,
                                      0, 0);
    ExpectResult(fits ? static_cast<int64_t>(At(begin)) : -ENOMEM, got, "mremap in place", begin);
    for (uint64_t i = end; fits && i < wanted; ++i) {
      model_[i] = {Owner::kManaged, model_[end - 1].access, 0};
    }
    for (uint64_t i = wanted; i < end; ++i) model_[i] = {};
  }
  void Read(uint64_t i) {
    const AccessOutcome outcome = TryRead(reinterpret_cast<void*>(At(i)));
    const bool readable = (model_[i].access & PROT_READ) != 0 && model_[i].owner != Owner::kNone;
    Expect(outcome.signal == (readable ? 0 : SIGSEGV), "read, signal", i);
    Expect(!readable || outcome.value == model_[i].word,
           "read, content " + std::to_string(outcome.value) + " and not " +
               std::to_string(model_[i].word), i);
  }
  void Write(uint64_t i) {
    const uint64_t word = random_();
    const AccessOutcome outcome = TryWrite(reinterpret_cast<void*>(At(i)), word);
    const bool writable = (model_[i].access & PROT_WRITE) != 0 && model_[i].owner != Owner::kNone;
    Expect(outcome.signal == (writable ? 0 : SIGSEGV),
           "write, signal " + std::to_string(outcome.signal) + ", access " +
               std::to_string(model_[i].access) + ", owner " +
               std::to_string(static_cast<int>(model_[i].owner)), i);
    if (writable) model_[i].word = word;
  }

  LinuxMemory memory_;
  std::mt19937_64 random_;
  int file_ = -1;
  std::array<ModelPage, kPages> model_;
  std::string story_;
};

TEST_F(LinuxMemoryTest, RandomCallsAgainstAModel) {
  Replay replay(reservations(), TestSeed());
  replay.Run(kOperations);
  EXPECT_EQ("", replay.story());
}

TEST_F(LinuxMemoryTest, GrowsByMovingMoreThanFitsInMemory) {
  const uint64_t pages = 2 * kLimitBytes / kPageBytes;
  // What is mapped behind keeps it from growing in place. Where the kernel places something there
  // may be no room behind: so a place for both is looked for first.
  const auto old = static_cast<uint64_t>(MapAt(0, (pages + 1) * kPageBytes, PROT_READ));
  ASSERT_EQ(0, memory().Unmap(old, (pages + 1) * kPageBytes));
  ASSERT_EQ(static_cast<int64_t>(old),
            MapAt(old, pages * kPageBytes, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE));
  ASSERT_EQ(static_cast<int64_t>(old + pages * kPageBytes),
            MapAt(old + pages * kPageBytes, kPageBytes, PROT_READ, MAP_FIXED_NOREPLACE));
  for (uint64_t i = 0; i < pages; ++i) *Word(old, i) = i + 1;
  ASSERT_EQ(0, memory().Protect(old + 5 * kPageBytes, kPageBytes, PROT_NONE));
  const int64_t moved = memory().Remap(old, pages * kPageBytes, 2 * pages * kPageBytes,
                                       MREMAP_MAYMOVE, 0);
  ASSERT_GT(moved, 0);
  const auto now = static_cast<uint64_t>(moved);
  EXPECT_NE(old, now);
  EXPECT_EQ(SIGSEGV, TryRead(Word(now, 5)).signal);
  ASSERT_EQ(0, memory().Protect(now + 5 * kPageBytes, kPageBytes, PROT_READ | PROT_WRITE));
  for (uint64_t i = 0; i < pages; ++i) ASSERT_EQ(i + 1, *Word(now, i)) << i;
  EXPECT_EQ(0u, *Word(now, pages));
  EXPECT_EQ(SIGSEGV, TryRead(Word(old, 0)).signal);
  EXPECT_EQ(0, memory().Unmap(now, 2 * pages * kPageBytes));
  EXPECT_EQ(0, memory().Unmap(old + pages * kPageBytes, kPageBytes));
}

TEST_F(LinuxMemoryTest, OddSizesLeaveNothingBehind) {
  std::vector<uint64_t> places;
  for (uint64_t pages = 1; pages < 40; ++pages) {
    const int64_t at = MapAt(0, pages * kPageBytes - 100, PROT_READ | PROT_WRITE);
    ASSERT_GT(at, 0);
    places.push_back(static_cast<uint64_t>(at));
    *Word(places.back(), pages - 1) = pages;
  }
  for (uint64_t pages = 1; pages < 40; ++pages) {
    EXPECT_EQ(pages, *Word(places[pages - 1], pages - 1));
    EXPECT_EQ(0, memory().Unmap(places[pages - 1], pages * kPageBytes - 100));
  }
}

TEST_F(LinuxMemoryTest, WhatIsNotPrivateAnonymousIsTheKernels) {
  const int64_t shared =
      memory().Map({0, kPageBytes, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0});
  const int64_t stack = MapAt(0, kPageBytes, PROT_READ | PROT_WRITE, MAP_STACK);
  for (const int64_t address : {shared, stack}) {
    ASSERT_GT(address, 0);
    EXPECT_FALSE(memory().Touches(static_cast<uint64_t>(address), kPageBytes));
    EXPECT_EQ(0, memory().Unmap(static_cast<uint64_t>(address), kPageBytes));
  }
}

TEST_F(LinuxMemoryTest, BadRequestsChangeNothing) {
  const auto at = static_cast<uint64_t>(MapAt(0, 4 * kPageBytes, PROT_READ | PROT_WRITE));
  *Word(at, 1) = 7;
  EXPECT_EQ(-EINVAL, MapAt(0, 0, PROT_READ));
  EXPECT_EQ(-EINVAL, MapAt(at + 1, kPageBytes, PROT_READ, MAP_FIXED));
  EXPECT_EQ(-ENOMEM, MapAt(0, uint64_t{1} << 48, PROT_READ));
  EXPECT_EQ(-EINVAL, memory().Unmap(at + 1, kPageBytes));
  EXPECT_EQ(-EBADF, memory().Map({at, kPageBytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0}));
  EXPECT_EQ(-EINVAL, memory().Remap(at, 4 * kPageBytes, 0, 0, 0));
  EXPECT_EQ(-EINVAL, memory().Remap(at, 4 * kPageBytes, 4 * kPageBytes, MREMAP_FIXED, kWindow));
  EXPECT_EQ(7u, *Word(at, 1));
  EXPECT_EQ(0, memory().Unmap(at, 4 * kPageBytes));
}

TEST_F(LinuxMemoryTest, LockedPagesAreInMemoryAndAreNotEmptied) {
  // Touches that go on into them: zeros for the pages behind may come along.
  constexpr uint64_t kBefore = 32;
  const auto before =
      static_cast<uint64_t>(MapAt(0, (kBefore + 4) * kPageBytes, PROT_READ | PROT_WRITE));
  for (uint64_t i = 0; i < kBefore; ++i) *Word(before, i) = 7;
  const uint64_t at = before + kBefore * kPageBytes;
  *Word(at, 0) = 7;
  EXPECT_EQ(0, memory().Lock(at, 2 * kPageBytes));
  EXPECT_EQ(-EINVAL, memory().Advise(at, kPageBytes, MADV_DONTNEED));
  EXPECT_EQ(0, memory().Advise(at + 3 * kPageBytes, kPageBytes, MADV_DONTNEED));
  unsigned char there[4] = {};
  EXPECT_EQ(0, memory().Residency(at, 4 * kPageBytes, there));
  EXPECT_EQ(1, there[0]);
  EXPECT_EQ(1, there[1]);
  EXPECT_EQ(0, there[3]);
  EXPECT_EQ(0, memory().Unlock(at, 4 * kPageBytes));
  EXPECT_EQ(0, memory().Advise(at, kPageBytes, MADV_DONTNEED));
  EXPECT_EQ(0u, *Word(at, 0));
  EXPECT_EQ(0, memory().Unmap(before, (kBefore + 4) * kPageBytes));
  EXPECT_EQ(-ENOMEM, memory().Residency(at, kPageBytes, there));
}

}  // namespace
}  // namespace userpager
