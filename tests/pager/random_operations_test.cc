// Random operations from several threads under a tiny limit, against a plain model: for each page
// whether it is committed, its protection, its content, whether it is locked, was written (where
// that is watched), and may have been given up. Each thread has a reservation of its own, so its
// model is exact, and they disturb each other through memory alone.
#include <array>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/frames/frame_table.h"
#include "tests/support/counted.h"
#include "tests/support/guarded_access.h"
#include "tests/support/running_pager.h"
#include "tests/support/seed.h"

namespace userpager {
namespace {

constexpr uint64_t kLimitPages = 192;
constexpr uint64_t kPages = 300;  // of each thread
constexpr unsigned kThreads = 4;
constexpr unsigned kRounds = 4;
constexpr unsigned kOperationsEachRound = 800;
constexpr uint64_t kLastWord = kPageBytes / sizeof(uint64_t) - 1;

struct ModelPage {
  bool committed = false;
  bool locked = false;
  bool written = false;
  bool offered = false;
  bool maybe_zero = false;  // it was reset or offered: the content, or zeros
  bool doubtful = false;    // the same, for as long as nobody looks: some page was given up
  Protection protection;
  uint64_t first = 0;  // the first and the last word; all others are zero
  uint64_t last = 0;

  bool readable() const { return committed && !offered && protection.AllowsAccess(); }
  bool writable() const { return committed && !offered && protection.AllowsWrite(); }
};

// One thread's reservation and what must be true of it.
class Owner {
 public:
  Owner(RunningPager& pager, uint64_t seed, bool watches)
      : pager_(pager),
        random_(seed),
        watches_(watches),
        vad_(pager.Reserve(kPages, kReadWrite, false)) {
    if (watches_) pager_->WatchWrites(*vad_);
  }

  void Run(unsigned operations) {
    for (unsigned i = 0; i < operations && wrong_ == 0; ++i) Step();
  }
  // Looks at every page.
  void CheckAll() {
    for (uint64_t i = 0; i < kPages; ++i) Read(i);
  }
  uint64_t wrong() const { return wrong_; }
  const std::string& story() const { return story_; }

 private:
  uint64_t Draw(uint64_t below) { return random_() % below; }

  void Step() {
    const uint64_t begin = Draw(kPages);
    const uint64_t end = std::min(kPages, begin + 1 + Draw(Draw(4) == 0 ? 100 : 8));
    switch (Draw(26)) {
      case 0: case 1: case 2: return Commit(begin, end);
      case 3: return Decommit(begin, end);
      case 4: case 5: return Protect(begin, end);
      case 6: return Lock(begin, std::min(end, begin + 4));
      case 7: case 8: return Unlock(begin, end);
      case 14: return Reset(begin, end);
      case 15: return UndoReset(begin, end);
      case 16: return Offer(begin, end);
      case 17: return Reclaim(begin, end);
      case 18: return Discard(begin, end);
      case 19: return Collect(begin, end);
      case 20: return pager_->Prefetch(Range(begin, end));
      case 9: case 10: case 11: case 12: case 13:
        for (uint64_t i = begin; i < end; ++i) Read(i);
        return;
      default:
        for (uint64_t i = begin; i < end; ++i) Write(i);
    }
  }

  PageIndex At(uint64_t i) const { return vad_->range.begin + PageCount(i); }
  PageRange Range(uint64_t begin, uint64_t end) const { return PageRange(At(begin), At(end)); }
  Protection DrawProtection() {
    static constexpr std::array kChoices = {kReadWrite, kReadWrite, kReadWrite, kReadOnly,
                                            kNoAccess};
    return kChoices[Draw(kChoices.size())];
  }
  void Expect(bool condition, const char* what, uint64_t i) {
    if (condition || wrong_ != 0) return;
    ++wrong_;
    story_ = std::string(what) + ", page " + std::to_string(i) + ", now " +
             std::string(PageStateName(vad_->Load(At(i)).state()));
  }

  void Commit(uint64_t begin, uint64_t end) {
    const Protection protection = DrawProtection();
    std::lock_guard hold(pager_.tree_lock());
    const Errno error = pager_->Commit(*vad_, Range(begin, end), protection);
    Expect(error == 0, "commit", begin);
    for (uint64_t i = begin; i < end; ++i) {
      model_[i].committed = true;
      Apply(i, protection);
    }
  }
  void Apply(uint64_t i, Protection protection) {
    model_[i].protection = protection;
    if (!protection.AllowsAccess()) model_[i].locked = false;
  }
  void Decommit(uint64_t begin, uint64_t end) {
    std::lock_guard hold(pager_.tree_lock());
    pager_->Decommit(*vad_, Range(begin, end));
    for (uint64_t i = begin; i < end; ++i) model_[i] = ModelPage{};
  }
  bool All(uint64_t begin, uint64_t end, auto condition) const {
    for (uint64_t i = begin; i < end; ++i) {
      if (!condition(model_[i])) return false;
    }
    return true;
  }
  void Protect(uint64_t begin, uint64_t end) {
    if (!All(begin, end, [](const ModelPage& page) { return page.committed; })) return;
    const Protection protection = DrawProtection();
    std::lock_guard hold(pager_.tree_lock());
    const Errno error = pager_->Protect(*vad_, Range(begin, end), protection);
    Expect(error == 0, "protect", begin);
    for (uint64_t i = begin; i < end; ++i) Apply(i, protection);
  }
  void Lock(uint64_t begin, uint64_t end) {
    if (!All(begin, end, [](const ModelPage& page) { return page.readable(); })) return;
    {
      std::lock_guard hold(pager_.tree_lock());
      const Errno error = pager_->LockPages(*vad_, Range(begin, end));
      Expect(error == 0 || error == EAGAIN, "lock", begin);
      if (error != 0) return;
      for (uint64_t i = begin; i < end; ++i) model_[i].locked = true;
    }
    Expect(pager_->BringIn(Range(begin, end)) == 0, "bring in", begin);
    for (uint64_t i = begin; i < end; ++i) Expect(vad_->Load(At(i)).mapped(), "locked and out", i);
  }
  // Where not all of it is locked: pushes it out of the working set.
  void Unlock(uint64_t begin, uint64_t end) {
    const bool all_locked = All(begin, end, [](const ModelPage& page) { return page.locked; });
    bool were_locked = false;
    std::lock_guard hold(pager_.tree_lock());
    pager_->UnlockPages(*vad_, Range(begin, end), &were_locked);
    Expect(were_locked == all_locked, "unlock", begin);
    if (!all_locked) return;
    for (uint64_t i = begin; i < end; ++i) model_[i].locked = false;
  }
  void Reset(uint64_t begin, uint64_t end) {
    std::lock_guard hold(pager_.tree_lock());
    pager_->ResetPages(*vad_, Range(begin, end));
    for (uint64_t i = begin; i < end; ++i) {
      ModelPage& page = model_[i];
      if (page.committed && !page.locked && !page.offered) page.maybe_zero = true;
    }
  }
  // What is intact is no longer in doubt; else the next look tells.
  void Settle(uint64_t begin, uint64_t end, bool offered, bool intact) {
    for (uint64_t i = begin; i < end; ++i) {
      if (model_[i].offered && !offered) continue;
      model_[i].offered = false;
      if (!intact && model_[i].maybe_zero) model_[i].doubtful = true;
      model_[i].maybe_zero = model_[i].doubtful;
    }
  }
  void UndoReset(uint64_t begin, uint64_t end) {
    std::lock_guard hold(pager_.tree_lock());
    Settle(begin, end, false, pager_->UndoReset(*vad_, Range(begin, end)));
  }
  void Offer(uint64_t begin, uint64_t end) {
    if (!All(begin, end, [](const ModelPage& page) { return page.committed; })) return;
    std::lock_guard hold(pager_.tree_lock());
    const Errno error = pager_->OfferPages(*vad_, Range(begin, end),
                                           static_cast<unsigned>(Draw(kOfferPriorities)));
    Expect(error == 0, "offer", begin);
    for (uint64_t i = begin; i < end; ++i) {
      model_[i].offered = model_[i].maybe_zero = true;
      model_[i].locked = false;
    }
  }
  void Reclaim(uint64_t begin, uint64_t end) {
    if (!All(begin, end, [](const ModelPage& page) { return page.committed; })) return;
    std::lock_guard hold(pager_.tree_lock());
    Settle(begin, end, true, pager_->ReclaimPages(*vad_, Range(begin, end)));
  }
  void Discard(uint64_t begin, uint64_t end) {
    if (!All(begin, end, [](const ModelPage& page) { return page.writable(); })) return;
    std::lock_guard hold(pager_.tree_lock());
    pager_->DiscardPages(*vad_, Range(begin, end));
    for (uint64_t i = begin; i < end; ++i) {
      model_[i].first = model_[i].last = 0;
      model_[i].locked = model_[i].maybe_zero = model_[i].doubtful = false;
    }
  }
  void Collect(uint64_t begin, uint64_t end) {
    if (!watches_) return;
    const bool forget = Draw(2) == 0;
    std::vector<PageIndex> found(1 + Draw(40));
    PageIndex next;
    std::lock_guard hold(pager_.tree_lock());
    found.resize(pager_->CollectWritten(
        *vad_, Range(begin, end), forget ? AfterCollecting::kForget : AfterCollecting::kKeep,
        found, &next));
    size_t count = 0;
    for (uint64_t i = begin; At(i) < next; ++i) {
      const bool listed = count < found.size() && found[count] == At(i);
      Expect(listed == model_[i].written, "written", i);
      if (listed) ++count;
      if (listed && forget) model_[i].written = false;
    }
    Expect(count == found.size(), "pages that were found", begin);
  }
  void Read(uint64_t i) {
    ModelPage& page = model_[i];
    const AccessOutcome first = TryRead(WordsOf(At(i)));
    Expect((first.signal == 0) == page.readable(), "access to read", i);
    if (first.signal != 0) {
      Expect(first.signal == SIGSEGV && first.address == AddressOf(At(i)), "signal of a read", i);
      return;
    }
    const uint64_t last = TryRead(WordsOf(At(i)) + kLastWord).value;
    if (page.maybe_zero && first.value == 0 && last == 0) page.first = page.last = 0;
    page.maybe_zero = page.doubtful = false;
    Expect(first.value == page.first, "first word", i);
    Expect(last == page.last, "last word", i);
    Expect(TryRead(WordsOf(At(i)) + kLastWord / 2).value == 0, "word between", i);
  }
  void Write(uint64_t i) {
    ModelPage& page = model_[i];
    if (page.maybe_zero && page.readable()) Read(i);
    // Zeros too, so that pages become demand-zero again.
    const uint64_t value = Draw(4) == 0 ? 0 : random_();
    const bool at_end = Draw(2) == 0;
    const AccessOutcome write = TryWrite(WordsOf(At(i)) + (at_end ? kLastWord : 0), value);
    Expect((write.signal == 0) == page.writable(), "access to write", i);
    if (write.signal != 0) {
      Expect(write.signal == SIGSEGV, "signal of a write", i);
      return;
    }
    (at_end ? page.last : page.first) = value;
    page.written = true;
  }

  RunningPager& pager_;
  std::mt19937_64 random_;
  const bool watches_;
  Vad* const vad_;
  std::array<ModelPage, kPages> model_;
  uint64_t wrong_ = 0;
  std::string story_;
};

class RandomOperations : public testing::TestWithParam<Road> {};

TEST_P(RandomOperations, AgreeWithTheModel) {
  RunningPager pager;
  if (!pager.Start(RunningPager::Options(GetParam(), kLimitPages))) GTEST_SKIP() << pager.why();
  std::vector<Owner> owners;
  owners.reserve(kThreads);
  for (unsigned t = 0; t < kThreads; ++t) owners.emplace_back(pager, TestSeed() + t, t % 2 == 0);
  for (unsigned round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    for (Owner& owner : owners) {
      threads.emplace_back([&owner] { owner.Run(kOperationsEachRound); });
    }
    for (std::thread& thread : threads) thread.join();
    for (Owner& owner : owners) {
      owner.CheckAll();
      ASSERT_EQ(owner.wrong(), 0u) << owner.story() << ", round " << round;
    }
    ASSERT_TRUE(pager->CheckConsistency());
    EXPECT_LE(pager->frames().peak().value(), kLimitPages);
  }
  // It was not all done in memory.
  EXPECT_GT(pager.Counters().pages_in.value(), 0u);
  EXPECT_GT(pager.Counters().pages_out.value(), 0u);
  Counted("operations", kThreads * kRounds * kOperationsEachRound);
}

INSTANTIATE_TEST_SUITE_P(Roads, RandomOperations,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kThreads, 3},
                                         Road{false, IoEngineKind::kUring, 3},
                                         Road{false, IoEngineKind::kThreads, 1},
                                         Road{false, IoEngineKind::kThreads, 3,
                                              FaultDelivery::kSignals},
                                         Road{true, IoEngineKind::kUring, 1,
                                              FaultDelivery::kMessages,
                                              ReplacementKind::kAdaptive, true}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
