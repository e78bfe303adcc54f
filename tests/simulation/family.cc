#include "tests/simulation/family.h"

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/arena.h"
#include "runtime/platform/descriptors.h"
#include "tests/simulation/shard_view.h"
#include "tests/support/child_process.h"

namespace userpager::simulation {
namespace {

constexpr unsigned kMostGenerations = 2;
constexpr uint64_t kMostForks = 3;  // of one process

}  // namespace

std::string Family::Step(const std::function<std::string()>& run) {
  machine_.EndLoans();
  const size_t children = machine_.loans.size();
  if (children > 0 && machine_.dice.OneIn(2)) {
    EndOne(machine_.dice.Below(children));
    return "";
  }
  // A call that changes a protection has the tree, which a fork takes first.
  const bool may_fork = generation_ < kMostGenerations && forks_ < kMostForks &&
                        !machine_.change.has_value();
  return may_fork && caller_.KeepPromises(machine_.page_file.used()) ? Fork(run) : "";
}

// As Reservations::BeginFork and EndFork in the parent. The child's end of its life line stays open
// here, for as long as the child lives. All shards' mutexes are held, which the analysis cannot
// see.
std::string Family::Fork(const std::function<std::string()>& run) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const unsigned shards = machine_.scenario.shards;
  for (unsigned i = 0; i < shards; ++i) machine_.shard(i).Freeze();
  const PageCount limit = machine_.ledger.limit();
  SlotLoan loan;
  if (machine_.page_file.Lend(&loan) != 0 || loan.watched >= 0) {
    machine_.verdict.Fail("the slots cannot be lent to a child");
  }
  machine_.page_file.HoldForFork();
  Arena::HoldForFork();
  machine_.platform.Fork();
  ++forks_;
  const std::string found = InChild([&] {
    const std::string problem = Begin(loan, limit);
    return problem.empty() ? run() : problem;
  });
  Arena::ReleaseAfterFork();
  machine_.page_file.ReleaseAfterFork();
  if (loan.held >= 0) Remember(loan.held);
  Thaw();
  return found;
}

void Family::Thaw() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (unsigned i = machine_.scenario.shards; i > 0; --i) machine_.shard(i - 1).Thaw();
}

void Family::Remember(int held) {
  machine_.loans.push_back({held, false, auditor_.owned_slots(), auditor_.PagesInSlots()});
  // The canary: for the page file the child is gone.
  if (machine_.scenario.canary == Canary::kLentSlotsFreed) Descriptors::Close(held);
}

// In the child: as Pager::BeginInChild, then Reservations::AdoptInChild.
std::string Family::Begin(const SlotLoan& loan, PageCount limit) {
  ++generation_;
  forks_ = 0;
  Arena::ReleaseAfterFork();
  machine_.page_file.ReleaseAfterFork();
  // Its brothers' ends, which a real parent would have closed.
  for (const Loan& other : machine_.loans) Descriptors::Close(other.held);
  machine_.loans.clear();
  const int borrowed = machine_.page_file.descriptor();
  machine_.page_file.BorrowInChild(loan);
  Descriptors::CloseInherited();
  machine_.BecomeChild();
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) machine_.shard(i).EndTransfersInChild();
  LogLine line;
  if (machine_.page_file.OpenInChild(&line) != 0) return line.c_str();
  machine_.store.BecomeChild(borrowed);
  caller_.BecomeChild();
  machine_.platform.set_child_is_adopting(true);
  if (!Adopt(limit)) return "its memory cannot be registered";
  machine_.platform.set_child_is_adopting(false);
  Thaw();
  auditor_.BecomeChild();
  return caller_.KeepPromises(PageCount(0)) ? "" : "its promises cannot be kept";
}

// As Pager::AdoptInChild and FinishInChild. Locks end.
bool Family::Adopt(PageCount limit) {
  PageCount mapped;
  for (const auto& reservation : machine_.reservations) {
    if (reservation == nullptr) continue;
    for (Stripe& stripe : reservation->stripes()) {
      Shard& shard = machine_.shard(stripe.shard);
      if (shard.AdoptStripe(stripe, stripe.range, PageRange(), &mapped) != 0) return false;
    }
    const PageRange range = reservation->range();
    for (PageIndex page = range.begin; page < range.end; ++page) {
      reservation->At(page).locked = false;
    }
  }
  PageCount charged;
  for (unsigned i = 0; i < machine_.scenario.shards; ++i) {
    if (machine_.shard(i).AdoptParking() != 0) return false;
    charged += machine_.shard(i).ChargedInChild();
  }
  machine_.ledger.BeginInChild(limit, charged, mapped);
  return true;
}

void Family::EndOne(size_t index) {
  Loan& loan = machine_.loans[index];
  if (machine_.scenario.canary != Canary::kLentSlotsFreed) Descriptors::Close(loan.held);
  loan.ended = true;
}

void Family::End() {
  for (size_t i = 0; i < machine_.loans.size(); ++i) EndOne(i);
  machine_.EndLoans();
}

}  // namespace userpager::simulation
