// SimulatedStore: the page file's device and each shard's I/O engine before it. A transfer goes
// through four steps, each when the scheduler says so and in any order among transfers: the device
// takes hold of the memory, moves the bytes, is done, and the shard hears of it. Faults come by
// seed.
//
// Knows: of each slot what is in it, whether the device harmed it, and how often in a row it was
//        read wrongly. So it can tell whether the loss of a page is the device's fault.
#ifndef USERPAGER_TESTS_SIMULATION_SIMULATED_STORE_H_
#define USERPAGER_TESTS_SIMULATION_SIMULATED_STORE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/page_file/io_engine.h"
#include "runtime/page_file/page_file.h"
#include "tests/simulation/simulated_platform.h"

namespace userpager::simulation {

class SimulatedStore {
 public:
  SimulatedStore(const Scenario& scenario, SimulatedPlatform& platform, PageFile& page_file,
                 Dice& dice, Verdict& verdict);

  // The engine of a shard.
  IoEngine& engine(unsigned shard) { return engines_[shard]; }

  // Transfers that have not been told of.
  bool is_busy() const { return !transfers_.empty(); }
  bool has_work() const;
  bool HasCompletions(unsigned shard) const;
  // One step of one transfer; there is work.
  void Advance();
  // The device takes hold of the memory of all transfers.
  void HoldAll();
  // Writes overtake all reads.
  void EndWrites();
  // The transfer that was sent first is done.
  void EndOldest() { End(transfers_.front()); }
  // Up to `most` of the shard's transfers that are done, in any order.
  std::vector<IoCompletion> TakeCompletions(unsigned shard, size_t most);

  // In a forked child that has a page file of its own: transfers under way were its parent's, whose
  // file it reads as `borrowed`.
  void BecomeChild(int borrowed);
  // The process's own slots have greater numbers; each of the others is of an ancestor's file.
  uint32_t base() const { return files_.back().base; }
  // Numbers that slots may have, 0 included.
  size_t slot_count() const { return slots_.size(); }
  // One slot of each file of an ancestor.
  std::vector<SlotIndex> BorrowedSlots() const;

  // The slot's disk space was given back.
  void Forget(SlotIndex slot) { slots_[slot.value()].bytes = nullptr; }
  // What the slot holds; nullptr where it was never written.
  const PageBytes* ContentOf(SlotIndex slot) const;
  // The device did something wrong to what was written there last.
  bool IsHarmed(SlotIndex slot) const { return slots_[slot.value()].harmed; }
  // Whether a page may be lost whose slot this was.
  bool MayBeLost(SlotIndex slot) const;
  uint64_t faults() const { return fault_count_; }

 private:
  static constexpr unsigned kCapacity = 128;

  // The simulation asks for completions by TakeCompletions, and brings messages itself.
  class Engine final : public IoEngine {
   public:
    Engine(SimulatedStore& store, unsigned shard) : store_(store), shard_(shard) {}
    Errno Open() override { return 0; }
    unsigned capacity() const override { return kCapacity; }
    void Submit(const IoRequest& request) override { store_.Submit(request, shard_); }
    void SubmitMessageRead(int, void*, uint32_t, uint64_t) override {
      store_.verdict_.Fail("the shard itself reads messages");
    }
    size_t Wait(std::span<IoCompletion>, uint64_t) override { return 0; }

   private:
    SimulatedStore& store_;
    const unsigned shard_;
  };

  enum class Step : uint8_t { kSent, kHeld, kDone };
  enum class Fate : uint8_t {
    kGood,
    kFail,
    kShort,
    kCorruptRead,
    kCorruptWrite,
    kDrop,
    kTear,
    kMisdirect,
  };
  struct Transfer {
    unsigned shard;
    IoDirection direction;
    uint64_t tag;
    std::vector<PageIndex> memory;   // one a page
    std::vector<PhysicalPage> held;  // of a write; 0 for a buffer of the pager's own
    SlotIndex first;
    bool may_fault;
    Fate fate;
    Step step = Step::kSent;
    int64_t result = 0;
  };
  // One file, and the number before that of its first slot.
  struct File {
    int descriptor;
    uint32_t base;
  };
  struct Slot {
    std::unique_ptr<PageBytes> bytes;
    bool harmed = false;
    unsigned wrong_reads = 0;  // in a row
  };

  SlotIndex SlotOf(const IoRequest& request);
  void Submit(const IoRequest& request, unsigned shard);
  Fate DrawFate(IoDirection direction);
  void Hold(Transfer& transfer);
  void Move(Transfer& transfer);
  void End(Transfer& transfer);
  void Read(Transfer& transfer);
  void Write(Transfer& transfer);
  void LetGo(const Transfer& transfer);
  void WriteSlot(SlotIndex slot, const PageBytes& from, bool half);
  void Harm(SlotIndex slot);

  const Scenario& scenario_;
  SimulatedPlatform& platform_;
  PageFile& page_file_;
  Dice& dice_;
  Verdict& verdict_;
  const StoreFaults faults_;
  std::vector<Engine> engines_;
  std::vector<Transfer> transfers_;
  std::vector<Slot> slots_;
  std::vector<File> files_{{-1, 0}};  // the process's own last, of whatever descriptor
  unsigned bad_writes_left_;
  uint64_t fault_count_ = 0;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_SIMULATED_STORE_H_
