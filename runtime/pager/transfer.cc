#include "runtime/pager/transfer.h"

#include <errno.h>

#include "runtime/base/check.h"

namespace userpager {

Errno TransferTable::Init(unsigned most) {
  transfers_ = ArenaArray<Transfer>(most + 1);
  return transfers_.ok() ? 0 : ENOMEM;
}

uint32_t TransferTable::Allocate() {
  uint32_t index = first_free_;
  if (index != 0) {
    first_free_ = transfers_[index].next_free;
  } else if (end_ < transfers_.size()) {
    index = end_++;
  } else {
    return 0;
  }
  ++under_way_;
  transfers_[index] = Transfer{};
  return index;
}

void TransferTable::Free(uint32_t index) {
  Transfer& transfer = transfers_[index];
  USERPAGER_CHECK(transfer.kind != TransferKind::kFree, "a transfer was ended twice", index);
  transfer.kind = TransferKind::kFree;
  transfer.next_free = first_free_;
  first_free_ = index;
  --under_way_;
}

}  // namespace userpager
