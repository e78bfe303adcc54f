// Shard: hard faults. The slots of neighbours are read by one request, checked, and installed
// write-protected, so that the pages are known to be clean and leave later without a write.
#include <errno.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/sync_point.h"
#include "runtime/pager/shard.h"

namespace userpager {
namespace {

// How often the page that somebody waits for is read before it counts as lost.
constexpr unsigned kReadAttempts = 3;

// Whether a page of a read is to be mapped for a store, and not write-protected.
bool IsReadToWrite(const Transfer& transfer, unsigned i, Pte pte) {
  return transfer.demand_write && transfer.pages[i] == transfer.demand_page &&
         pte.protection().AllowsWrite();
}

}  // namespace

// The stripe of a page that still takes part in the read, or nullptr: the page was decommitted, or
// its address has another owner.
Stripe* Shard::StripeReading(uint32_t index, PageIndex page) {
  Stripe* stripe = stripes_.Find(page);
  if (stripe == nullptr) return nullptr;
  const Pte pte = stripe->Load(page);
  return pte.state() == PageState::kReading && pte.io() == index ? stripe : nullptr;
}

void Shard::SubmitRead(uint32_t index) {
  Transfer& transfer = transfers_[index];
  transfer.parts[0] = {PointerTo(buffers_.PageAt(transfer.buffer.first)),
                       transfer.count * kPageBytes};
  transfer.part_count = 1;
  ++counters_.file_reads;
  counters_.file_read_bytes.Add(transfer.count * kPageBytes);
  if (answering_inline_ != nullptr) {
    KeepOrLeave(index);
  } else {
    SendRead(index);
  }
}

void Shard::SendRead(uint32_t index) {
  const Transfer& transfer = transfers_[index];
  engine_.Submit({IoDirection::kRead, page_file_.DescriptorOf(transfer.first_slot),
                  std::span<const iovec>(transfer.parts, 1),
                  page_file_.OffsetOf(transfer.first_slot), index});
}

// Decrypts in place what has arrived as a whole.
void Shard::OpenPages(const Transfer& transfer, int64_t result) {
  const FileMark file = page_file_.MarkOf(transfer.first_slot);
  for (unsigned i = 0; i < transfer.count; ++i) {
    if (result < static_cast<int64_t>((i + 1) * kPageBytes)) return;
    cipher_->Open(transfer.slot(i), PointerTo(buffers_.PageAt(transfer.buffer.first + i)), file);
  }
}

bool Shard::OnReadDone(uint32_t index, int64_t result) {
  installs_.Clear();
  AddRead({index, result});
  helper_.Begin(&ReadInstall::Do, &installs_, installs_.part_count());
  return BookRead(installs_.reads().front());
}

// What was read begins to be installed, and what somebody waits for is; BookRead ends it.
void Shard::EndTransfers(std::span<const IoCompletion> transfers) {
  const auto is_read = [&](const IoCompletion& done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return transfers_[static_cast<uint32_t>(done.tag)].kind == TransferKind::kRead;
  };
  installs_.Clear();
  for (const IoCompletion& done : transfers) {
    if (is_read(done)) AddRead(done);
  }
  helper_.Begin(&ReadInstall::Do, &installs_, installs_.part_count());
  helper_.Finish(installs_.awaited_end());
  for (const IoCompletion& done : transfers) {
    if (!is_read(done)) OnWriteDone(static_cast<uint32_t>(done.tag), done.result);
  }
}

// What has come is to be installed, but for markers.
void Shard::AddRead(const IoCompletion& done) {
  const uint32_t index = static_cast<uint32_t>(done.tag);
  const Transfer& transfer = transfers_[index];
  if (cipher_ != nullptr) OpenPages(transfer, done.result);
  installs_.Begin(index, done.result);
  const uint64_t arrived = done.result < 0 ? 0 : static_cast<uint64_t>(done.result) / kPageBytes;
  for (unsigned i = 0; i < std::min<uint64_t>(transfer.count, arrived); ++i) {
    const Stripe* stripe = StripeReading(index, transfer.pages[i]);
    if (stripe == nullptr || IsMarker(transfer, i)) continue;
    const Pte pte = stripe->Load(transfer.pages[i]);
    if (!pte.protection().AllowsAccess()) continue;
    installs_.Add(transfer, i, *stripe, buffers_.PageAt(transfer.buffer.first + i),
                  IsReadToWrite(transfer, i, pte));
  }
  if (IsAwaitedApart(transfer) && installs_.reads().back().part_count == 1) installs_.WakeFirst();
  if (transfer.demand_page != PageIndex(0) || transfer.awaited != 0) installs_.NoteAwaited();
}

// Whether the read is of one page, for a thread on another CPU than this one, which spins: that CPU
// takes longer to come awake than one page to be compared and installed. On this one the thread
// would come first, and find nothing.
bool Shard::IsAwaitedApart(const Transfer& transfer) const {
  return transfer.count == 1 && transfer.demand_page == transfer.pages[0] &&
         transfer.demand_thread != 0 && spins_.load(std::memory_order_relaxed);
}

bool Shard::BookRead(const ReadInstall::Read& read) {
  const uint32_t index = read.transfer;
  Transfer& transfer = transfers_[index];
  USERPAGER_SYNC_POINT("page_in:read_done", AddressOf(transfer.demand_page));
  helper_.Finish(read.end_part);
  uint64_t installed = 0;
  for (const ReadInstall::Part& part : read.parts()) {
    for (unsigned i = part.first; i < part.first + part.done; ++i) {
      InstalledRead(*StripeReading(index, transfer.pages[i]), transfer, i);
      installed |= uint64_t{1} << i;
    }
  }
  TracePagesIn(transfer, installed);
  unsigned kept = 0;  // pages that are read once more
  for (unsigned i = 0; i < transfer.count; ++i) {
    if ((installed >> i & 1) != 0) continue;
    Stripe* stripe = StripeReading(index, transfer.pages[i]);
    if (stripe == nullptr) {
      // Orphaned: the slot and the charge were the transfer's alone.
      page_file_.Free(transfer.slot(i), PageCount(1));
      ledger_.Return(PageCount(1));
      --reading_pages_;
    } else if (!stripe->Load(transfer.pages[i]).protection().AllowsAccess()) {
      AbandonRead(*stripe, transfer, i);
    } else if (read.result >= static_cast<int64_t>((i + 1) * kPageBytes) &&
               IsIntact(platform_, page_file_, buffers_.PageAt(transfer.buffer.first + i),
                        transfer.slot(i))) {
      InstallRead(*stripe, transfer, i);
    } else if (transfer.pages[i] != transfer.demand_page) {
      // Whoever wants it asks for it alone.
      ++counters_.file_read_errors;
      AbandonRead(*stripe, transfer, i);
    } else if (++transfer.attempts < kReadAttempts) {
      ++counters_.file_read_errors;
      kept = i + 1;
    } else {
      ++counters_.file_read_errors;
      LosePage(*stripe, transfer, i, read.result);
    }
  }
  if (kept != 0) {
    transfer.first_slot = transfer.slot(kept - 1);
    transfer.pages[0] = transfer.pages[kept - 1];
    transfer.count = 1;
    transfer.awaited = 0;
    SubmitRead(index);
    return true;
  }
  const PageIndex last = transfer.pages[transfer.count - 1];
  const bool is_stream = transfer.is_stream;
  if (transfer.demand_page != PageIndex(0)) crowd_.OnEnded();
  buffers_.Give(transfer.buffer);
  transfers_.Free(index);
  if (is_stream) GoOnReading(last);
  if (buffers_.all_free()) FitBuffers();
  return false;
}

// Neighbours together.
void Shard::TracePagesIn(const Transfer& transfer, uint64_t installed) {
  unsigned end = 0;
  for (unsigned i = 0; i < transfer.count; i = std::max(end, i + 1)) {
    for (end = i; end < transfer.count && (installed >> end & 1) != 0 &&
                  transfer.pages[end] == transfer.pages[i] + PageCount(end - i);) {
      ++end;
    }
    if (end == i) continue;
    const PageRange run(transfer.pages[i], PageCount(end - i));
    trace_.PagesIn(run, run.Contains(transfer.demand_page), now_ns_);
  }
}

// A page that is intact, by itself.
void Shard::InstallRead(Stripe& stripe, const Transfer& transfer, unsigned i) {
  if (IsMarker(transfer, i) && ParkMarker(stripe, transfer, i)) return;
  const PageIndex page = transfer.pages[i];
  const InstallMode mode = IsReadToWrite(transfer, i, stripe.Load(page))
                               ? InstallMode::kWritable
                               : InstallMode::kWriteProtected;
  const RunResult copied = platform_.Copy(
      page, platform_.Peek(buffers_.PageAt(transfer.buffer.first) + PageCount(i)), PageCount(1),
      mode, WakeMode::kWake);
  if (copied.done.value() > 0) {
    InstalledRead(stripe, transfer, i);
    trace_.PagesIn(PageRange(page, PageCount(1)), page == transfer.demand_page, now_ns_);
    return;
  }
  USERPAGER_CHECK(copied.error == ENOMEM || copied.error == EAGAIN || copied.error == ESRCH,
                  "a page could not be installed (EEXIST: a page is there that the runtime knows"
                  " nothing of)",
                  copied.error);
  AbandonRead(stripe, transfer, i);
}

// The page is mapped; its charge becomes a frame. It keeps its slot, so that it can leave without a
// write; but where slots are scarce it gives it to some page that has none. Those could not leave
// else, and memory would come to be full of them, whatever the program uses.
void Shard::InstalledRead(Stripe& stripe, const Transfer& transfer, unsigned i) {
  const PageIndex page = transfer.pages[i];
  const bool demanded = page == transfer.demand_page;
  const Pte before = stripe.Load(page);
  const bool written =
      demanded && transfer.demand_write && before.protection().AllowsWrite();
  const bool dirty = written || (!transfer.is_stream && SlotsAreScarce());
  const FrameIndex frame = frames_.Allocate(page);
  --reading_pages_;
  const Pte pte = before.With(dirty ? PageState::kActiveDirty : PageState::kActiveClean,
                              frame.value())
                      .WithQueued(false)
                      .WithWritten(before.written() || written);
  if (dirty) {
    page_file_.Free(transfer.slot(i), PageCount(1));
  } else {
    frames_[frame].slot = transfer.slot(i);
  }
  frames_[frame].set_streamed(transfer.is_stream);
  SetPte(stripe, page, pte);
  EnterWorkingSet(frame, pte, demanded ? Arrival::kHardFault : Arrival::kReadAhead);
  ++counters_.pages_in;
  if (demanded) {
    Answered(FaultKind::kHard,
             {page, false, false, transfer.demand_thread, transfer.started_ns, false},
             PageRange(page, PageCount(1)));
  } else {
    NoteWait(transfer, i);
  }
}

// The page stays where it is, in its slot. Whoever waits for it asks again.
void Shard::AbandonRead(Stripe& stripe, const Transfer& transfer, unsigned i) {
  const PageIndex page = transfer.pages[i];
  SetPte(stripe, page, stripe.Load(page)
                           .With(PageState::kPagedOut, transfer.slot(i).value())
                           .WithAhead(false));
  ledger_.Return(PageCount(1));
  --reading_pages_;
  NoteWait(transfer, i);
  platform_.Wake(PageRange(page, PageCount(1)));
}

// Page i is answered: whoever waited for it goes on.
void Shard::NoteWait(const Transfer& transfer, unsigned i) {
  if (transfer.pages[i] == transfer.demand_page) {
    counters_.longest_wait.Note(NowNanoseconds() - transfer.started_ns);
  } else if ((transfer.awaited >> i & 1) != 0) {
    counters_.longest_wait.Note(NowNanoseconds() - transfer.awaited_since_ns);
  }
}

// The page file failed to give the page back. Touching it raises SIGBUS from now on; no other page
// is harmed, and the slot is never used again.
void Shard::LosePage(Stripe& stripe, const Transfer& transfer, unsigned i, int64_t result) {
  const PageIndex page = transfer.pages[i];
  const SlotIndex slot = transfer.slot(i);
  LogLine line;
  line << "lost the page at " << Hex{AddressOf(page)} << ": page file slot " << slot.value()
       << " (file offset " << page_file_.OffsetOf(slot) << ") ";
  Errno reason = EIO;
  if (result < 0) {
    reason = static_cast<Errno>(-result);
    line << "cannot be read: " << ErrnoText{reason};
  } else if (result < static_cast<int64_t>(kPageBytes)) {
    line << "cannot be read: the file gave " << result << " of " << kPageBytes << " bytes";
  } else {
    reason = EILSEQ;
    line << "holds other bytes than were written (checksum mismatch)";
  }
  line << "; tried " << kReadAttempts
       << " times. Touching it raises SIGBUS; all other pages are unharmed";
  line.Write();
  const Pte lost = stripe.Load(page).WithLost(reason).WithQueued(false).WithAhead(false);
  SetPte(stripe, page, lost);
  page_file_.Retire(slot);
  ledger_.Return(PageCount(1));
  --reading_pages_;
  ++counters_.lost_pages;
  NoteWait(transfer, i);
  // Without memory for the mark now, it is made when the page is asked for again.
  const Errno error = platform_.Poison(page);
  USERPAGER_CHECK(error == 0 || error == ENOMEM, "a lost page could not be poisoned", error);
  platform_.Wake(PageRange(page, PageCount(1)));
}

}  // namespace userpager
