// Shard: starting reads: of the page that a thread waits for, and of those that it will want next
// (policy/read_streams.h). Pages whose slots are neighbours in the file are read by one request,
// in whatever order the pages themselves are.
#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/pager/shard.h"

namespace userpager {
namespace {

// What readahead leaves to pages that somebody waits for, and to page-out.
constexpr unsigned kTransfersKept = 32;
constexpr uint64_t kBufferShareKept = 8;  // one in so many

// In the page file alone, and to be read for whoever may access it.
bool IsPagedOut(Pte pte) {
  return pte.state() == PageState::kPagedOut && pte.protection().AllowsAccess();
}

}  // namespace

// Who goes through memory page by page touches each marker. Threads that touch pages here and there
// seem to do so now and then; each time that such a stream seemed to go on, it would be given more.
bool Shard::PassesOverMarker(const Stripe& stripe, const PageSeries& passed) {
  for (uint64_t i = 0; i + 1 < passed.count; ++i) {
    const PageIndex page = passed.At(i);
    if (!stripe.range.Contains(page)) continue;
    const Pte pte = stripe.Load(page);
    if (pte.state() == PageState::kStandby && pte.ahead()) return true;
  }
  return false;
}

// The page has been used, if it was read ahead: one of those, or none.
uint64_t Shard::UseAhead(Stripe& stripe, PageIndex page) {
  const Pte pte = stripe.Load(page);
  if (!pte.ahead()) return 0;
  SetPte(stripe, page, pte.WithAhead(false));
  if (pte.mapped() && frames_[pte.frame()].list() == FrameListId::kWorkingSet) {
    policy_->PassedBy(pte.frame());
  }
  return 1;
}

// A touch that readahead should know of.
ReadStreams::Plan Shard::NoteTouch(Stripe& stripe, uint32_t thread_id, PageIndex page,
                                   ReadStreams::Touch touch) {
  const ReadStreams::Plan plan = read_streams_.OnTouch(thread_id, page, stripe.range, touch);
  if (PassesOverMarker(stripe, plan.passed)) {
    read_streams_.OnMarkerPassedOver();
    return {};
  }
  uint64_t used = UseAhead(stripe, page);
  for (uint64_t i = 0; i < plan.passed.count; ++i) {
    const PageIndex passed = plan.passed.At(i);
    if (stripe.range.Contains(passed)) used += UseAhead(stripe, passed);
  }
  counters_.ahead_pages_used.Add(used);
  if (used > 0) trace_.Add(TraceKind::kAheadUsed, PageRange(page, PageCount(used)), now_ns_);
  read_streams_.OnUsed(used);
  return plan;
}

// Adds the pages of the series that are in the page file alone to `found`. Returns their number.
size_t Shard::FindPagedOut(const Stripe& stripe, const PageSeries& series,
                           std::span<PageInSlot> found) {
  size_t count = 0;
  for (uint64_t i = 0; i < series.count && count < found.size(); ++i) {
    const PageIndex page = series.At(i);
    const Pte pte = stripe.Load(page);
    if (!IsPagedOut(pte)) continue;
    found[count++] = {pte.slot(), page};
  }
  return count;
}

// Reads the pages, each run of neighbouring slots by one request; first the run of the page that
// somebody waits for, if there is one. False where memory, buffers or transfers did not suffice for
// all of it, or, with `demand`, for that page.
bool Shard::ReadPages(Stripe& stripe, std::span<PageInSlot> pages, const ReadReason& reason) {
  const auto by_slot = [](const PageInSlot& a, const PageInSlot& b) { return a.slot < b.slot; };
  if (!std::is_sorted(pages.begin(), pages.end(), by_slot)) {
    std::sort(pages.begin(), pages.end(), by_slot);
  }
  const auto run_end = [&](size_t begin) {
    size_t end = begin + 1;
    while (end < pages.size() && pages[end].slot == pages[end - 1].slot + PageCount(1)) ++end;
    return end;
  };
  const auto has_demand = [&](size_t begin, size_t end) {
    return reason.demand != nullptr &&
           std::any_of(pages.begin() + static_cast<std::ptrdiff_t>(begin),
                       pages.begin() + static_cast<std::ptrdiff_t>(end),
                       [&](const PageInSlot& p) { return p.page == reason.demand->page; });
  };
  if (reason.demand != nullptr) {
    size_t begin = 0;
    while (!has_demand(begin, run_end(begin))) begin = run_end(begin);
    if (!StartTransfer(stripe, pages.subspan(begin, run_end(begin) - begin), reason)) return false;
  }
  bool all = true;
  ReadReason ahead = reason;
  ahead.demand = nullptr;
  for (size_t begin = 0; begin < pages.size() && all; begin = run_end(begin)) {
    if (has_demand(begin, run_end(begin))) continue;
    all = StartTransfer(stripe, pages.subspan(begin, run_end(begin) - begin), ahead);
  }
  return all || reason.demand != nullptr;
}

// Charges a read of `most` pages and finds buffers for it. Where there is not enough for all of
// them, for one page that somebody waits for; nothing where nobody does.
BufferPool::Run Shard::PrepareRead(PageCount most, const Fault* demand) {
  const unsigned transfers = transfers_.most() - transfers_.under_way();
  const PageCount kept(buffers_.pages().value() / kBufferShareKept);
  if (demand == nullptr && (transfers < kTransfersKept || buffers_.free() < most + kept)) return {};
  if (transfers == 0 || buffers_.free().value() == 0) return {};
  PageCount charged;
  if (demand != nullptr) {
    charged = Charge(PageCount(1), demand->urgent);
    if (charged.value() == 0) return {};
  }
  // What nobody waits for comes along as long as memory is left for faults.
  const PageCount granted =
      charged + ledger_.ChargeUpTo(most - charged, PageCount(4 * options_.shard_count));
  BufferPool::Run run;
  if (granted == most) run = buffers_.Take(most);
  if (run.count == most) return run;
  buffers_.Give(run);
  ledger_.Return(granted - charged);
  return demand != nullptr ? buffers_.Take(PageCount(1)) : BufferPool::Run{};
}

// Reads pages whose slots follow one another. Where memory is short, only the page that somebody
// waits for.
bool Shard::StartTransfer(Stripe& stripe, std::span<const PageInSlot> run,
                          const ReadReason& reason) {
  const Fault* demand = reason.demand;
  const BufferPool::Run buffer = PrepareRead(PageCount(run.size()), demand);
  if (buffer.count.value() == 0) return false;
  if (buffer.count.value() < run.size()) {
    const auto wanted = std::find_if(run.begin(), run.end(), [&](const PageInSlot& page) {
      return page.page == demand->page;
    });
    run = run.subspan(static_cast<size_t>(wanted - run.begin()), 1);
  }
  const uint32_t index = transfers_.Allocate();
  Transfer& transfer = transfers_[index];
  transfer.kind = TransferKind::kRead;
  transfer.buffer = buffer;
  transfer.count = static_cast<uint32_t>(run.size());
  transfer.first_slot = run.front().slot;
  transfer.is_stream = reason.is_stream;
  transfer.marker = reason.marker;
  transfer.parks = reason.parks;
  transfer.started_ns = now_ns_;
  if (demand != nullptr) {
    transfer.demand_page = demand->page;
    crowd_.OnBegun();
    transfer.demand_write = demand->write;
    transfer.demand_thread = demand->thread_id;
    transfer.started_ns = demand->seen_ns;
  }
  for (unsigned i = 0; i < transfer.count; ++i) {
    const PageIndex page = run[i].page;
    const bool ahead = !reason.parks && (demand == nullptr || page != demand->page);
    transfer.pages[i] = page;
    SetPte(stripe, page, stripe.Load(page).With(PageState::kReading, index).WithAhead(ahead));
    if (ahead) ++counters_.ahead_pages;
  }
  reading_pages_ += PageCount(transfer.count);
  SubmitRead(index);
  return true;
}

// A hard fault.
Shard::Answer Shard::StartRead(Stripe& stripe, const Fault& fault) {
  const ReadStreams::Plan plan =
      NoteTouch(stripe, fault.thread_id, fault.page, ReadStreams::Touch::kSeen);
  PageInSlot pages[kTransferPages];
  pages[0] = {stripe.Load(fault.page).slot(), fault.page};
  size_t count = 1;
  uint64_t taken = 0;
  const bool adjacent = plan.ahead.count > 0 && std::abs(plan.ahead.stride) == 1 &&
                        (plan.ahead.first == fault.page + PageCount(1) ||
                         plan.ahead.first + PageCount(1) == fault.page);
  if (adjacent) {
    PageSeries first = plan.ahead;
    first.count = taken = std::min(first.count, LongestRead(buffers_) - 1);
    count += FindPagedOut(stripe, first, std::span(pages).subspan(1));
  }
  ReadReason reason;
  reason.demand = &fault;
  reason.is_stream = plan.ahead.count > 0 || plan.passed.count > 0;
  if (plan.marker < plan.ahead.count) reason.marker = plan.ahead.At(plan.marker);
  if (!ReadPages(stripe, std::span(pages, count), reason)) {
    read_streams_.OnBegun(0);
    return Answer::kNoMemory;
  }
  uint64_t begun = 0;
  while (begun < taken && !IsPagedOut(stripe.Load(plan.ahead.At(begun)))) ++begun;
  if (begun < taken) {
    // There was not enough for all of it: the rest is planned again.
    read_streams_.OnBegun(begun);
  } else if (plan.ahead.count > taken) {
    ReadAhead(stripe, plan, taken);
  }
  return Answer::kUnderWay;
}

// Starts to read what is planned, from the `begun`-th page on.
void Shard::ReadAhead(Stripe& stripe, const ReadStreams::Plan& plan, uint64_t begun) {
  ReadReason reason;
  reason.is_stream = true;
  if (plan.marker < plan.ahead.count) reason.marker = plan.ahead.At(plan.marker);
  while (begun < plan.ahead.count) {
    PageInSlot pages[kTransferPages];
    PageSeries part = plan.ahead;
    part.first = plan.ahead.At(begun);
    part.count = std::min(plan.ahead.count - begun, LongestRead(buffers_));
    const size_t count = FindPagedOut(stripe, part, pages);
    if (count > 0 && !ReadPages(stripe, std::span(pages, count), reason)) break;
    begun += part.count;
  }
  read_streams_.OnBegun(begun);
}

// A page has come in for a stream, and what it took is free again.
void Shard::GoOnReading(PageIndex arrived) {
  Stripe* stripe = stripes_.Find(arrived);
  if (stripe == nullptr) return;
  const ReadStreams::Plan plan = read_streams_.OnArrived(arrived, stripe->range);
  if (plan.ahead.count > 0) ReadAhead(*stripe, plan, 0);
}

// Somebody waits for a page that is on its way: readahead was too late for it, and learns how far
// the stream has come.
void Shard::AwaitRead(Stripe& stripe, const Fault& fault) {
  Transfer& transfer = transfers_[stripe.Load(fault.page).io()];
  const PageIndex* end = transfer.pages + transfer.count;
  const PageIndex* found = std::find<const PageIndex*>(transfer.pages, end, fault.page);
  USERPAGER_CHECK(found != end, "a page is being read by a transfer that does not have it",
                  AddressOf(fault.page));
  if (transfer.awaited == 0) transfer.awaited_since_ns = fault.seen_ns;
  transfer.awaited |= uint64_t{1} << (found - transfer.pages);
  const ReadStreams::Plan plan =
      NoteTouch(stripe, fault.thread_id, fault.page, ReadStreams::Touch::kAwaits);
  if (plan.ahead.count > 0) ReadAhead(stripe, plan, 0);
}

// A page leaves memory.
void Shard::LeftUnused(PageIndex page, Pte pte) {
  if (!pte.ahead()) return;
  read_streams_.OnWasted(1);
  trace_.Add(TraceKind::kAheadWasted, PageRange(page, PageCount(1)), now_ns_);
}

bool Shard::IsMarker(const Transfer& transfer, unsigned i) const {
  return (transfer.parks || transfer.pages[i] == transfer.marker) &&
         (transfer.awaited >> i & 1) == 0 && transfer.pages[i] != transfer.demand_page;
}

// The page goes to the standby list rather than to the program, so that its touch is seen. False
// where that is not possible.
bool Shard::ParkMarker(Stripe& stripe, const Transfer& transfer, unsigned i) {
  const PageIndex page = transfer.pages[i];
  const Pte pte = stripe.Load(page);
  if (pte.stays() || pte.queued() || pte.protection().AllowsExecute()) return false;
  ParkingArea* area = Parking(false);
  if (area == nullptr) return false;
  const PlaceRun place = area->Allocate(PageCount(1));
  const void* content =
      platform_.Peek(buffers_.PageAt(transfer.buffer.first) + PageCount(i));
  const RunResult copied = platform_.Copy(area->PageAt(place.first), content, PageCount(1),
                                          InstallMode::kWritable, WakeMode::kNoWake);
  if (copied.done.value() == 0) {
    area->Free(place.first, PageCount(1));
    return false;
  }
  const FrameIndex frame = frames_.Allocate(page);
  --reading_pages_;
  frames_[frame].slot = transfer.slot(i);
  frames_[frame].place = place.first;
  frames_[frame].set_streamed(transfer.is_stream);
  StampParked(frame);
  SetPte(stripe, page, pte.With(PageState::kStandby, frame.value()).WithHistory(0));
  standby_.PushYoungest(frames_, frame, false);
  ++counters_.pages_in;
  trace_.PagesIn(PageRange(page, PageCount(1)), false, now_ns_);
  // A thread may have come to wait without its message having been read yet.
  platform_.Wake(PageRange(page, PageCount(1)));
  return true;
}

}  // namespace userpager
