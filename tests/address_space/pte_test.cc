#include "runtime/address_space/pte.h"

#include <initializer_list>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace userpager {
namespace {

constexpr unsigned kFlagCount = 6;

Pte WithFlags(Pte pte, unsigned flags) {
  return pte.WithLocked((flags & 1) != 0)
      .WithWritten((flags & 2) != 0)
      .WithTrapped((flags & 4) != 0)
      .WithQueued((flags & 8) != 0)
      .WithAhead((flags & 16) != 0)
      .WithGivenUp((flags & 32) != 0);
}

unsigned FlagsOf(Pte pte) {
  return (pte.locked() ? 1u : 0) | (pte.written() ? 2u : 0) | (pte.trapped() ? 4u : 0) |
         (pte.queued() ? 8u : 0) | (pte.ahead() ? 16u : 0) | (pte.given_up() ? 32u : 0);
}

PageState StateOf(unsigned number) { return static_cast<PageState>(number); }

constexpr BaseProtection kBases[] = {
    BaseProtection::kNoAccess, BaseProtection::kReadOnly,    BaseProtection::kReadWrite,
    BaseProtection::kExecute,  BaseProtection::kExecuteRead, BaseProtection::kExecuteReadWrite};

// Calls `check` with every state, protection and set of flags.
void ForEachPte(auto check) {
  for (unsigned state = 0; state < kPageStateCount; ++state) {
    for (const BaseProtection base : kBases) {
      for (unsigned modifiers = 0; modifiers < 8; ++modifiers) {
        const Protection protection = {base, (modifiers & 1) != 0, (modifiers & 2) != 0,
                                       (modifiers & 4) != 0};
        for (unsigned flags = 0; flags < 1u << kFlagCount; ++flags) {
          check(StateOf(state), protection, flags);
        }
      }
    }
  }
}

TEST(Pte, AWordOfZeroIsUntouchedAndNoOtherPteIs) {
  EXPECT_TRUE(Pte().untouched());
  EXPECT_EQ(Pte().word(), 0u);
  // Even the PTE whose every field is zero is told apart from a word that was never stored.
  EXPECT_FALSE(Pte(PageState::kReserved, Protection()).untouched());
  EXPECT_FALSE(Pte().With(PageState::kReserved).untouched());
  EXPECT_FALSE(Pte().With(Protection()).untouched());
  EXPECT_FALSE(Pte().WithLocked(false).untouched());
}

TEST(Pte, EveryStateProtectionAndSetOfFlagsComesBackFromItsWord) {
  std::set<uint64_t> words;
  size_t count = 0;
  ForEachPte([&words, &count](PageState state, Protection protection, unsigned flags) {
    const Pte pte = Pte::FromWord(WithFlags(Pte(state, protection), flags).word());
    ASSERT_EQ(pte.state(), state);
    ASSERT_EQ(pte.protection(), protection);
    ASSERT_EQ(FlagsOf(pte), flags);
    ASSERT_FALSE(pte.untouched());
    words.insert(pte.word());
    ++count;
  });
  EXPECT_EQ(words.size(), count) << "two different PTEs have one word";
}

TEST(Pte, AnOfferedPageAllowsNoAccessAndKeepsItsOwnProtection) {
  ForEachPte([](PageState state, Protection protection, unsigned flags) {
    const Pte before = WithFlags(Pte(state, protection), flags).With(state, 7);
    const Pte offered = before.WithOffered(true);
    ASSERT_TRUE(offered.offered());
    ASSERT_FALSE(offered.protection().AllowsAccess());
    ASSERT_EQ(offered.own_protection(), protection);
    ASSERT_EQ(offered.WithOffered(true), offered);
    ASSERT_EQ(FlagsOf(offered), flags);
    ASSERT_EQ(offered.With(PageState::kPagedOut, 9).own_protection(), protection);
    // What it is given meanwhile is its own.
    const Protection other{BaseProtection::kExecuteRead, true};
    ASSERT_FALSE(offered.With(other).protection().AllowsAccess());
    ASSERT_EQ(offered.With(other).WithOffered(false), before.With(other));
    ASSERT_EQ(offered.WithOffered(false), before);
    ASSERT_EQ(before.own_protection(), protection);
  });
}

TEST(Pte, ANewStateKeepsProtectionAndFlagsAndReplacesTheLocation) {
  ForEachPte([](PageState state, Protection protection, unsigned flags) {
    const Pte before = WithFlags(Pte(PageState::kModified, protection), flags)
                           .With(PageState::kStandby, 0xffff'ffff);
    const Pte after = before.With(state, 0x8000'0001);
    ASSERT_EQ(after.state(), state);
    ASSERT_EQ(after.protection(), protection);
    ASSERT_EQ(FlagsOf(after), flags);
    ASSERT_EQ(after.frame(), FrameIndex(0x8000'0001));
    ASSERT_EQ(after.slot(), SlotIndex(0x8000'0001));
    ASSERT_EQ(after.io(), 0x8000'0001u);
    ASSERT_EQ(after.With(state).slot(), kNoSlot);
  });
}

TEST(Pte, ANewProtectionKeepsStateFlagsAndLocation) {
  ForEachPte([](PageState state, Protection protection, unsigned flags) {
    const Protection old = {BaseProtection::kExecuteReadWrite, true, true, true};
    const Pte after = WithFlags(Pte(state, old), flags).With(state, 77).With(protection);
    ASSERT_EQ(after.state(), state);
    ASSERT_EQ(after.protection(), protection);
    ASSERT_EQ(FlagsOf(after), flags);
    ASSERT_EQ(after.slot(), SlotIndex(77));
  });
}

TEST(Pte, AFlagChangesNothingElse) {
  const Pte pte =
      Pte(PageState::kDemandZero, {BaseProtection::kReadOnly}).With(PageState::kPagedOut, 9);
  for (unsigned flags = 0; flags < 1u << kFlagCount; ++flags) {
    const Pte flagged = WithFlags(pte, flags);
    EXPECT_EQ(flagged.state(), PageState::kPagedOut);
    EXPECT_EQ(flagged.slot(), SlotIndex(9));
    EXPECT_EQ(WithFlags(flagged, 0), pte);
  }
}

TEST(Pte, HoldsAreCountedAndChangeNothingElse) {
  const Pte pte =
      Pte(PageState::kDemandZero, {BaseProtection::kReadOnly}).With(PageState::kPagedOut, 9);
  EXPECT_FALSE(pte.stays());
  EXPECT_TRUE(pte.WithLocked(true).stays());
  for (unsigned holds = 1; holds <= Pte::kMostHolds; ++holds) {
    const Pte held = pte.WithHolds(holds);
    EXPECT_EQ(held.holds(), holds);
    EXPECT_TRUE(held.stays());
    EXPECT_FALSE(held.locked());
    EXPECT_EQ(held.With(PageState::kReading, 4).holds(), holds);
    EXPECT_EQ(held.With(Protection{BaseProtection::kReadWrite}).holds(), holds);
    EXPECT_EQ(FlagsOf(held), FlagsOf(pte));
    EXPECT_EQ(held.WithHolds(0), pte);
  }
}

TEST(Pte, TheHistoryStaysUntilItIsReplaced) {
  for (const uint16_t history : {uint16_t{0}, uint16_t{1}, uint16_t{0xfff}}) {
    const Pte pte = Pte(PageState::kStandby, {BaseProtection::kReadOnly})
                        .WithAhead(true)
                        .With(PageState::kStandby, 7)
                        .WithHistory(0x555)
                        .WithHistory(history);
    EXPECT_EQ(pte.state(), PageState::kStandby);
    EXPECT_EQ(pte.frame(), FrameIndex(7));
    EXPECT_TRUE(pte.ahead());
    const Pte later = pte.With(PageState::kPagedOut, 0xffff'ffff)
                          .WithLocked(true)
                          .With(Protection{BaseProtection::kReadWrite});
    EXPECT_EQ(later.history(), history);
    EXPECT_EQ(later.slot(), SlotIndex(0xffff'ffff));
  }
  EXPECT_EQ(Pte().history(), 0u);
  EXPECT_FALSE(Pte().WithHistory(0).untouched());
}

// A held page has a count where another one has its stamp; the rest of the history stays.
TEST(Pte, AHeldPageHasNoStamp) {
  constexpr uint16_t kRest = 0xfff & ~Pte::kMostStamp;
  const Pte pte = Pte(PageState::kStandby, {BaseProtection::kReadOnly})
                      .With(PageState::kStandby, 7)
                      .WithHistory(0xfff);
  EXPECT_EQ(pte.holds(), 0u);
  EXPECT_EQ(pte.WithHolds(0), pte);
  const Pte held = pte.WithHolds(Pte::kMostHolds);
  EXPECT_EQ(held.holds(), Pte::kMostHolds);
  EXPECT_EQ(held.history(), kRest);
  EXPECT_EQ(held.frame(), FrameIndex(7));
  EXPECT_EQ(held.WithHistory(0xfff), held);
  EXPECT_EQ(held.WithHistory(1).holds(), Pte::kMostHolds);
  EXPECT_EQ(held.WithHistory(1).history(), 0u);
  EXPECT_EQ(held.WithHolds(0).history(), kRest);
  EXPECT_FALSE(held.WithHolds(0).stays());
}

TEST(Pte, TheTableOfStatesSaysWhoIsMappedAndWhoHasAFrame) {
  const auto in = [](PageState state, std::initializer_list<PageState> states) {
    return std::set<PageState>(states).contains(state);
  };
  for (unsigned number = 0; number < kPageStateCount; ++number) {
    const PageState state = StateOf(number);
    const Pte pte(state, {BaseProtection::kReadWrite});
    EXPECT_EQ(pte.committed(), state != PageState::kReserved) << PageStateName(state);
    EXPECT_EQ(pte.mapped(), in(state, {PageState::kActiveClean, PageState::kActiveDirty,
                                       PageState::kWritingInPlace}))
        << PageStateName(state);
    EXPECT_EQ(pte.parked(),
              in(state, {PageState::kModified, PageState::kWriting, PageState::kStandby}))
        << PageStateName(state);
    EXPECT_EQ(pte.has_frame(),
              in(state, {PageState::kActiveClean, PageState::kActiveDirty, PageState::kModified,
                         PageState::kWriting, PageState::kWritingInPlace, PageState::kStandby,
                         PageState::kOffered}))
        << PageStateName(state);
  }
}

TEST(Pte, EveryStateHasANameOfItsOwn) {
  std::set<std::string> names;
  for (unsigned state = 0; state < kPageStateCount; ++state) {
    names.emplace(PageStateName(StateOf(state)));
  }
  EXPECT_EQ(names.size(), kPageStateCount);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(PageStateName(StateOf(kPageStateCount)), "unknown");
}

TEST(Protection, SaysWhatItAllows) {
  EXPECT_FALSE(Protection{BaseProtection::kNoAccess}.AllowsAccess());
  EXPECT_TRUE(Protection{BaseProtection::kReadOnly}.AllowsAccess());
  EXPECT_FALSE(Protection{BaseProtection::kReadOnly}.AllowsWrite());
  EXPECT_TRUE(Protection{BaseProtection::kReadWrite}.AllowsWrite());
  EXPECT_FALSE(Protection{BaseProtection::kExecuteRead}.AllowsWrite());
  EXPECT_TRUE(Protection{BaseProtection::kExecuteReadWrite}.AllowsWrite());
  EXPECT_FALSE(Protection{BaseProtection::kReadWrite}.AllowsExecute());
  EXPECT_TRUE(Protection{BaseProtection::kExecute}.AllowsExecute());
  const Protection guarded = {BaseProtection::kReadWrite, true};
  EXPECT_FALSE(guarded.AllowsAccess());
  EXPECT_FALSE(guarded.AllowsWrite());
}

}  // namespace
}  // namespace userpager
