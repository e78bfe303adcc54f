#include "tests/simulation/simulated_thread.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace userpager::simulation {
namespace {

constexpr unsigned kPatternCount = 5;
constexpr uint64_t kMostSteps = 80;
constexpr uint64_t kMostAccesses = 24;  // in one go
constexpr uint64_t kHotPages = 12;
// Beyond what the kernel gives to threads (PID_MAX_LIMIT): nobody is asked about, or signalled, who
// is real.
constexpr uint64_t kFirstThreadId = 5'000'000;

}  // namespace

void SimulatedThread::Fail(const char* what) {
  Reservation* reservation = machine_.Find(page_);
  machine_.verdict.Fail(absl::StrFormat(
      "thread %u, %s of page %x (%s): %s", number_, write_ ? "write" : "read", page_.value(),
      reservation == nullptr ? "not reserved"
                             : std::string(PageStateName(reservation->Load(page_).state())),
      what));
}

void SimulatedThread::NextWalk() {
  Dice& dice = machine_.dice;
  unsigned kind = static_cast<unsigned>(dice.Below(kPatternCount));
  while ((machine_.scenario.patterns >> kind & 1) == 0) kind = (kind + 1) % kPatternCount;
  pattern_ = static_cast<Pattern>(kind);
  steps_left_ = static_cast<unsigned>(dice.Between(1, kMostSteps));
  reservation_ = static_cast<unsigned>(dice.Below(machine_.scenario.reservations));
  position_ = static_cast<int64_t>(dice.Below(machine_.scenario.reservation_pages));
  stride_ = static_cast<int64_t>(dice.Between(2, 9)) * (dice.OneIn(2) ? 1 : -1);
}

// False where there is nothing to access now.
bool SimulatedThread::NextAccess() {
  Dice& dice = machine_.dice;
  if (steps_left_ == 0) NextWalk();
  --steps_left_;
  const Reservation* reservation = machine_.reservations[reservation_].get();
  if (reservation == nullptr) {
    steps_left_ = 0;
    return false;
  }
  const int64_t pages = static_cast<int64_t>(reservation->range().count().value());
  switch (pattern_) {
    case Pattern::kScattered: position_ = static_cast<int64_t>(dice.Below(kReservationStep)); break;
    case Pattern::kForward: ++position_; break;
    case Pattern::kBackward: --position_; break;
    case Pattern::kStrided: position_ += stride_; break;
    case Pattern::kHot: position_ = static_cast<int64_t>(dice.Below(kHotPages) * 7); break;
  }
  position_ = (position_ % pages + pages) % pages;
  page_ = reservation->range().begin + PageCount(static_cast<uint64_t>(position_));
  write_ = dice.Below(100) < machine_.scenario.write_percent;
  return true;
}

void SimulatedThread::Run(bool finish) {
  const uint64_t accesses = finish ? 1 : machine_.dice.Between(1, kMostAccesses);
  for (uint64_t i = 0; i < accesses && can_run() && machine_.verdict.ok(); ++i) {
    if (!pending_ && (finish || !NextAccess())) return;
    pending_ = true;
    Attempt();
  }
}

void SimulatedThread::Attempt() {
  PageBytes* contents = nullptr;
  const TouchOutcome outcome = machine_.platform.Touch(page_, write_, &contents);
  switch (outcome) {
    case TouchOutcome::kDone:
      pending_ = false;
      return Done(*contents);
    case TouchOutcome::kMissing:
    case TouchOutcome::kWriteProtected: {
      FaultMessage message;
      message.address = AddressOf(page_) + 8 * machine_.dice.Below(kPageBytes / 8);
      message.thread_id = static_cast<uint32_t>(kFirstThreadId + number_);
      message.write = write_;
      message.write_protect = outcome == TouchOutcome::kWriteProtected;
      return machine_.platform.Sleep(number_, message);
    }
    case TouchOutcome::kSegv:
    case TouchOutcome::kBus:
      pending_ = false;
      return Refused(outcome);
  }
}

void SimulatedThread::Refused(TouchOutcome outcome) {
  Reservation* reservation = machine_.Find(page_);
  if (reservation == nullptr) {
    if (outcome == TouchOutcome::kBus) Fail("SIGBUS where nothing is reserved");
    return;
  }
  ModelPage& model = reservation->At(page_);
  if (outcome == TouchOutcome::kBus) {
    if (!model.lost) Fail("SIGBUS, and the store has not lost the page");
    return;
  }
  const bool allowed = write_ ? model.AllowsWrite() : model.AllowsAccess();
  if (allowed && !MeetsChange(false)) return Fail("SIGSEGV, and the page allows the access");
  const auto& change = machine_.change;
  const bool changing = change.has_value() && change->range.Contains(page_);
  if (!changing && machine_.dice.OneIn(2)) Handle(model);
}

// The handler of the program's SIGSEGV asks what to do; a guard ends by that.
void SimulatedThread::Handle(ModelPage& model) {
  const AccessKind access = write_ ? AccessKind::kWrite : AccessKind::kRead;
  const bool guarded = model.committed && model.protection.guard;
  const ViolationKind kind = machine_.ShardOf(page_).Judge(page_, access).kind;
  if (kind != (guarded ? ViolationKind::kGuardEnded : ViolationKind::kForbidden)) {
    Fail("the refused access was misjudged");
  }
  model.protection.guard = false;
}

// A call that is changing the page's protection, to one that allows the access or does not: while
// it lasts, both are right.
bool SimulatedThread::MeetsChange(bool allows) const {
  const auto& change = machine_.change;
  if (!change.has_value() || !change->range.Contains(page_)) return false;
  const Protection protection = change->protection;
  return allows == (write_ ? protection.AllowsWrite() : protection.AllowsAccess());
}

void SimulatedThread::Done(PageBytes& contents) {
  Reservation* reservation = machine_.Find(page_);
  if (reservation == nullptr) return Fail("went through, and nothing is reserved there");
  ModelPage& model = reservation->At(page_);
  if (!(write_ ? model.AllowsWrite() : model.AllowsAccess()) && !MeetsChange(true)) {
    return Fail("went through, and the page does not allow it");
  }
  if (model.lost) return Fail("went through, and the page is lost");
  if (write_) {
    Write(model, contents);
  } else {
    Read(model, contents);
  }
}

void SimulatedThread::Read(ModelPage& model, const PageBytes& contents) {
  for (unsigned i = 0; i < kModelWords; ++i) {
    if (contents.words[PlaceOfWord(i)] == model.words[i]) continue;
    return Fail(absl::StrCat("word ", PlaceOfWord(i), " is ", contents.words[PlaceOfWord(i)],
                             " and should be ", model.words[i])
                    .c_str());
  }
  if (!machine_.dice.OneIn(8)) return;
  PageBytes expected{};
  for (unsigned i = 0; i < kModelWords; ++i) expected.words[PlaceOfWord(i)] = model.words[i];
  if (contents.words != expected.words) Fail("a word is not zero that nobody wrote");
}

// One word, or now and then zeros all over.
void SimulatedThread::Write(ModelPage& model, PageBytes& contents) {
  if (machine_.dice.OneIn(10)) {
    model.words.fill(0);
    contents.words.fill(0);
    return;
  }
  const unsigned word = static_cast<unsigned>(machine_.dice.Below(kModelWords));
  model.words[word] = machine_.next_value++;
  contents.words[PlaceOfWord(word)] = model.words[word];
}

}  // namespace userpager::simulation
