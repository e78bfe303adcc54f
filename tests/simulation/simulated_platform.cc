#include "tests/simulation/simulated_platform.h"

#include <errno.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace userpager::simulation {
namespace {

const PageBytes kZeros{};
// What is seen of a page that the kernel lets nobody access: COPY refuses it, and whoever looks at
// it would die, which wrong bytes stand for here.
const PageBytes kInaccessible{{0xdddd}};

}  // namespace

SimulatedPlatform::SimulatedPlatform(const Scenario& scenario, const FrameLedger& ledger,
                                     Dice& dice, Verdict& verdict)
    : scenario_(scenario),
      ledger_(ledger),
      dice_(dice),
      verdict_(verdict),
      faults_(scenario.platform),
      parking_areas_(scenario.shards),
      waiters_(scenario.threads),
      unread_(scenario.shards) {}

SimulatedPlatform::Area* SimulatedPlatform::FindArea(PageIndex page) {
  if (last_area_ < areas_.size() && areas_[last_area_].range.Contains(page)) {
    return &areas_[last_area_];
  }
  for (size_t i = 0; i < areas_.size(); ++i) {
    if (!areas_[i].range.Contains(page)) continue;
    last_area_ = i;
    return &areas_[i];
  }
  return nullptr;
}

SimulatedPlatform::Page* SimulatedPlatform::Find(PageIndex page) {
  Area* area = FindArea(page);
  return area == nullptr ? nullptr : &area->pages[(page - area->range.begin).value()];
}

void SimulatedPlatform::CheckOwner(PageRange range, unsigned shard) {
  if (range.empty()) return;
  for (const PageIndex page : {range.begin, range.end - PageCount(1)}) {
    const Area* area = FindArea(page);
    if (area == nullptr || area->shard == shard) continue;
    verdict_.Fail(absl::StrCat("shard ", shard, " reached for a page of shard ", area->shard));
  }
}

// A shard registers its parking areas itself: first that of data, then that of code.
Errno SimulatedPlatform::Register(PageRange range, unsigned shard) {
  if (Area* area = FindArea(range.begin); area != nullptr) {
    RegisterAgain(*area, range, shard);
    return 0;
  }
  Area area{range, shard, std::vector<Page>(range.count().value())};
  const bool parks = range.begin < PageIndex(kFirstReservation) ||
                     range.begin >= PageIndex(kFirstReservation + 16 * kReservationStep);
  if (parks) {
    const KernelAccess access = parking_areas_[shard]++ == 0 ? KernelAccess::kReadWrite
                                                             : KernelAccess::kReadWriteExecute;
    for (Page& page : area.pages) page.access = access;
  }
  for (Page& page : area.pages) page.registered = true;
  areas_.push_back(std::move(area));
  return 0;
}

// By a forked child, what its parent had registered.
void SimulatedPlatform::RegisterAgain(Area& area, PageRange range, unsigned shard) {
  if (area.shard != shard || range.end > area.range.end) {
    verdict_.Fail("a child registers what was another shard's");
  }
  for (PageIndex page = range.begin; page < std::min(range.end, area.range.end); ++page) {
    area.pages[(page - area.range.begin).value()].registered = true;
  }
}

void SimulatedPlatform::BecomeChild() {
  memory_.ForgetPins();
  for (Area& area : areas_) {
    for (Page& page : area.pages) page.registered = page.write_protected = false;
  }
  for (Waiter& waiter : waiters_) waiter = {};
  for (std::deque<unsigned>& unread : unread_) unread.clear();
}

void SimulatedPlatform::Forget(PageRange range) {
  const auto found = std::find_if(areas_.begin(), areas_.end(),
                                  [&](const Area& area) { return area.range == range; });
  if (found == areas_.end()) return verdict_.Fail("a range was unmapped that was never mapped");
  for (const Page& page : found->pages) {
    if (page.memory != 0) verdict_.Fail("a page was unmapped that was not given back");
  }
  areas_.erase(found);
}

bool SimulatedPlatform::IsOneMapping(PageIndex begin, PageCount count) {
  const Page* first = Find(begin);
  for (PageIndex page = begin; page < begin + count; ++page) {
    const Page* other = Find(page);
    if (other == nullptr || !other->registered || other->access != first->access) return false;
  }
  return true;
}

void SimulatedPlatform::CheckCharge() {
  if (resident() <= ledger_.charged().value()) return;
  verdict_.Fail(absl::StrCat(resident(), " pages are resident and ", ledger_.charged().value(),
                             " charged"));
}

RunResult SimulatedPlatform::Install(PageIndex to, const void* contents, bool zeros,
                                     PageCount count, InstallMode mode, WakeMode wake) {
  if (!IsOneMapping(to, count)) return {PageCount(0), ENOENT};
  if (contents == &kInaccessible) return {PageCount(0), EFAULT};
  if (dice_.Happens(faults_.out_of_memory)) return {PageCount(0), ENOMEM};
  if (dice_.Happens(faults_.again)) return {PageCount(0), EAGAIN};
  PageCount most = count;
  if (count.value() > 1 && dice_.Happens(faults_.short_count)) {
    most = PageCount(dice_.Between(1, count.value() - 1));
  }
  const char* bytes = static_cast<const char*>(contents);
  PageCount done;
  for (; done < most; ++done) {
    Page& page = *Find(to + done);
    if (page.memory != 0) break;
    if (page.guarded || page.poisoned) {
      verdict_.Fail("a page was installed where a guard or a poison mark is");
    }
    page.memory = memory_.Map(zeros ? reinterpret_cast<const char*>(&kZeros)
                                    : bytes + BytesOf(done));
    page.write_protected = mode == InstallMode::kWriteProtected &&
                           scenario_.canary != Canary::kNoWriteProtection;
  }
  CheckCharge();
  const bool forgets = scenario_.canary == Canary::kForgottenWake && dice_.OneIn(20);
  if (wake == WakeMode::kWake && !forgets) WakeAll(PageRange(to, done), to);
  if (done == count) return {done, 0};
  return {done, done.value() > 0 ? EAGAIN : EEXIST};
}

RunResult SimulatedPlatform::Copy(PageIndex to, const void* contents, PageCount count,
                                  InstallMode mode, WakeMode wake) {
  return Install(to, contents, false, count, mode, wake);
}

RunResult SimulatedPlatform::CopyZeros(PageIndex to, PageCount count, InstallMode mode,
                                       WakeMode wake) {
  return Install(to, nullptr, true, count, mode, wake);
}

Errno SimulatedPlatform::RefusalToMove(PageIndex to, PageIndex from) {
  const Page& source = *Find(from);
  const Page& target = *Find(to);
  if (source.memory == 0) return ENOENT;
  if (target.memory != 0) return EEXIST;
  if (target.guarded || target.poisoned) {
    verdict_.Fail("a page was moved to where a guard or a poison mark is");
  }
  const bool stays = memory_.IsPinned(source.memory) || memory_.IsShared(source.memory);
  if (stays || dice_.Happens(faults_.refuse_move)) return EBUSY;
  return 0;
}

RunResult SimulatedPlatform::Move(PageIndex to, PageIndex from, PageCount count, WakeMode wake) {
  if (!scenario_.move) verdict_.Fail("MOVE was asked of a kernel without it");
  if (!IsOneMapping(to, count) || !IsOneMapping(from, count)) return {PageCount(0), EINVAL};
  const KernelAccess access = Find(from)->access;
  if (access != Find(to)->access || access < KernelAccess::kReadWrite) {
    return {PageCount(0), EINVAL};
  }
  PageCount most = count;
  if (count.value() > 1 && dice_.Happens(faults_.short_count)) {
    most = PageCount(dice_.Between(1, count.value() - 1));
  }
  PageCount done;
  Errno refusal = 0;
  for (; done < most; ++done) {
    refusal = RefusalToMove(to + done, from + done);
    if (refusal != 0) break;
    Page& source = *Find(from + done);
    Page& target = *Find(to + done);
    target.memory = source.memory;
    target.write_protected = false;
    source = Page{.registered = true, .access = source.access};
  }
  if (wake == WakeMode::kWake) WakeAll(PageRange(to, done), to);
  if (done == count) return {done, 0};
  return {done, done.value() > 0 ? EAGAIN : refusal};
}

Errno SimulatedPlatform::WriteProtect(PageRange range) {
  if (child_is_adopting_ && scenario_.canary == Canary::kChildUnprotected) return 0;
  for (PageIndex at = range.begin; at < range.end; ++at) {
    Page* page = Find(at);
    if (page == nullptr || !page->registered) return ENOENT;
    page->write_protected =
        page->memory != 0 && scenario_.canary != Canary::kNoWriteProtection;
  }
  return 0;
}

Errno SimulatedPlatform::Unprotect(PageRange range, WakeMode wake) {
  for (PageIndex at = range.begin; at < range.end; ++at) {
    Page* page = Find(at);
    if (page == nullptr) return ENOENT;
    page->write_protected = false;
  }
  if (wake == WakeMode::kWake) WakeAll(range, range.begin);
  return 0;
}

void SimulatedPlatform::Wake(PageRange range, unsigned shard) {
  for (unsigned thread = 0; thread < waiters_.size(); ++thread) {
    const Waiter& waiter = waiters_[thread];
    if (waiter.asleep && waiter.shard == shard && range.Contains(AwaitedBy(thread))) {
      Interrupt(thread);
    }
  }
}

// As calls that install something wake: by the userfaultfd that has the page.
void SimulatedPlatform::WakeAll(PageRange range, PageIndex owner_of) {
  Wake(range, FindArea(owner_of)->shard);
}

Errno SimulatedPlatform::Poison(PageIndex at) {
  Page* page = Find(at);
  if (page == nullptr) return ENOENT;
  if (page->memory != 0 || page->poisoned) return EEXIST;
  page->poisoned = true;
  return 0;
}

void SimulatedPlatform::Drop(Page& page) {
  if (page.memory != 0 && scenario_.canary != Canary::kMemoryKept) memory_.Unmap(page.memory);
  page.memory = 0;
  page.write_protected = false;
  page.poisoned = false;
}

// A guard survives, as it does MADV_DONTNEED.
Errno SimulatedPlatform::Discard(PageRange range) {
  for (PageIndex at = range.begin; at < range.end; ++at) {
    if (Page* page = Find(at); page != nullptr) {
      Drop(*page);
    } else {
      buffers_.erase(at.value());
    }
  }
  return 0;
}

// A store by the kernel, in the shard's own thread: nobody would answer its fault.
Errno SimulatedPlatform::TouchForWriting(PageRange range) {
  for (PageIndex at = range.begin; at < range.end; ++at) {
    PageBytes* contents = nullptr;
    if (Touch(at, true, &contents) == TouchOutcome::kDone) continue;
    verdict_.Fail("a shard's own store faults");
  }
  return 0;
}

Errno SimulatedPlatform::SetAccess(PageRange range, KernelAccess access) {
  const Page* first = Find(range.begin);
  if (first == nullptr) return ENOMEM;
  const bool hides = access == KernelAccess::kNone && first->memory != 0;
  if (hides && may_refuse_to_hide_ && dice_.Happens(faults_.no_mappings)) return ENOMEM;
  for (PageIndex at = range.begin; at < range.end; ++at) Find(at)->access = access;
  return 0;
}

Errno SimulatedPlatform::InstallGuard(PageIndex at) {
  Page* page = Find(at);
  if (page->memory != 0) verdict_.Fail("a guard discarded a page");
  if (!scenario_.guard) verdict_.Fail("a guard was asked of a kernel without them");
  page->guarded = true;
  return 0;
}

Errno SimulatedPlatform::RemoveGuard(PageIndex page) {
  Find(page)->guarded = false;
  return 0;
}

bool SimulatedPlatform::IsPresent(PageIndex at) {
  const Page* page = Find(at);
  return page != nullptr && page->memory != 0;
}

// What was never registered is a read buffer, which is real.
const void* SimulatedPlatform::Peek(PageIndex at) {
  const Page* page = Find(at);
  if (page == nullptr) return PointerTo(at);
  if (page->access == KernelAccess::kNone) return &kInaccessible;
  if (page->memory != 0) return &memory_[page->memory];
  verdict_.Fail("a page was looked at that is not there");
  return &kZeros;
}

TouchOutcome SimulatedPlatform::Touch(PageIndex at, bool write, PageBytes** contents) {
  const Page* page = Find(at);
  if (page == nullptr || page->guarded || page->access == KernelAccess::kNone ||
      (write && page->access == KernelAccess::kRead)) {
    return TouchOutcome::kSegv;
  }
  if (page->poisoned) return TouchOutcome::kBus;
  if (!page->registered) verdict_.Fail("a page was touched that no shard watches");
  if (page->memory == 0) return TouchOutcome::kMissing;
  if (write && page->write_protected) return TouchOutcome::kWriteProtected;
  if (write) memory_.Unshare(page->memory);
  *contents = &memory_[page->memory];
  return TouchOutcome::kDone;
}

void SimulatedPlatform::Sleep(unsigned thread, const FaultMessage& message) {
  const unsigned shard = FindArea(PageOf(message.address))->shard;
  waiters_[thread] = {true, shard, message};
  unread_[shard].push_back(thread);
}

// A message that was not read yet goes with its thread, as in the kernel.
void SimulatedPlatform::Interrupt(unsigned thread) {
  waiters_[thread].asleep = false;
  std::deque<unsigned>& unread = unread_[waiters_[thread].shard];
  unread.erase(std::remove(unread.begin(), unread.end(), thread), unread.end());
}

bool SimulatedPlatform::has_sleepers() const {
  return std::any_of(waiters_.begin(), waiters_.end(), [](const Waiter& w) { return w.asleep; });
}

bool SimulatedPlatform::has_messages() const {
  return std::any_of(unread_.begin(), unread_.end(), [](const auto& u) { return !u.empty(); });
}

FaultMessage SimulatedPlatform::ReadMessage(unsigned shard) {
  const unsigned thread = unread_[shard].front();
  unread_[shard].pop_front();
  return waiters_[thread].message;
}

PhysicalPage SimulatedPlatform::MappedAt(PageIndex at) {
  const Page* page = Find(at);
  return page == nullptr ? 0 : page->memory;
}

PhysicalPage SimulatedPlatform::Hold(PageIndex at, bool own) {
  const Page* page = Find(at);
  if (page == nullptr || page->access == KernelAccess::kNone) return 0;
  const PhysicalPage memory = page->memory;
  if (memory != 0) memory_.Pin(memory, own);
  return memory;
}

void SimulatedPlatform::TouchBuffer(PageIndex page) {
  buffers_.insert(page.value());
  CheckCharge();
}

}  // namespace userpager::simulation
