// Shard: hard faults. The slots of neighbours are read by one request, checked, and installed
// write-protected, so that the pages are known to be clean and leave later without a write.
#include <errno.h>

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/sync_point.h"
#include "runtime/page_file/checksum.h"
#include "runtime/pager/shard.h"

namespace userpager {
namespace {

// How often the page that somebody waits for is read before it counts as lost.
constexpr unsigned kReadAttempts = 3;

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

bool Shard::IsReadIntact(const Transfer& transfer, unsigned i, int64_t result) {
  if (result < static_cast<int64_t>((i + 1) * kPageBytes)) return false;
  const PageIndex memory = buffers_.PageAt(transfer.buffer.first) + PageCount(i);
  return Crc32c(platform_.Peek(memory), kPageBytes) == page_file_.checksum(transfer.slot(i));
}

bool Shard::OnReadDone(uint32_t index, int64_t result) {
  USERPAGER_SYNC_POINT("page_in:read_done", AddressOf(transfers_[index].demand_page));
  Transfer& transfer = transfers_[index];
  if (cipher_ != nullptr) OpenPages(transfer, result);
  unsigned kept = 0;  // pages that are read once more
  unsigned i = 0;
  while (i < transfer.count) {
    Stripe* stripe = StripeReading(index, transfer.pages[i]);
    if (stripe == nullptr) {
      // Orphaned: the slot and the charge were the transfer's alone.
      page_file_.Free(transfer.slot(i), PageCount(1));
      ledger_.Return(PageCount(1));
      --reading_pages_;
      ++i;
    } else if (!stripe->Load(transfer.pages[i]).protection().AllowsAccess()) {
      AbandonRead(*stripe, transfer, i++);
    } else if (IsReadIntact(transfer, i, result)) {
      i += InstallRead(index, i, result);
    } else if (transfer.pages[i] != transfer.demand_page) {
      // Whoever wants it asks for it alone.
      ++counters_.file_read_errors;
      AbandonRead(*stripe, transfer, i++);
    } else if (++transfer.attempts < kReadAttempts) {
      ++counters_.file_read_errors;
      kept = i++ + 1;
    } else {
      ++counters_.file_read_errors;
      LosePage(*stripe, transfer, i++, result);
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
  if (transfer.demand_page != PageIndex(0)) --waiting_reads_;
  buffers_.Give(transfer.buffer);
  transfers_.Free(index);
  if (is_stream) GoOnReading(last);
  if (buffers_.all_free()) FitBuffers();
  return false;
}

// Installs page i and those behind it that are intact and want the same. Returns how many pages of
// the transfer are done with.
unsigned Shard::InstallRead(uint32_t index, unsigned i, int64_t result) {
  Transfer& transfer = transfers_[index];
  Stripe* stripe = StripeReading(index, transfer.pages[i]);
  if (IsMarker(transfer, i) && ParkMarker(*stripe, transfer, i)) return 1;
  const auto is_write = [&](unsigned k) {
    return transfer.demand_write && transfer.pages[k] == transfer.demand_page &&
           stripe->Load(transfer.pages[k]).protection().AllowsWrite();
  };
  unsigned count = 1;
  if (!is_write(i)) {
    while (i + count < transfer.count && !is_write(i + count) && !IsMarker(transfer, i + count) &&
           transfer.pages[i + count] == transfer.pages[i] + PageCount(count) &&
           StripeReading(index, transfer.pages[i + count]) == stripe &&
           stripe->Load(transfer.pages[i + count]).protection().AllowsAccess() &&
           IsReadIntact(transfer, i + count, result)) {
      ++count;
    }
  }
  const InstallMode mode = is_write(i) ? InstallMode::kWritable : InstallMode::kWriteProtected;
  const void* contents = platform_.Peek(buffers_.PageAt(transfer.buffer.first) + PageCount(i));
  RunResult copied = platform_.Copy(transfer.pages[i], contents, PageCount(count), mode,
                                    WakeMode::kWake);
  if (copied.done.value() == 0 && count > 1) {
    copied = platform_.Copy(transfer.pages[i], contents, PageCount(1), mode, WakeMode::kWake);
  }
  const unsigned done = static_cast<unsigned>(copied.done.value());
  for (unsigned k = i; k < i + done; ++k) InstalledRead(*stripe, transfer, k);
  if (done > 0) {
    const PageRange run(transfer.pages[i], PageCount(done));
    trace_.PagesIn(run, run.Contains(transfer.demand_page), now_ns_);
    return done;
  }
  USERPAGER_CHECK(copied.error == ENOMEM || copied.error == EAGAIN || copied.error == ESRCH,
                  "a page could not be installed (EEXIST: a page is there that the runtime knows"
                  " nothing of)",
                  copied.error);
  AbandonRead(*stripe, transfer, i);
  return 1;
}

// The page is mapped; its charge becomes a frame.
void Shard::InstalledRead(Stripe& stripe, const Transfer& transfer, unsigned i) {
  const PageIndex page = transfer.pages[i];
  const bool demanded = page == transfer.demand_page;
  const Pte before = stripe.Load(page);
  const bool dirty =
      demanded && transfer.demand_write && before.protection().AllowsWrite();
  const FrameIndex frame = frames_.Allocate(page);
  --reading_pages_;
  const Pte pte = before.With(dirty ? PageState::kActiveDirty : PageState::kActiveClean,
                              frame.value())
                      .WithQueued(false)
                      .WithWritten(before.written() || dirty);
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
