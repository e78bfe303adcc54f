// CopyCharge: the charge of a page that is copied within memory, for as long as both copies exist.
// Where nothing can be charged, a free buffer lends its own: buffers are charged whether they are
// used or not, and this one is emptied first (where they are of huge pages, one of these is split).
// So a page can be copied where all memory is in use, or more than the limit allows.
#ifndef USERPAGER_PAGER_COPY_CHARGE_H_
#define USERPAGER_PAGER_COPY_CHARGE_H_

#include "runtime/base/check.h"
#include "runtime/frames/frame_ledger.h"
#include "runtime/pager/buffer_pool.h"
#include "runtime/platform/page_platform.h"

namespace userpager {

// Under the shard's mutex, from construction to destruction.
class CopyCharge {
 public:
  // With `may_borrow`, a buffer's charge will do.
  CopyCharge(FrameLedger& ledger, BufferPool& buffers, PagePlatform& platform, bool may_borrow)
      : ledger_(ledger), buffers_(buffers) {
    charged_ = ledger_.ChargeUpTo(PageCount(1), PageCount(0));
    if (charged_.value() != 0 || !may_borrow) return;
    borrowed_ = buffers_.Take(PageCount(1));
    if (borrowed_.count.value() == 0) return;
    const PageIndex buffer = buffers_.PageAt(borrowed_.first);
    const Errno error = platform.Discard(PageRange(buffer, PageCount(1)));
    USERPAGER_CHECK(error == 0, "a buffer could not be emptied", error);
  }
  ~CopyCharge() {
    ledger_.Return(charged_);
    buffers_.Give(borrowed_);
  }
  CopyCharge(const CopyCharge&) = delete;
  CopyCharge& operator=(const CopyCharge&) = delete;

  bool is_there() const { return (charged_ + borrowed_.count).value() != 0; }
  // The original stays: the charge, which was not borrowed, is a frame's from now on.
  void Keep() { charged_ = PageCount(0); }

 private:
  FrameLedger& ledger_;
  BufferPool& buffers_;
  PageCount charged_;
  BufferPool::Run borrowed_;
};

}  // namespace userpager

#endif  // USERPAGER_PAGER_COPY_CHARGE_H_
