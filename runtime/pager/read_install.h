// ReadInstall: what the reads that end in one turn have brought and is to be mapped, in parts that
// two threads do at a time (HelperThread): each page is compared with its slot's checksum, then
// installed.
//
// Flow:   the shard adds the pages (Clear, Begin, Add), has the parts done, and books what they say
//         (page_in.cc). Until then a page's PTE says Reading, as before it was installed.
// Locks:  the shard's mutex, from the first part to the last. The parts take none, and change
//         nothing but themselves and what is mapped.
#ifndef USERPAGER_PAGER_READ_INSTALL_H_
#define USERPAGER_PAGER_READ_INSTALL_H_

#include <cstdint>
#include <span>

#include "runtime/address_space/stripe.h"
#include "runtime/base/types.h"
#include "runtime/page_file/page_file.h"
#include "runtime/pager/transfer.h"
#include "runtime/platform/helper_thread.h"
#include "runtime/platform/page_platform.h"

namespace userpager {

// Whether the memory holds what was written to the slot.
bool IsIntact(PagePlatform& platform, const PageFile& file, PageIndex memory, SlotIndex slot);

class ReadInstall {
 public:
  // Neighbours among a read's pages that are to be installed alike.
  struct Part {
    const Transfer* transfer;
    const Stripe* stripe;  // theirs
    PageIndex memory;      // where the first one's contents are
    unsigned first;        // of the transfer's pages
    unsigned count;
    bool writable;
    bool wakes_first;
    unsigned done;  // so many of them, from the first on, are installed
  };
  struct Read {
    std::span<const Part> parts() const { return {first_part, part_count}; }

    uint32_t transfer;
    int64_t result;  // of its device
    const Part* first_part;
    unsigned part_count;
    unsigned end_part;  // how many parts it and the reads before it have
  };

  ReadInstall(PagePlatform& platform, const PageFile& file) : platform_(platform), file_(file) {}

  void Clear() { read_count_ = part_count_ = awaited_end_ = 0; }
  // Another read; what is added from now on is its.
  void Begin(uint32_t transfer, int64_t result) {
    reads_[read_count_++] = {transfer, result, parts_ + part_count_, 0, part_count_};
  }
  // Page i of the read, whose contents are at `memory`. A page that no part is left for is not
  // added: the shard installs by itself what no part has.
  void Add(const Transfer& transfer, unsigned i, const Stripe& stripe, PageIndex memory,
           bool writable);
  // Whoever waits for the part that was added last is woken before it is done. A thread that is
  // on its way before its page is there waits once more, and the page's own wake-up comes after.
  void WakeFirst() { parts_[part_count_ - 1].wakes_first = true; }
  // For HelperThread.
  static void Do(void* install, unsigned part);

  std::span<const Read> reads() const { return {reads_, read_count_}; }
  unsigned part_count() const { return part_count_; }
  // Somebody waits for a page of the read that was begun last.
  void NoteAwaited() { awaited_end_ = part_count_; }
  // The parts before it are those, and what comes before them.
  unsigned awaited_end() const { return awaited_end_; }

 private:
  // What one thread does in one go: short, so that neither awaits the other for long.
  static constexpr unsigned kPartPages = 16;

  PagePlatform& platform_;
  const PageFile& file_;
  Read reads_[kTransfers];
  unsigned read_count_ = 0;
  Part parts_[HelperThread::kMostParts];
  unsigned part_count_ = 0;
  unsigned awaited_end_ = 0;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_READ_INSTALL_H_
