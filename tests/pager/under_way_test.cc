// What happens to a page while a transfer of it is under way: the transfer owns its slot, frame and
// charge until its completion, and a completion that comes late does nothing to anybody.
#include <memory>

#include "gtest/gtest.h"
#include "tests/support/eventually.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class UnderWay : public GatedPager {
 protected:
  uint64_t UsedSlots() { return (*pager_)->page_file().used().value(); }

  // `read_signal`: what a read gets under the protection.
  void ProtectDuringWrite(Protection protection, int read_signal) {
    Vad* vad = ReserveFilled();
    const PageIndex page = vad->range.begin;
    ASSERT_TRUE(HoldWriteOf(vad));
    Protect(vad, protection);
    EXPECT_EQ(Write(page, 15).Join().signal, SIGSEGV);
    OpenGates();
    EXPECT_EQ(Write(page, 16).Join().signal, SIGSEGV);
    EXPECT_EQ(Read(page).Join().signal, read_signal);
    Protect(vad, kReadWrite);
    EXPECT_TRUE(IsFilled(page));
    EXPECT_EQ(TryWrite(PointerTo(page), 17).signal, 0);
    ASSERT_TRUE(pager_->PushOut(*vad));
    EXPECT_TRUE(IsFilledBut(page, 17));
    EXPECT_TRUE(IsSound());
  }
};

TEST_P(UnderWay, DecommitWhileReading) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  Decommit(vad);
  // Nobody waits for a page that is gone: not even until the read is over.
  EXPECT_EQ(reader->Join().signal, SIGSEGV);
  EXPECT_GE(UsedSlots(), 1u);
  Commit(vad);
  EXPECT_EQ(FirstWord(page), 0u);
  FirstWord(page) = 5;
  OpenGates();
  EXPECT_EQ(WordsOf(page)[0], 5u);
  EXPECT_EQ(WordsOf(page)[1], 0u);
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(WordsOf(page)[0], 5u);
  EXPECT_TRUE(IsSound());
}

// The page is brought in again, by a second read, while the first one of its older content is out.
TEST_P(UnderWay, ReadTwiceAtATime) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  Decommit(vad);
  EXPECT_EQ(reader->Join().signal, SIGSEGV);
  Commit(vad);
  FirstWord(page) = 6;
  ASSERT_TRUE(pager_->PushOut(*vad));
  ASSERT_EQ(SettledStateOf(vad), PageState::kPagedOut);
  gate_->HoldNext(IoDirection::kRead);
  PendingAccess again([page] { return TryRead(PointerTo(page)); });
  ASSERT_TRUE(Eventually([&] { return gate_->held_reads() == 2; }));
  OpenGates();
  EXPECT_EQ(again.Join().value, 6u);
  EXPECT_EQ(WordsOf(page)[1], 0u);
  EXPECT_TRUE(IsSound());
}

TEST_P(UnderWay, ReleaseWhileReading) {
  Vad* vad = ReserveFilled(16);
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  pager_->Release(vad);
  EXPECT_EQ(reader->Join().signal, SIGSEGV);
  vad = pager_->ReserveAt(page, 16);
  ASSERT_NE(vad, nullptr);
  EXPECT_EQ(FirstWord(page), 0u);
  OpenGates();
  for (uint64_t i = 0; i < 16; ++i) EXPECT_EQ(FirstWord(page + PageCount(i)), 0u);
  EXPECT_TRUE(IsSound());
}

// The old owner's write is under way. What comes late from it may neither reach the new owner's
// page nor the slot that the new owner's content goes to.
TEST_P(UnderWay, ReleaseWhileWriting) {
  Vad* vad = ReserveFilled(16);
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldWriteOf(vad));
  const uint64_t used_before = UsedSlots();
  pager_->Release(vad);
  EXPECT_GE(UsedSlots() + 15, used_before);
  vad = pager_->ReserveAt(page, 16);
  ASSERT_NE(vad, nullptr);
  EXPECT_EQ(FirstWord(page), 0u);
  FirstWord(page) = 8;
  OpenGates();
  EXPECT_EQ(WordsOf(page)[0], 8u);
  EXPECT_EQ(WordsOf(page)[1], 0u);
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(WordsOf(page)[0], 8u);
  EXPECT_EQ(WordsOf(page)[1], 0u);
  EXPECT_TRUE(IsSound());
}

TEST_P(UnderWay, StoreWhileWriting) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldWriteOf(vad));
  // The store does not wait for the write.
  EXPECT_EQ(Write(page, 9).Join().signal, 0);
  EXPECT_EQ(SettledStateOf(vad), PageState::kActiveDirty);
  EXPECT_TRUE(IsFilledBut(page, 9));
  OpenGates();
  EXPECT_TRUE(IsFilledBut(page, 9));
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(IsFilledBut(page, 9));
  EXPECT_TRUE(IsSound());
}

TEST_P(UnderWay, ReadWhileWriting) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldWriteOf(vad));
  EXPECT_EQ(Read(page).Join().signal, 0);
  EXPECT_TRUE(IsFilled(page));
  OpenGates();
  EXPECT_TRUE(IsFilled(page));
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_TRUE(IsFilled(page));
}

// Paged out twice: a write of the older content is still out when the newer one is written. That
// the one is stuck keeps no other from being begun, although it is all that page-out wants.
TEST_P(UnderWay, WrittenTwiceAtATime) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldOnlyWriteOf(vad));
  EXPECT_EQ(Write(page, 10).Join().signal, 0);
  ASSERT_EQ(SettledStateOf(vad), PageState::kActiveDirty);
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(gate_->held_writes(), 1u);
  EXPECT_TRUE(IsFilledBut(page, 10));
  ASSERT_TRUE(pager_->PushOut(*vad));
  OpenGates();
  EXPECT_TRUE(IsFilledBut(page, 10));
  EXPECT_TRUE(IsSound());
}

// A store overtakes the write, and then the page is decommitted: the device has the memory still.
TEST_P(UnderWay, StoreAndDecommitWhileWriting) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldOnlyWriteOf(vad));
  const uint64_t used = UsedSlots();
  const uint64_t charged = (*pager_)->frames().charged().value();
  EXPECT_EQ(Write(page, 9).Join().signal, 0);
  Decommit(vad);
  EXPECT_EQ(UsedSlots(), used);
  EXPECT_GE((*pager_)->frames().charged().value(), charged);
  EXPECT_TRUE((*pager_)->CheckConsistency());
  OpenGates();
  Commit(vad);
  EXPECT_EQ(FirstWord(page), 0u);
  EXPECT_TRUE(IsSound());
}

TEST_P(UnderWay, DecommitWhileWriting) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldWriteOf(vad));
  const uint64_t used = UsedSlots();
  const uint64_t charged = (*pager_)->frames().charged().value();
  Decommit(vad);
  // What the transfer has is not given back before its end.
  EXPECT_EQ(UsedSlots(), used);
  EXPECT_EQ((*pager_)->frames().charged().value(), charged);
  EXPECT_TRUE(IsSound());
  Commit(vad);
  FirstWord(page) = 11;
  OpenGates();
  EXPECT_EQ(WordsOf(page)[0], 11u);
  EXPECT_EQ(WordsOf(page)[1], 0u);
  ASSERT_TRUE(pager_->PushOut(*vad));
  EXPECT_EQ(WordsOf(page)[0], 11u);
  EXPECT_TRUE(IsSound());
}

// The device has not seen the request yet, and so has not taken hold of the memory.
TEST_P(UnderWay, DecommitBeforeTheWriteIsHandedOver) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldRequestOf(vad));
  const uint64_t usable = (*pager_)->page_file().usable().value();
  Decommit(vad);
  OpenGates();
  Commit(vad);
  EXPECT_EQ(FirstWord(page), 0u);
  // A page that is gone is no fault of the slot.
  EXPECT_EQ((*pager_)->page_file().usable().value(), usable);
  EXPECT_TRUE(IsSound());
}

TEST_P(UnderWay, NoAccessBeforeTheWriteIsHandedOver) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldRequestOf(vad));
  Protect(vad, kNoAccess);
  OpenGates();
  EXPECT_EQ(TryRead(PointerTo(page)).signal, SIGSEGV);
  Protect(vad, kReadWrite);
  EXPECT_TRUE(IsFilled(page));
  EXPECT_TRUE(IsSound());
}

// The device has not taken hold of the memory, so the kernel would let it be moved away from under
// the write: it is refused by the page's state.
TEST_P(UnderWay, ReadAndStoreBeforeTheWriteIsHandedOver) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(HoldRequestOf(vad));
  EXPECT_EQ(Read(page).Join().signal, 0);
  EXPECT_EQ(Write(page, 18).Join().signal, 0);
  EXPECT_EQ(SettledStateOf(vad), PageState::kActiveDirty);
  OpenGates();
  EXPECT_TRUE(IsFilledBut(page, 18));
  EXPECT_TRUE(IsSound());
}

TEST_P(UnderWay, ProtectWhilePagedOut) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  ASSERT_TRUE(pager_->PushOut(*vad));
  Protect(vad, kNoAccess);
  EXPECT_EQ(TryRead(PointerTo(page)).signal, SIGSEGV);
  EXPECT_EQ(StateOf(vad), PageState::kPagedOut);
  Protect(vad, kReadOnly);
  EXPECT_TRUE(IsFilled(page));
  EXPECT_EQ(TryWrite(PointerTo(page), 1).signal, SIGSEGV);
  Protect(vad, kReadWrite);
  EXPECT_EQ(TryWrite(PointerTo(page), 12).signal, 0);
  EXPECT_TRUE(IsFilledBut(page, 12));
}

TEST_P(UnderWay, NoAccessWhileReading) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  Protect(vad, kNoAccess);
  OpenGates();
  EXPECT_EQ(reader->Join().signal, SIGSEGV);
  Protect(vad, kReadWrite);
  EXPECT_TRUE(IsFilled(page));
  EXPECT_TRUE(IsSound());
}

TEST_P(UnderWay, ReadOnlyWhileReading) {
  Vad* vad = ReserveFilled();
  const PageIndex page = vad->range.begin;
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  PendingAccess writer([page] { return TryWrite(WordsOf(page) + 1, 13); });
  Protect(vad, kReadOnly);
  OpenGates();
  EXPECT_EQ(reader->Join().signal, 0);
  EXPECT_EQ(writer.Join().signal, SIGSEGV);
  EXPECT_TRUE(IsFilled(page));
  Protect(vad, kReadWrite);
  EXPECT_EQ(TryWrite(PointerTo(page), 14).signal, 0);
  EXPECT_TRUE(IsFilledBut(page, 14));
}

TEST_P(UnderWay, NoAccessWhileWriting) { ProtectDuringWrite(kNoAccess, SIGSEGV); }

TEST_P(UnderWay, ReadOnlyWhileWriting) { ProtectDuringWrite(kReadOnly, 0); }

// Stop ends what is under way, so that nothing is left to the device when its memory goes.
TEST_P(UnderWay, StopWaitsForTransfers) {
  Vad* vad = ReserveFilled();
  ASSERT_TRUE(HoldWriteOf(vad));
  Pager& pager = **pager_;
  pager_->Release(vad);
  EXPECT_GE(UsedSlots(), 1u);
  gate_->LetGo();
  pager_->StopNow();
  EXPECT_EQ(pager.page_file().used().value(), 0u);
  EXPECT_EQ(pager.frames().charged().value(), 0u);
  gate_ = nullptr;
}

INSTANTIATE_TEST_SUITE_P(Roads, UnderWay,
                         testing::Values(Road{true, IoEngineKind::kUring, 1},
                                         Road{true, IoEngineKind::kThreads, 1},
                                         Road{false, IoEngineKind::kUring, 1},
                                         Road{false, IoEngineKind::kThreads, 1},
                                         Road{true, IoEngineKind::kUring, 1,
                                              FaultDelivery::kMessages, ReplacementKind::kFifo}),
                         [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
