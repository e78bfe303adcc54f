// PTE: the runtime's own 64-bit word for one page of a reservation (not the hardware's entry).
//
//   bits  0- 3  state            what the page is now, see PageState
//   bits  4- 9  protection       the program's, Protection::Pack
//   bit  10     locked           VirtualLock: Active and on no list
//   bit  11     written          for write watch
//   bit  12     trapped          made to fault in the kernel, so that the program gets its SIGSEGV
//   bit  13     queued           a fault on it waits in the shard's queue
//   bit  14     ahead            brought in by readahead and not seen used since
//   bit  15     set              this word was stored; a word of zero was not (see below)
//   bits 16-25  stamp or holds   the policy's memory of the page; of one that is held, how often
//   bits 26-27  history          what else the replacement policy remembers (PageHistory)
//   bit  28     foreign          reserved, and what is mapped there is the program's own
//   bit  29     given up         its content was given up after MEM_RESET or an offer
//   bit  30     offered          OfferVirtualMemory: no access, until it is reclaimed
//   bit  31     held             userpager_hold: as locked. It is in memory or on its way there: a
//                                new stamp comes when it leaves later
//   bits 32-63  location         a frame, an I/O, a slot or an errno, as the state says
//
// A word of zero is an untouched page. What that means is the same for all untouched pages of one
// reservation (its default PTE: reserved, or committed with the protection given at that time), so
// reserving or committing 1 TiB writes no PTE. Stripe::Load replaces zero by the default.
//
// PTE words are written under the mutex of the shard that owns the page and read with it or, for
// state and protection alone, under the VadTree's lock (VirtualQuery). A guard may end without that
// lock: an access ends it. Nothing else that the program sees changes then.
#ifndef USERPAGER_ADDRESS_SPACE_PTE_H_
#define USERPAGER_ADDRESS_SPACE_PTE_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "runtime/address_space/protection.h"
#include "runtime/base/types.h"

namespace userpager {

// What is true in each state; `location` names what bits 32-63 are.
enum class PageState : uint8_t {
  kReserved = 0,    // no content, not committed
  kDemandZero,      // committed, content is zeros, no frame
  kReading,         // frame charged, content on its way in        location: the I/O
  kActiveClean,     // mapped and write-protected, same in slot     location: frame
  kActiveDirty,     // mapped, no slot                              location: frame
  kModified,        // in a parked frame, no slot                   location: frame
  kWriting,         // in a parked frame, a slot is being filled    location: frame
  kWritingInPlace,  // mapped, write-protected, a slot is being filled   location: frame
  kStandby,         // in a parked frame and in a slot              location: frame
  kOffered,         // in a parked frame that may be given up, no slot   location: frame
  kPagedOut,        // in a slot alone                              location: slot
  kLost,            // the page file lost it; touching it is SIGBUS   location: why, an errno
};
inline constexpr unsigned kPageStateCount = 12;

std::string_view PageStateName(PageState state);

class Pte {
 public:
  static constexpr unsigned kMostHolds = 255;
  // The low bits of the history, which a held page does not have.
  static constexpr uint16_t kMostStamp = 0x3ff;

  constexpr Pte() = default;
  constexpr Pte(PageState state, Protection protection)
      : word_(kSet | static_cast<uint64_t>(state) | uint64_t{protection.Pack()} << 4) {}
  static constexpr Pte FromWord(uint64_t word) { return Pte(word); }

  constexpr uint64_t word() const { return word_; }
  constexpr bool untouched() const { return word_ == 0; }
  constexpr PageState state() const { return static_cast<PageState>(word_ & 15); }
  // An offered page allows no access.
  constexpr Protection protection() const { return offered() ? Protection{} : own_protection(); }
  // The protection that the program gave the page, offered or not.
  constexpr Protection own_protection() const {
    return Protection::Unpack(static_cast<unsigned>(word_ >> 4) & 63);
  }
  constexpr bool locked() const { return (word_ & kLocked) != 0; }
  constexpr unsigned holds() const {
    return (word_ & kHeld) != 0 ? static_cast<unsigned>(word_ & kStampOrHolds) >> kHistoryShift : 0;
  }
  // Does not leave memory once it is there.
  constexpr bool stays() const { return locked() || (word_ & kHeld) != 0; }
  constexpr bool written() const { return (word_ & kWritten) != 0; }
  constexpr bool trapped() const { return (word_ & kTrapped) != 0; }
  constexpr bool queued() const { return (word_ & kQueued) != 0; }
  constexpr bool ahead() const { return (word_ & kAhead) != 0; }
  constexpr bool foreign() const { return (word_ & kForeign) != 0; }
  constexpr bool given_up() const { return (word_ & kGivenUp) != 0; }
  constexpr bool offered() const { return (word_ & kOfferedFlag) != 0; }
  // 12 bits, of which the stamp is 0 while the page is held.
  constexpr uint16_t history() const {
    const uint64_t known = (word_ & kHeld) != 0 ? kHistory & ~kStampOrHolds : kHistory;
    return static_cast<uint16_t>((word_ & known) >> kHistoryShift);
  }

  constexpr bool committed() const { return state() != PageState::kReserved; }
  // Mapped in the program's page table.
  constexpr bool mapped() const {
    return state() == PageState::kActiveClean || state() == PageState::kActiveDirty ||
           state() == PageState::kWritingInPlace;
  }
  // In a frame that no page of the program maps.
  constexpr bool parked() const {
    return state() == PageState::kModified || state() == PageState::kWriting ||
           state() == PageState::kStandby;
  }
  // Holds a frame of its own (Reading holds one through its I/O).
  constexpr bool has_frame() const {
    return state() >= PageState::kActiveClean && state() <= PageState::kOffered;
  }
  constexpr FrameIndex frame() const { return FrameIndex(location()); }
  constexpr SlotIndex slot() const { return SlotIndex(location()); }
  constexpr uint32_t io() const { return location(); }
  // Of a lost page: why.
  constexpr Errno lost_reason() const { return static_cast<Errno>(location()); }

  [[nodiscard]] constexpr Pte With(PageState state, uint32_t location = 0) const {
    return Pte((word_ & kKept) | kSet | static_cast<uint64_t>(state) |
               uint64_t{location} << 32);
  }
  [[nodiscard]] constexpr Pte WithLost(Errno reason) const {
    return With(PageState::kLost, static_cast<uint32_t>(reason));
  }
  // Sets the page's own protection.
  [[nodiscard]] constexpr Pte With(Protection protection) const {
    return Pte((word_ & ~(uint64_t{63} << 4)) | kSet | uint64_t{protection.Pack()} << 4);
  }
  [[nodiscard]] constexpr Pte WithLocked(bool on) const { return WithFlag(kLocked, on); }
  // `holds` is at most kMostHolds.
  [[nodiscard]] constexpr Pte WithHolds(unsigned holds) const {
    if (holds == 0 && (word_ & kHeld) == 0) return *this;
    return Pte((word_ & ~(kStampOrHolds | kHeld)) | kSet | (holds != 0 ? kHeld : 0) |
               uint64_t{holds} << kHistoryShift);
  }
  [[nodiscard]] constexpr Pte WithWritten(bool on) const { return WithFlag(kWritten, on); }
  [[nodiscard]] constexpr Pte WithTrapped(bool on) const { return WithFlag(kTrapped, on); }
  [[nodiscard]] constexpr Pte WithQueued(bool on) const { return WithFlag(kQueued, on); }
  [[nodiscard]] constexpr Pte WithAhead(bool on) const { return WithFlag(kAhead, on); }
  [[nodiscard]] constexpr Pte WithForeign(bool on) const { return WithFlag(kForeign, on); }
  [[nodiscard]] constexpr Pte WithGivenUp(bool on) const { return WithFlag(kGivenUp, on); }
  [[nodiscard]] constexpr Pte WithOffered(bool on) const { return WithFlag(kOfferedFlag, on); }
  // Holds stay.
  [[nodiscard]] constexpr Pte WithHistory(uint16_t history) const {
    const uint64_t known = (word_ & kHeld) != 0 ? kHistory & ~kStampOrHolds : kHistory;
    return Pte((word_ & ~known) | kSet | ((uint64_t{history} << kHistoryShift) & known));
  }

  friend constexpr bool operator==(Pte, Pte) = default;

 private:
  static constexpr uint64_t kLocked = 1 << 10;
  static constexpr uint64_t kWritten = 1 << 11;
  static constexpr uint64_t kTrapped = 1 << 12;
  static constexpr uint64_t kQueued = 1 << 13;
  static constexpr uint64_t kAhead = 1 << 14;
  static constexpr uint64_t kSet = 1 << 15;
  static constexpr unsigned kHistoryShift = 16;
  static constexpr uint64_t kHistory = uint64_t{0xfff} << kHistoryShift;
  static constexpr uint64_t kStampOrHolds = uint64_t{kMostStamp} << kHistoryShift;
  static constexpr uint64_t kForeign = uint64_t{1} << 28;
  static constexpr uint64_t kGivenUp = uint64_t{1} << 29;
  static constexpr uint64_t kOfferedFlag = uint64_t{1} << 30;
  static constexpr uint64_t kHeld = uint64_t{1} << 31;
  // Protection, flags, holds and history: what a new state leaves as it is.
  static constexpr uint64_t kKept = 0xfff0 | kHistory | kGivenUp | kOfferedFlag | kHeld;

  constexpr explicit Pte(uint64_t word) : word_(word) {}
  constexpr uint32_t location() const { return static_cast<uint32_t>(word_ >> 32); }
  constexpr Pte WithFlag(uint64_t flag, bool on) const {
    return Pte(kSet | (on ? word_ | flag : word_ & ~flag));
  }

  uint64_t word_ = 0;
};

// The stored words. Relaxed: the order comes from the locks named above.
using PteWord = std::atomic<uint64_t>;
static_assert(sizeof(PteWord) == 8);

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_PTE_H_
