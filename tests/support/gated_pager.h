// GatedPager: a pager of one shard whose page-file transfers a test keeps under way for as long as
// it wants, and the means to get a page into such a state.
#ifndef USERPAGER_TESTS_SUPPORT_GATED_PAGER_H_
#define USERPAGER_TESTS_SUPPORT_GATED_PAGER_H_

#include <signal.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/stress/page_content.h"
#include "tests/support/eventually.h"
#include "tests/support/gated_engine.h"
#include "tests/support/guarded_access.h"
#include "tests/support/running_pager.h"

namespace userpager {

// An access in a thread of its own, which may have to wait.
class PendingAccess {
 public:
  explicit PendingAccess(std::function<AccessOutcome()> access)
      : thread_([this, access = std::move(access)] {
          // The thread may have been made in the handler of a fault, where all are blocked.
          sigset_t none;
          sigemptyset(&none);
          pthread_sigmask(SIG_SETMASK, &none, nullptr);
          outcome_ = access();
          done_.store(true);
        }) {}
  ~PendingAccess() {
    if (thread_.joinable()) thread_.join();
  }
  bool done() const { return done_.load(); }
  AccessOutcome Join() {
    thread_.join();
    return outcome_;
  }

 private:
  AccessOutcome outcome_;
  std::atomic<bool> done_{false};
  std::thread thread_;  // last: it uses the others
};

class GatedPager : public testing::Test, public testing::WithParamInterface<Road> {
 protected:
  static constexpr uint64_t kLimitPages = 256;

  void SetUp() override {
    PagerOptions options = RunningPager::Options(GetParam(), kLimitPages);
    options.watch_period_ns = watch_period_ns_;
    options.wrap_engine = [](IoEngine* inner) -> IoEngine* {
      gate_ = std::make_unique<GatedEngine>(inner);
      return gate_.get();
    };
    pager_ = std::make_unique<RunningPager>();
    if (!pager_->Start(options)) GTEST_SKIP() << pager_->why();
    // Reserves what is pressed with, before anything is held back.
    ASSERT_TRUE(pager_->PressUntil([] { return true; }));
  }
  void TearDown() override {
    if (gate_ != nullptr) OpenGates();
    pager_ = nullptr;
    gate_ = nullptr;
  }

  // One page with content.
  Vad* ReserveFilled(uint64_t pages = 1) {
    Vad* vad = pager_->Reserve(pages);
    for (uint64_t i = 0; vad != nullptr && i < pages; ++i) Fill(vad->range.begin + PageCount(i));
    return vad;
  }
  // Pages with content that are in the page file alone, under that memory limit. nullptr after a
  // test failure.
  Vad* ReservePushedOut(uint64_t pages, PageCount limit) {
    EXPECT_EQ((*pager_)->SetMemoryLimit(limit), 0);
    Vad* vad = ReserveFilled(pages);
    const bool is_out = vad != nullptr && pager_->PushOut(*vad);
    EXPECT_TRUE(is_out);
    return is_out ? vad : nullptr;
  }
  static void Fill(PageIndex page) { stress::FillPage(WordsOf(page), 7, 1); }
  static bool IsFilled(PageIndex page) {
    return stress::FirstWrongWord(WordsOf(page), 7, 1) == stress::kWordsInPage;
  }
  // As Fill, but for the first word, which is `value`.
  static bool IsFilledBut(PageIndex page, uint64_t value) {
    if (FirstWord(page) != value) return false;
    FirstWord(page) = stress::ContentWord(stress::ContentKey(7, 1), 0);
    const bool filled = IsFilled(page);
    FirstWord(page) = value;
    return filled;
  }

  static PendingAccess Read(PageIndex page) {
    return PendingAccess([page] { return TryRead(PointerTo(page)); });
  }
  static PendingAccess Write(PageIndex page, uint64_t value) {
    return PendingAccess([page, value] { return TryWrite(PointerTo(page), value); });
  }

  void Decommit(Vad* vad) {
    std::lock_guard hold(pager_->tree_lock());
    (*pager_)->Decommit(*vad, vad->range);
  }
  void Commit(Vad* vad) {
    std::lock_guard hold(pager_->tree_lock());
    ASSERT_EQ((*pager_)->Commit(*vad, vad->range, kReadWrite), 0);
  }
  void Protect(Vad* vad, Protection protection) {
    std::lock_guard hold(pager_->tree_lock());
    ASSERT_EQ((*pager_)->Protect(*vad, vad->range, protection), 0);
  }
  // Takes the pages out of the working set, in this thread.
  void Trim(Vad* vad) {
    bool all_locked = true;
    std::lock_guard hold(pager_->tree_lock());
    (*pager_)->UnlockPages(*vad, vad->range, &all_locked);
    EXPECT_FALSE(all_locked);
  }
  static PageState StateOf(const Vad* vad) { return vad->Load(vad->range.begin).state(); }
  // The state after whatever has been answered: a thread goes on a moment before the PTE says why.
  PageState SettledStateOf(const Vad* vad) {
    pager_->Turn();
    return StateOf(vad);
  }

  // Holds writes back and presses until the page is being written, one way or the other.
  [[nodiscard]] bool HoldWriteOf(const Vad* vad) {
    gate_->HoldWrites();
    return PressUntilWriting(vad) && Eventually([] { return gate_->at_device() == 0; });
  }
  // The same for the page's write alone: it has been touched before any other.
  [[nodiscard]] bool HoldOnlyWriteOf(const Vad* vad) {
    gate_->HoldNext(IoDirection::kWrite);
    return PressUntilWriting(vad) && Eventually([] { return gate_->held_writes() == 1; });
  }
  // The same, with the write not even handed to the device.
  [[nodiscard]] bool HoldRequestOf(const Vad* vad) {
    gate_->HoldRequests();
    return PressUntilWriting(vad);
  }
  // The page is in the page file alone, and a read of it is held back; `reader` waits for it.
  [[nodiscard]] bool HoldReadOf(Vad* vad, std::unique_ptr<PendingAccess>* reader) {
    if (!pager_->PushOut(*vad)) return false;
    gate_->HoldNext(IoDirection::kRead);
    const PageIndex page = vad->range.begin;
    *reader = std::make_unique<PendingAccess>([page] { return TryRead(PointerTo(page)); });
    return Eventually([&] { return gate_->held_reads() > 0; }) &&
           StateOf(vad) == PageState::kReading;
  }
  // Lets go of everything and waits until it has arrived.
  void OpenGates() {
    gate_->LetGo();
    EXPECT_TRUE(Eventually([&] {
      pager_->Turn();
      return gate_->held_requests() + gate_->held_reads() + gate_->held_writes() == 0;
    }));
  }
  bool IsSound() { return (*pager_)->CheckConsistency(); }

  uint64_t watch_period_ns_ = PagerOptions().watch_period_ns;
  std::unique_ptr<RunningPager> pager_;
  static inline std::unique_ptr<GatedEngine> gate_;

 private:
  [[nodiscard]] bool PressUntilWriting(const Vad* vad) {
    const auto is_written = [vad] {
      return StateOf(vad) == PageState::kWriting || StateOf(vad) == PageState::kWritingInPlace;
    };
    pressing_.store(true);
    // In a thread of its own: with every write held back, it may run out of memory and wait.
    presser_ = std::thread([this, is_written] {
      (void)pager_->PressUntil([&] { return !pressing_.load() || is_written(); });
    });
    const bool reached = Eventually(is_written);
    pressing_.store(false);
    // Room again, so that what comes next need not wait for the gates.
    const PageCount limit = (*pager_)->frames().limit();
    const Errno error = (*pager_)->SetMemoryLimit(limit + limit);
    presser_.join();
    return reached && error == 0;
  }

  std::atomic<bool> pressing_{false};
  std::thread presser_;
};

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_GATED_PAGER_H_
