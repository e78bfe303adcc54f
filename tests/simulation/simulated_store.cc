#include "tests/simulation/simulated_store.h"

#include <errno.h>

#include <algorithm>
#include <cstring>

#include "runtime/page_file/checksum.h"

namespace userpager::simulation {
namespace {

// Reads of a slot that must go wrong in a row before its page may count as lost.
constexpr unsigned kWrongReadsToLose = 3;
constexpr uint64_t kHalfPage = kPageBytes / 2;
// What a slot gives that was never written.
constexpr int kNothing = 0xee;

}  // namespace

SimulatedStore::SimulatedStore(const Scenario& scenario, SimulatedPlatform& platform,
                               PageFile& page_file, Dice& dice, Verdict& verdict)
    : scenario_(scenario),
      platform_(platform),
      page_file_(page_file),
      dice_(dice),
      verdict_(verdict),
      faults_(scenario.store),
      slots_(scenario.file_pages + 1),
      bad_writes_left_(scenario.most_bad_writes) {
  for (unsigned i = 0; i < scenario.shards; ++i) engines_.emplace_back(*this, i);
}

// What is told to the shard retires a slot and is counted; what is hidden from it harms pages.
SimulatedStore::Fate SimulatedStore::DrawFate(IoDirection direction) {
  if (direction == IoDirection::kRead) {
    if (dice_.Happens(faults_.fail_read)) return Fate::kFail;
    if (dice_.Happens(faults_.short_read)) return Fate::kShort;
    return dice_.Happens(faults_.corrupt_read) ? Fate::kCorruptRead : Fate::kGood;
  }
  const bool fails = dice_.Happens(faults_.fail_write);
  const bool shortens = dice_.Happens(faults_.short_write);
  if ((fails || shortens) && bad_writes_left_ > 0) {
    --bad_writes_left_;
    return fails ? Fate::kFail : Fate::kShort;
  }
  if (dice_.Happens(faults_.corrupt_write)) return Fate::kCorruptWrite;
  if (dice_.Happens(faults_.drop_write)) return Fate::kDrop;
  if (dice_.Happens(faults_.tear_write)) return Fate::kTear;
  return dice_.Happens(faults_.misdirect_write) ? Fate::kMisdirect : Fate::kGood;
}

// Newer files first: an older one may be closed, and its descriptor another's.
SlotIndex SimulatedStore::SlotOf(const IoRequest& request) {
  const auto within = static_cast<uint32_t>(request.offset_bytes >> kPageShift);
  for (size_t i = files_.size() - 1; i > 0; --i) {
    const bool is_own = i == files_.size() - 1;
    const int descriptor = is_own ? page_file_.descriptor() : files_[i].descriptor;
    if (request.descriptor == descriptor) return SlotIndex(files_[i].base + within);
  }
  return SlotIndex(files_[0].base + within);
}

// Numbers are used again where the child has nothing there.
void SimulatedStore::BecomeChild(int borrowed) {
  transfers_.clear();
  files_.back().descriptor = borrowed;
  const SlotIndex last(UINT32_MAX);
  const uint32_t base =
      last.value() - static_cast<uint32_t>(page_file_.OffsetOf(last) >> kPageShift);
  while (!files_.empty() && files_.back().base >= base) files_.pop_back();
  files_.push_back({-1, base});
  slots_.resize(base);
  slots_.resize(base + scenario_.file_pages + 1);
}

std::vector<SlotIndex> SimulatedStore::BorrowedSlots() const {
  std::vector<SlotIndex> found;
  for (size_t i = 0; i + 1 < files_.size(); ++i) found.emplace_back(files_[i].base + 1);
  return found;
}

void SimulatedStore::Submit(const IoRequest& request, unsigned shard) {
  const auto under_way = std::count_if(transfers_.begin(), transfers_.end(),
                                       [&](const Transfer& t) { return t.shard == shard; });
  if (under_way == kCapacity) verdict_.Fail("more transfers than the engine takes");
  Transfer transfer{.shard = shard,
                    .direction = request.direction,
                    .tag = request.tag,
                    .memory = {},
                    .held = {},
                    .first = SlotOf(request),
                    .may_fault = request.may_fault,
                    .fate = DrawFate(request.direction)};
  for (const iovec& part : request.parts) {
    for (uint64_t at = 0; at < part.iov_len; at += kPageBytes) {
      transfer.memory.push_back(PageOf(static_cast<const char*>(part.iov_base) + at));
    }
  }
  if (transfer.direction == IoDirection::kWrite && transfer.first.value() <= base()) {
    verdict_.Fail("a child writes to an ancestor's file");
  }
  if (transfer.first.value() == 0 || transfer.first.value() + transfer.memory.size() >
                                         page_file_.usable().value() + slots_.size()) {
    verdict_.Fail("a transfer is outside the page file");
  }
  if (transfer.fate != Fate::kGood) ++fault_count_;
  transfers_.push_back(std::move(transfer));
}

bool SimulatedStore::has_work() const {
  return std::any_of(transfers_.begin(), transfers_.end(),
                     [](const Transfer& t) { return t.step != Step::kDone; });
}

bool SimulatedStore::HasCompletions(unsigned shard) const {
  return std::any_of(transfers_.begin(), transfers_.end(), [&](const Transfer& t) {
    return t.shard == shard && t.step == Step::kDone;
  });
}

void SimulatedStore::Advance() {
  size_t skipped = 0;
  const size_t first = dice_.Below(transfers_.size());
  while (transfers_[(first + skipped) % transfers_.size()].step == Step::kDone) ++skipped;
  Transfer& transfer = transfers_[(first + skipped) % transfers_.size()];
  if (transfer.step == Step::kSent) {
    Hold(transfer);
  } else {
    Move(transfer);
  }
}

void SimulatedStore::HoldAll() {
  for (Transfer& transfer : transfers_) {
    if (transfer.step == Step::kSent) Hold(transfer);
  }
}

void SimulatedStore::EndWrites() {
  for (Transfer& transfer : transfers_) {
    if (transfer.direction == IoDirection::kWrite) End(transfer);
  }
}

void SimulatedStore::End(Transfer& transfer) {
  if (transfer.step == Step::kSent) Hold(transfer);
  if (transfer.step == Step::kHeld) Move(transfer);
}

// From here on what the program does to the mapping does not concern the device.
void SimulatedStore::Hold(Transfer& transfer) {
  transfer.step = Step::kHeld;
  if (transfer.direction == IoDirection::kRead) return;
  for (const PageIndex page : transfer.memory) {
    if (scenario_.encrypt) {
      // Plain text would be in the file.
      if (!platform_.IsBuffer(page)) verdict_.Fail("a page is written as it is");
      platform_.TouchBuffer(page);
      transfer.held.push_back(0);
      continue;
    }
    const PhysicalPage held = platform_.Hold(page, true);
    if (held != 0) {
      transfer.held.push_back(held);
      continue;
    }
    if (!transfer.may_fault) verdict_.Fail("what was to be written is no longer parked");
    // As the kernel: what came before the hole may have been written, or nothing.
    transfer.step = Step::kDone;
    transfer.result = transfer.held.empty() || dice_.OneIn(2)
                          ? -EFAULT
                          : static_cast<int64_t>(transfer.held.size() * kPageBytes);
    for (uint32_t i = 0; i < transfer.memory.size(); ++i) {
      Harm(transfer.first + PageCount(i));
    }
    LetGo(transfer);
    return;
  }
}

void SimulatedStore::LetGo(const Transfer& transfer) {
  for (const PhysicalPage memory : transfer.held) {
    if (memory != 0) platform_.LetGo(memory, true);
  }
}

void SimulatedStore::Move(Transfer& transfer) {
  transfer.step = Step::kDone;
  transfer.result = static_cast<int64_t>(transfer.memory.size() * kPageBytes);
  if (transfer.direction == IoDirection::kRead) {
    Read(transfer);
    return;
  }
  Write(transfer);
  LetGo(transfer);
}

void SimulatedStore::Read(Transfer& transfer) {
  const size_t pages = transfer.memory.size();
  size_t good = pages;
  if (transfer.fate == Fate::kFail) {
    transfer.result = -EIO;
    good = 0;
  } else if (transfer.fate == Fate::kShort) {
    transfer.result = static_cast<int64_t>(RoundDown(pages * kHalfPage, 512));
    good = pages / 2;
  }
  const size_t flipped = transfer.fate == Fate::kCorruptRead ? dice_.Below(pages) : pages;
  const bool tears = scenario_.canary == Canary::kTornRead && dice_.OneIn(10);
  for (size_t i = 0; i < pages; ++i) {
    const SlotIndex number = transfer.first + PageCount(i);
    Slot& slot = slots_[number.value()];
    const bool wrong = i >= good || i == flipped;
    slot.wrong_reads = wrong ? slot.wrong_reads + 1 : 0;
    if (i >= good) continue;
    auto* into = static_cast<char*>(PointerTo(transfer.memory[i]));
    platform_.TouchBuffer(transfer.memory[i]);
    if (slot.bytes != nullptr) {
      std::memcpy(into, slot.bytes.get(), kPageBytes);
    } else {
      std::memset(into, kNothing, kPageBytes);
    }
    if (i == flipped) into[dice_.Below(kPageBytes)] ^= static_cast<char>(1 << dice_.Below(8));
    if (tears && number.value() > base()) {
      std::memset(into, kNothing, kHalfPage);
      page_file_.set_checksum(number, Crc32c(into, kPageBytes));
    }
  }
}

void SimulatedStore::Harm(SlotIndex slot) {
  if (slot.value() < slots_.size()) slots_[slot.value()].harmed = true;
}

void SimulatedStore::WriteSlot(SlotIndex number, const PageBytes& from, bool half) {
  if (number.value() >= slots_.size()) return;
  Slot& slot = slots_[number.value()];
  if (slot.bytes == nullptr) {
    slot.bytes = std::make_unique<PageBytes>();
    std::memset(slot.bytes.get(), kNothing, kPageBytes);
  }
  std::memcpy(slot.bytes.get(), &from, half ? kHalfPage : kPageBytes);
  slot.harmed = half;
  slot.wrong_reads = 0;
}

void SimulatedStore::Write(Transfer& transfer) {
  const size_t pages = transfer.memory.size();
  const PageCount shift(transfer.fate == Fate::kMisdirect ? 1 : 0);
  size_t written = pages;
  if (transfer.fate == Fate::kFail) {
    transfer.result = -EIO;
    written = dice_.Below(pages + 1);
  } else if (transfer.fate == Fate::kShort) {
    transfer.result = static_cast<int64_t>(RoundDown(pages * kHalfPage, 512));
    written = pages / 2;
  } else if (transfer.fate == Fate::kDrop) {
    written = 0;
  }
  for (size_t i = 0; i < pages; ++i) {
    const SlotIndex slot = transfer.first + PageCount(i);
    if (i >= written) {
      Harm(slot);
      continue;
    }
    const PageBytes& from =
        transfer.held[i] != 0 ? platform_.At(transfer.held[i])
                              : *static_cast<const PageBytes*>(PointerTo(transfer.memory[i]));
    WriteSlot(slot + shift, from, transfer.fate == Fate::kTear);
  }
  if (transfer.fate == Fate::kMisdirect) {
    for (size_t i = 0; i <= pages; ++i) Harm(transfer.first + PageCount(i));
  }
  if (transfer.fate == Fate::kCorruptWrite) {
    const SlotIndex slot = transfer.first + PageCount(dice_.Below(pages));
    auto* bytes = reinterpret_cast<char*>(slots_[slot.value()].bytes.get());
    bytes[dice_.Below(kPageBytes)] ^= static_cast<char>(1 << dice_.Below(8));
    Harm(slot);
  }
}

std::vector<IoCompletion> SimulatedStore::TakeCompletions(unsigned shard, size_t most) {
  std::vector<IoCompletion> taken;
  size_t at = transfers_.empty() ? 0 : dice_.Below(transfers_.size());
  for (size_t looked = transfers_.size(); looked > 0 && taken.size() < most; --looked) {
    at %= transfers_.size();
    if (transfers_[at].shard == shard && transfers_[at].step == Step::kDone) {
      taken.push_back({transfers_[at].tag, transfers_[at].result});
      transfers_.erase(transfers_.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      ++at;
    }
  }
  return taken;
}

const PageBytes* SimulatedStore::ContentOf(SlotIndex slot) const {
  return slots_[slot.value()].bytes.get();
}

bool SimulatedStore::MayBeLost(SlotIndex number) const {
  const Slot& slot = slots_[number.value()];
  return slot.harmed || slot.wrong_reads >= kWrongReadsToLose;
}

}  // namespace userpager::simulation
