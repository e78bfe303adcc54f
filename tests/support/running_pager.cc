#include "tests/support/running_pager.h"

#include <errno.h>
#include <userpager/userpager.h>

#include <algorithm>
#include <cstdlib>

#include "gtest/gtest.h"
#include "runtime/api/exceptions.h"
#include "runtime/api/inline_signal.h"
#include "runtime/pager/buffer_pool.h"
#include "runtime/platform/address_map.h"
#include "tests/stress/page_content.h"
#include "tests/support/eventually.h"

namespace userpager {
namespace {

constexpr uint64_t kFileBytes = uint64_t{256} << 20;
// So many times the memory limit is written at most before pages count as unwilling to leave.
constexpr uint64_t kMostRounds = 64;

}  // namespace

RunningPager::~RunningPager() {
  if (!started_) return;
  while (!vads_.empty()) Release(vads_.back());
  // What transfers own comes back with their completions; read buffers follow the memory limit.
  const uint64_t share = pager_->frames().limit().value() / shards_;
  const uint64_t buffers = shards_ * (BufferPool::PagesFor(PageCount(share)).value() +
                                      BufferPool::SealedPagesFor(PageCount(share)).value());
  EXPECT_TRUE(Eventually([&] {
    return pager_->frames().charged().value() <= buffers && pager_->page_file().used().value() == 0;
  })) << pager_->frames().charged().value()
      << " pages are charged, " << pager_->page_file().used().value() << " slots used";
  EXPECT_TRUE(pager_->CheckConsistency());
  Stop();
}

void RunningPager::StopNow() {
  while (!vads_.empty()) Release(vads_.back());
  Stop();
  started_ = false;
}

void RunningPager::Stop() {
  if (inline_) InlineSignal::Attach(nullptr);
  pager_->Stop();
}

PagerOptions RunningPager::Options(const Road& road, uint64_t limit_pages) {
  PagerOptions options;
  options.memory_limit = PageCount(limit_pages);
  options.page_file_path = "/var/tmp";
  options.page_file_max_bytes = kFileBytes;
  options.shards = road.shards;
  options.io = road.io;
  options.use_move = road.move;
  options.faults = road.faults;
  options.replacement = road.replacement;
  options.for_children = ChildrenInherit();
  userpager_options others;
  userpager_options_init(&others);
  const char* const text = std::getenv("USERPAGER_TEST_OPTIONS");
  EXPECT_EQ(text == nullptr ? 0 : userpager_options_parse(&others, text), 0)
      << userpager_error_message();
  options.encrypt = road.encrypt || others.encrypt == USERPAGER_ENCRYPT_AES_XTS;
  options.without = others.without;
  return options;
}

bool RunningPager::Start(const PagerOptions& options) {
  pager_ = std::make_unique<Pager>();
  LogLine line;
  const Errno error = pager_->Start(options, &line);
  if (error == EPERM || error == ENOSYS) {
    why_ = std::string("needs a right that this process has not: ") + line.c_str();
    return false;
  }
  EXPECT_EQ(error, 0) << line.c_str();
  if (error != 0) {
    why_ = "the pager does not start";
    return false;
  }
  started_ = true;
  shards_ = options.shards;
  inline_ = options.faults == FaultDelivery::kSignals;
  if (inline_) {
    EXPECT_TRUE(InstallExceptions());
    InlineSignal::Attach(&*pager_);
  }
  if (options.use_move && !pager_->features().move) {
    why_ = "needs UFFDIO_MOVE, which this kernel has not, or which is not to be used";
    return false;
  }
  EXPECT_EQ(pager_->GrowPageFile(PageCount(options.page_file_max_bytes / kPageBytes / 2)), 0);
  return true;
}

Vad* RunningPager::Reserve(uint64_t pages, Protection protection, bool commit) {
  Vad* vad = nullptr;
  std::lock_guard hold(tree_lock_);
  EXPECT_EQ(pager_->Reserve(PageIndex(0), PageCount(pages), protection, commit, &vad), 0);
  if (vad != nullptr) vads_.push_back(vad);
  return vad;
}

Vad* RunningPager::ReserveAt(PageIndex at, uint64_t pages) {
  Vad* vad = nullptr;
  std::lock_guard hold(tree_lock_);
  EXPECT_EQ(pager_->Reserve(at, PageCount(pages), kReadWrite, true, &vad), 0);
  if (vad != nullptr) vads_.push_back(vad);
  return vad;
}

void RunningPager::Release(Vad* vad) {
  std::lock_guard hold(tree_lock_);
  vads_.erase(std::find(vads_.begin(), vads_.end(), vad));
  if (vad == ballast_) ballast_ = nullptr;
  pager_->Release(vad);
}

bool RunningPager::PressUntil(const std::function<bool()>& enough) {
  // Memory that was given more pages than there are for is out of the way again at once.
  const uint64_t pages = 2 * pager_->frames().limit().value();
  if (ballast_ == nullptr || ballast_->range.count().value() < pages) ballast_ = Reserve(pages);
  if (ballast_ == nullptr) return false;
  for (uint64_t i = 0; i < kMostRounds * pages; ++i) {
    if (enough()) return true;
    ballast_next_ = (ballast_next_ + 1) % pages;
    stress::FillPage(WordsOf(ballast_->range.begin + PageCount(ballast_next_)), ballast_next_, 0);
  }
  return enough();
}

bool RunningPager::PushOut(Vad& vad, PageRange range) {
  // A thread goes on as soon as its page is there, and the PTE says so a moment later.
  Turn();
  uint64_t pressed = 0;
  return PressUntil([&] {
    // The policy keeps pages that have proven hot for long.
    if (++pressed == pager_->frames().limit().value()) pager_->TrimPages(vad, range);
    for (PageIndex page = range.begin; page < range.end; ++page) {
      const PageState state = vad.Load(page).state();
      if (state != PageState::kPagedOut && state != PageState::kDemandZero) return false;
    }
    return true;
  });
}

void RunningPager::Turn() {
  EXPECT_EQ(pager_->BringIn(PageRange(PageIndex(1), PageIndex(1))), 0);
}

CounterTotals& RunningPager::Counters() {
  counters_ = std::make_unique<CounterTotals>();
  pager_->CollectCounters(counters_.get());
  return *counters_;
}

}  // namespace userpager
