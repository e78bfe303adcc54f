#include "runtime/pager/copy_charge.h"

#include "gtest/gtest.h"
#include "runtime/platform/address_map.h"
#include "runtime/platform/linux_page_platform.h"

namespace userpager {
namespace {

constexpr PageCount kOne{1};

class CopyChargeTest : public testing::Test {
 protected:
  void SetUp() override {
    ledger_.set_limit(PageCount(10));
    ASSERT_EQ(buffers_.Init(), 0);
    buffers_.set_pages(PageCount(8));
  }
  PageCount Charged() const { return ledger_.charged(); }
  void FillMemory() { (void)ledger_.ChargeUpTo(PageCount(10), PageCount(0)); }
  uint64_t& WordOf(unsigned buffer) {
    return *static_cast<uint64_t*>(PointerTo(buffers_.PageAt(buffer)));
  }

  FrameLedger ledger_;
  BufferPool buffers_;
  LinuxPagePlatform platform_;
};

TEST_F(CopyChargeTest, IsAPageOfTheLimitForAWhile) {
  {
    const CopyCharge charge(ledger_, buffers_, platform_, true);
    EXPECT_TRUE(charge.is_there());
    EXPECT_EQ(Charged(), kOne);
    EXPECT_TRUE(buffers_.all_free());
  }
  EXPECT_EQ(Charged(), PageCount(0));
}

TEST_F(CopyChargeTest, StaysWhereItIsKept) {
  {
    CopyCharge charge(ledger_, buffers_, platform_, false);
    charge.Keep();
  }
  EXPECT_EQ(Charged(), kOne);
}

TEST_F(CopyChargeTest, IsAFreeBuffersWhereMemoryIsFull) {
  FillMemory();
  for (unsigned i = 0; i < 8; ++i) WordOf(i) = 1;
  const BufferPool::Run used = buffers_.Take(kOne);
  {
    const CopyCharge charge(ledger_, buffers_, platform_, true);
    EXPECT_TRUE(charge.is_there());
    EXPECT_EQ(buffers_.free(), PageCount(6));
    EXPECT_EQ(WordOf(used.first + 1), 0u) << "it holds memory still";
    EXPECT_EQ(WordOf(used.first), 1u);
  }
  EXPECT_EQ(buffers_.free(), PageCount(7));
  EXPECT_EQ(Charged(), PageCount(10));
  buffers_.Give(used);
}

TEST_F(CopyChargeTest, IsNotThereWhereNoBufferMayOrCanLendIt) {
  FillMemory();
  EXPECT_FALSE(CopyCharge(ledger_, buffers_, platform_, false).is_there());
  const BufferPool::Run all = buffers_.Take(PageCount(8));
  ASSERT_EQ(all.count, PageCount(8));
  EXPECT_FALSE(CopyCharge(ledger_, buffers_, platform_, true).is_there());
  EXPECT_EQ(Charged(), PageCount(10));
  buffers_.Give(all);
  EXPECT_TRUE(buffers_.all_free());
}

}  // namespace
}  // namespace userpager
