// Shard: writing pages to the page file. Parked pages are written from where they are parked;
// without UFFDIO_MOVE a page is write-protected and written from its own place, and dropped when
// that is done.
#include <errno.h>

#include <algorithm>
#include <bit>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/sync_point.h"
#include "runtime/page_file/checksum.h"
#include "runtime/pager/shard.h"

namespace userpager {
namespace {

constexpr uint64_t kLongestPauseNs = 1000 * kMillisecond;
// Failures in a row that are told one by one; after them only each power of two is.
constexpr unsigned kToldFailures = Shard::kSlotFailures;

}  // namespace

// Adds a page's memory behind the transfer's other pages.
void Shard::AddPart(Transfer& transfer, PageIndex memory) {
  if (transfer.part_count > 0) {
    iovec& last = transfer.parts[transfer.part_count - 1];
    if (static_cast<char*>(last.iov_base) + last.iov_len == PointerTo(memory)) {
      last.iov_len += kPageBytes;
      return;
    }
  }
  transfer.parts[transfer.part_count++] = {PointerTo(memory), kPageBytes};
}

SlotRun Shard::TakeSlots(PageCount most) {
  const SlotRun run = page_file_.AllocateRun(most);
  if (run.count.value() == 0 && page_file_.usable() < page_file_.max_usable()) {
    wants_slots_.store(true, std::memory_order_relaxed);
  }
  return run;
}

// Takes what a write of up to `most` pages needs: a transfer, slots that are neighbours (their
// number in `slots`), and buffers to encrypt into. False where one of these is not to be had now.
bool Shard::BeginWrite(PageCount most, uint32_t* index, PageCount* slots) {
  if (now_ns_ < next_write_ns_) return false;
  if (careful_writes_ > 0) most = PageCount(1);
  BufferPool::Run buffer;
  if (cipher_ != nullptr) {
    buffer = sealed_.Take(most);
    most = buffer.count;
    if (most.value() == 0) return false;
  }
  const SlotRun run = TakeSlots(most);
  *index = run.count.value() == 0 ? 0 : transfers_.Allocate();
  if (*index == 0) {
    if (run.count.value() != 0) page_file_.Free(run.first, run.count);
    sealed_.Give(buffer);
    return false;
  }
  transfers_[*index].first_slot = run.first;
  transfers_[*index].buffer = buffer;
  *slots = run.count;
  return true;
}

// Writes the oldest modified pages to slots that are neighbours. False where that cannot be done
// now.
bool Shard::StartWrite() {
  uint32_t index;
  PageCount slots;
  const PageCount most = std::min(PageCount(kTransferPages), modified_.count());
  if (!BeginWrite(most, &index, &slots)) return false;
  Transfer& transfer = transfers_[index];
  transfer.kind = TransferKind::kWrite;
  while (transfer.count < slots.value()) {
    const FrameIndex frame = modified_.oldest();
    const PageIndex page = frames_[frame].page();
    Stripe* stripe = stripes_.Find(page);
    USERPAGER_CHECK(stripe != nullptr, "the modified list has a page of no stripe",
                    AddressOf(page));
    modified_.Remove(frames_, frame);
    SetPte(*stripe, page, stripe->Load(page).With(PageState::kWriting, frame.value()));
    const PageIndex memory = ParkedAt(frames_[frame]);
    page_file_.set_checksum(transfer.slot(transfer.count),
                            Crc32c(platform_.Peek(memory), kPageBytes));
    AddPart(transfer, memory);
    transfer.pages[transfer.count] = page;
    transfer.frames[transfer.count++] = frame;
  }
  careful_writes_ -= std::min<unsigned>(careful_writes_, transfer.count);
  write_due_ -= std::min(write_due_, PageCount(transfer.count));
  SubmitWrite(index);
  return true;
}

// Encrypts the pages into the transfer's buffer, which is then what is written. The pages are in
// memory and nobody can change them, as the mutex is held.
void Shard::SealPages(Transfer& transfer) {
  const FileMark file = page_file_.MarkOf(transfer.first_slot);
  unsigned i = 0;
  for (unsigned part = 0; part < transfer.part_count; ++part) {
    const PageIndex memory = PageOf(transfer.parts[part].iov_base);
    const uint64_t pages = transfer.parts[part].iov_len >> kPageShift;
    for (uint64_t k = 0; k < pages; ++k, ++i) {
      const PageIndex to = sealed_.PageAt(transfer.buffer.first + i);
      cipher_->Seal(transfer.slot(i), platform_.Peek(memory + PageCount(k)), PointerTo(to), file);
    }
  }
  transfer.parts[0] = {PointerTo(sealed_.PageAt(transfer.buffer.first)),
                       transfer.count * kPageBytes};
  transfer.part_count = 1;
}

void Shard::SubmitWrite(uint32_t index) {
  Transfer& transfer = transfers_[index];
  transfer.started_ns = NowNanoseconds();
  if (cipher_ != nullptr) SealPages(transfer);
  writing_pages_ += PageCount(transfer.count);
  ++writes_;
  last_write_ns_ = now_ns_;
  writes_in_place_ += transfer.kind == TransferKind::kWriteInPlace;
  ++counters_.file_writes;
  counters_.file_write_bytes.Add(transfer.count * kPageBytes);
  engine_.Submit({IoDirection::kWrite, page_file_.DescriptorOf(transfer.first_slot),
                  std::span<const iovec>(transfer.parts, transfer.part_count),
                  page_file_.OffsetOf(transfer.first_slot), index,
                  transfer.kind == TransferKind::kWriteInPlace && cipher_ == nullptr});
  USERPAGER_SYNC_POINT("page_out:write_submitted", AddressOf(transfer.pages[0]));
}

// The road without MOVE. Returns how many pages have left or are on their way.
PageCount Shard::EvictInPlace(Stripe& stripe, PageRange run) {
  PageCount gone;
  PageIndex page = run.begin;
  while (page < run.end) {
    const bool clean = stripe.Load(page).state() == PageState::kActiveClean;
    PageIndex end = page;
    while (end < run.end && (stripe.Load(end).state() == PageState::kActiveClean) == clean) {
      Untrap(stripe, end);
      ++end;
    }
    const PageRange part(page, end);
    if (clean) {
      DropClean({&part, 1});
      gone += part.count();
    } else {
      const PageCount started = StartWriteInPlace(stripe, part);
      gone += started;
      if (started < part.count()) break;
    }
    page = end;
  }
  return gone;
}

// The pages are write-protected, so nothing can change them between this decision and the discard.
// A PTE says that its page is out when that is so: it is read without the mutex.
void Shard::DropClean(std::span<const PageRange> runs) {
  const Errno error = platform_.DiscardAll(runs);
  USERPAGER_CHECK(error == 0, "clean pages could not be discarded", error);
  for (const PageRange run : runs) {
    Stripe* stripe = stripes_.Find(run.begin);
    for (PageIndex page = run.begin; page < run.end; ++page) {
      const Pte pte = stripe->Load(page);
      const FrameIndex frame = pte.frame();
      LeftUnused(page, pte);
      SetPte(*stripe, page, LeaveWorkingSet(frame, pte)
                                .With(PageState::kPagedOut, frames_[frame].slot.value())
                                .WithAhead(false));
      if (!LeaveToWrite(page, frame)) ReleaseFrame(frame);
    }
    counters_.clean_pages_dropped.Add(run.count().value());
    trace_.Add(TraceKind::kDropped, run, now_ns_);
  }
}

PageCount Shard::StartWriteInPlace(Stripe& stripe, PageRange run) {
  if (writes_ >= kMostWrites) return PageCount(0);
  uint32_t index;
  PageCount slots;
  if (!BeginWrite(run.count(), &index, &slots)) return PageCount(0);
  run = PageRange(run.begin, slots);
  // Before a page is looked at: from here on a store waits for this thread.
  const Errno error = platform_.WriteProtect(run);
  USERPAGER_CHECK(error == 0, "pages could not be write-protected", error);
  Transfer& transfer = transfers_[index];
  transfer.kind = TransferKind::kWriteInPlace;
  for (PageIndex page = run.begin; page < run.end; ++page) {
    if (DropZerosInPlace(stripe, page)) continue;
    const Pte pte = stripe.Load(page);
    const FrameIndex frame = pte.frame();
    const Pte left = LeaveWorkingSet(frame, pte);
    frames_[frame].io = index;
    SetPte(stripe, page, left.With(PageState::kWritingInPlace, frame.value()).WithAhead(false));
    page_file_.set_checksum(transfer.slot(transfer.count),
                            Crc32c(platform_.Peek(page), kPageBytes));
    AddPart(transfer, page);
    transfer.pages[transfer.count] = page;
    transfer.frames[transfer.count++] = frame;
  }
  if (transfer.count < slots.value()) {
    page_file_.Free(transfer.slot(transfer.count), slots - PageCount(transfer.count));
  }
  if (transfer.count == 0) {
    sealed_.Give(transfer.buffer);
    transfers_.Free(index);
  } else {
    careful_writes_ -= std::min<unsigned>(careful_writes_, transfer.count);
    SubmitWrite(index);
  }
  return run.count();
}

// A page of zeros needs no slot.
bool Shard::DropZerosInPlace(Stripe& stripe, PageIndex page) {
  if (!IsZero(platform_.Peek(page))) return false;
  const Errno error = platform_.Discard(PageRange(page, PageCount(1)));
  USERPAGER_CHECK(error == 0, "a page of zeros could not be discarded", error);
  const Pte pte = stripe.Load(page);
  SetPte(stripe, page,
         LeaveWorkingSet(pte.frame(), pte).With(PageState::kDemandZero).WithAhead(false));
  if (!LeaveToWrite(page, pte.frame())) ReleaseFrame(pte.frame());
  ++counters_.zero_pages_dropped;
  trace_.Add(TraceKind::kZerosDropped, PageRange(page, PageCount(1)), now_ns_);
  return true;
}

void Shard::OnWriteDone(uint32_t index, int64_t result) {
  USERPAGER_SYNC_POINT("page_out:write_done", AddressOf(transfers_[index].pages[0]));
  Transfer& transfer = transfers_[index];
  WriteOutcome outcome = WriteOutcome::kFailed;
  if (result == static_cast<int64_t>(transfer.count * kPageBytes)) {
    outcome = WriteOutcome::kWritten;
    if (write_failures_ != 0) NoteWriteSuccess();
    counters_.pages_out.Add(transfer.count);
    TraceWritten(transfer);
  } else if (transfer.kind == TransferKind::kWriteInPlace &&
             (result == -EFAULT || !AllStillWritten(index))) {
    // A page was decommitted or hidden before the device took hold of it: not the device's fault.
    outcome = WriteOutcome::kPageGone;
  } else {
    NoteWriteFailure(transfer, result);
  }
  writing_pages_ -= PageCount(transfer.count);
  --writes_;
  last_write_ns_ = now_ns_;
  for (unsigned i = 0; i < transfer.count; ++i) {
    if (transfer.kind == TransferKind::kWrite) {
      ParkedWriteDone(transfer, i, outcome);
    } else {
      InPlaceWriteDone(index, i, outcome);
    }
  }
  writes_in_place_ -= transfer.kind == TransferKind::kWriteInPlace;
  sealed_.Give(transfer.buffer);
  transfers_.Free(index);
  if (cipher_ != nullptr && sealed_.all_free()) FitBuffers();
}

// Neighbours together.
void Shard::TraceWritten(const Transfer& transfer) {
  const uint64_t now_ns = NowNanoseconds();
  for (unsigned begin = 0, end = 1; begin < transfer.count; begin = end++) {
    const PageIndex first = transfer.pages[begin];
    while (end < transfer.count && transfer.pages[end] == first + PageCount(end - begin)) ++end;
    trace_.PagesOut(PageRange(first, PageCount(end - begin)), transfer.started_ns, now_ns);
  }
}

// What is to become of a slot whose page went another way, or whose write failed. Which of several
// slots the device refuses shows when each is written alone; after so many failures in a row it is
// not the slots' fault.
void Shard::GiveUpSlot(const Transfer& transfer, unsigned i, WriteOutcome outcome) {
  if (outcome == WriteOutcome::kFailed && transfer.count == 1 && write_failures_ <= kSlotFailures) {
    page_file_.Retire(transfer.slot(i));
  } else {
    page_file_.Free(transfer.slot(i), PageCount(1));
  }
}

void Shard::ParkedWriteDone(Transfer& transfer, unsigned i, WriteOutcome outcome) {
  const FrameIndex frame = transfer.frames[i];
  const PageIndex page = transfer.pages[i];
  Stripe* stripe = stripes_.Find(page);
  const Pte pte = stripe == nullptr ? Pte() : stripe->Load(page);
  const bool live = pte.state() == PageState::kWriting && pte.frame() == frame;
  if (!live) {
    GiveUpSlot(transfer, i, outcome);
    discard_.PushYoungest(frames_, frame);
  } else if (outcome == WriteOutcome::kWritten) {
    frames_[frame].slot = transfer.slot(i);
    SetPte(*stripe, page, pte.With(PageState::kStandby, frame.value()));
    const bool on_trial = PageHistory(pte.history()).on_trial();
    const FrameIndex oldest = standby_.oldest(on_trial);
    if (oldest != kNoFrame && !WasParkedBefore(oldest, frame)) {
      standby_.PushOldest(frames_, frame, on_trial);
    } else {
      standby_.PushYoungest(frames_, frame, on_trial);
    }
  } else {
    GiveUpSlot(transfer, i, outcome);
    SetPte(*stripe, page, pte.With(PageState::kModified, frame.value()));
    modified_.PushOldest(frames_, frame);
  }
}

// The kernel has taken the frame's memory from the page. A write in place that began earlier, also
// one that a store has overtaken, keeps the memory until it is done: the frame is the transfer's
// then. False where there is none.
bool Shard::LeaveToWrite(PageIndex page, FrameIndex frame) {
  if (writes_in_place_ == 0) return false;
  for (uint32_t index = 1; index <= transfers_.most(); ++index) {
    Transfer& transfer = transfers_[index];
    if (transfer.kind != TransferKind::kWriteInPlace) continue;
    for (unsigned i = 0; i < transfer.count; ++i) {
      const uint64_t bit = uint64_t{1} << i;
      if (transfer.pages[i] != page || transfer.frames[i] != frame) continue;
      if ((transfer.detached & bit) != 0) continue;
      transfer.detached |= bit;
      return true;
    }
  }
  return false;
}

// Whether page i of a write in place is as it was when the write began.
bool Shard::IsStillWritten(uint32_t index, unsigned i) {
  const Transfer& transfer = transfers_[index];
  const FrameIndex frame = transfer.frames[i];
  if ((transfer.detached >> i & 1) != 0) return false;
  Stripe* stripe = stripes_.Find(transfer.pages[i]);
  const Pte pte = stripe == nullptr ? Pte() : stripe->Load(transfer.pages[i]);
  return pte.state() == PageState::kWritingInPlace && pte.frame() == frame &&
         frames_[frame].io == index;
}

bool Shard::AllStillWritten(uint32_t index) {
  for (unsigned i = 0; i < transfers_[index].count; ++i) {
    if (!IsStillWritten(index, i)) return false;
  }
  return true;
}

void Shard::InPlaceWriteDone(uint32_t index, unsigned i, WriteOutcome outcome) {
  Transfer& transfer = transfers_[index];
  const FrameIndex frame = transfer.frames[i];
  const PageIndex page = transfer.pages[i];
  const bool is_detached = (transfer.detached >> i & 1) != 0;
  const bool is_still_written = IsStillWritten(index, i);
  // From here on it holds no memory.
  transfer.frames[i] = kNoFrame;
  if (is_detached) {
    // Decommitted or parked meanwhile: the device kept the memory alive until now, or another write
    // of the same memory still does.
    GiveUpSlot(transfer, i, outcome);
    if (!LeaveToWrite(page, frame)) ReleaseFrame(frame);
    return;
  }
  if (!is_still_written) {
    GiveUpSlot(transfer, i, outcome);
    return;
  }
  Stripe* stripe = stripes_.Find(page);
  const Pte pte = stripe->Load(page);
  frames_[frame].io = 0;
  if (outcome == WriteOutcome::kWritten) {
    frames_[frame].slot = transfer.slot(i);
    SetPte(*stripe, page, pte.With(PageState::kActiveClean, frame.value()));
    EnterWorkingSet(frame, pte, Arrival::kReturned);
    // It was chosen to leave, nobody wrote it meanwhile, and memory is still wanted.
    const bool stays = pte.stays() || pte.trapped() || MemoryWanted().value() == 0;
    const PageRange one(page, PageCount(1));
    if (!stays) DropClean({&one, 1});
    return;
  }
  GiveUpSlot(transfer, i, outcome);
  if (stripe->OpensToStores(pte)) {
    LiftProtection(PageRange(page, PageCount(1)));
  }
  SetPte(*stripe, page, pte.With(PageState::kActiveDirty, frame.value()));
  EnterWorkingSet(frame, pte, Arrival::kReturned);
}

// The pages stay in memory. The next attempts go page by page and, while they fail, ever later.
void Shard::NoteWriteFailure(const Transfer& transfer, int64_t result) {
  ++counters_.file_write_errors;
  ++write_failures_;
  if (write_failures_ >= kSlotFailures) page_file_.set_refuses(true);
  careful_writes_ = std::max(careful_writes_, transfer.count);
  next_write_ns_ = now_ns_ + std::min(kMillisecond << std::min(write_failures_, 10u),
                                      kLongestPauseNs);
  if (write_failures_ > kToldFailures && !std::has_single_bit(write_failures_)) return;
  LogLine line;
  line << "writing " << transfer.count << " page(s) to the page file at offset "
       << page_file_.OffsetOf(transfer.first_slot) << " failed: ";
  if (result < 0) {
    line << ErrnoText{static_cast<int>(-result)};
  } else {
    line << "only " << result << " of " << transfer.count * kPageBytes << " bytes were taken";
  }
  line << "; nothing is lost: the pages stay in memory and go to other slots ("
       << write_failures_ << " failure(s) in a row)";
  line.Write();
}

void Shard::NoteWriteSuccess() {
  if (page_file_.refuses()) {
    page_file_.set_refuses(false);
    LogLine line;
    line << "the page file takes writes again, after " << write_failures_ << " failures in a row";
    line.Write();
  }
  write_failures_ = 0;
}

}  // namespace userpager
