#include "runtime/pager/page_state_table.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "runtime/page_file/uring_engine.h"
#include "runtime/pager/shard.h"
#include "runtime/platform/linux_page_platform.h"

namespace userpager {

// The shard lets its state be changed by its own functions alone, and by this.
class ShardTestPeer {
 public:
  static void SetPte(Shard& shard, Stripe& stripe, PageIndex page, Pte pte)
      ABSL_NO_THREAD_SAFETY_ANALYSIS {
    shard.mutex_.Acquire();
    shard.SetPte(stripe, page, pte);
    shard.mutex_.Release();
  }
};

namespace {

// What the design's texts allow, state by state. Rows are where a page comes from, columns where it
// goes; the order of both is that of the table of states:
//   R reserved, Z demand-zero, I reading, C active clean, D active dirty, M modified, W writing,
//   P writing in place, S standby, F offered, O paged out, L lost.
//   - stays, + allowed, . forbidden
constexpr const char* kExpected[kPageStateCount] = {
    // RZICDMWPSFOL
    "-+..........",  // R: commit
    "+-..+.......",  // Z: decommit; zeros are installed
    "+.-++...+.++",  // I: decommit; installed clean or, for a store, dirty; parked (as the
                     //    marker of a stream, or prefetched); given up; unreadable
    "+..-+...+.+.",  // C: decommit; first write; parked; dropped in place
    "++..-+.+....",  // D: decommit; zeros; parked; written in place
    "+...+-+..+..",  // M: decommit; rescued; write begins; offered
    "+...++-.+...",  // W: decommit; rescued by a copy; write failed; write done
    "+..++..-....",  // P: decommit; write done; a store came, or the write failed
    "+..++...-.+.",  // S: decommit; rescued for a read; rescued for a store; dropped
    "++..++...-..",  // F: decommit; given up; rescued; reclaimed
    "+.+.......-.",  // O: decommit; read begins
    "+..........-",  // L: decommit
};

TEST(PageStateTable, EveryPairIsAsDesigned) {
  for (unsigned from = 0; from < kPageStateCount; ++from) {
    for (unsigned to = 0; to < kPageStateCount; ++to) {
      const PageState a = static_cast<PageState>(from);
      const PageState b = static_cast<PageState>(to);
      EXPECT_EQ(IsAllowedMove(a, b), kExpected[from][to] != '.')
          << PageStateName(a) << " -> " << PageStateName(b);
      EXPECT_EQ(from == to, kExpected[from][to] == '-');
    }
  }
}

TEST(PageStateTable, HasEachRowOnce) {
  for (const PageMove& row : kPageMoves) {
    const auto same = [&](const PageMove& other) {
      return other.from == row.from && other.to == row.to;
    };
    EXPECT_EQ(std::count_if(std::begin(kPageMoves), std::end(kPageMoves), same), 1)
        << PageStateName(row.from) << " -> " << PageStateName(row.to);
    EXPECT_NE(row.from, row.to);
  }
}

std::filesystem::path PagerSources() {
  return std::filesystem::path(USERPAGER_SOURCE_DIR) / "runtime" / "pager";
}

TEST(PageStateTable, NamesFunctionsThatExist) {
  std::string sources;
  for (const auto& entry : std::filesystem::directory_iterator(PagerSources())) {
    if (entry.path().extension() != ".cc") continue;
    std::ifstream in(entry.path());
    sources.append(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  ASSERT_FALSE(sources.empty()) << PagerSources();
  for (const PageMove& row : kPageMoves) {
    std::istringstream names{std::string(row.made_by)};
    for (std::string name; std::getline(names >> std::ws, name, ',');) {
      EXPECT_NE(sources.find(" Shard::" + name + "("), std::string::npos)
          << name << " (" << PageStateName(row.from) << " -> " << PageStateName(row.to) << ")";
    }
  }
}

// A shard without a thread, a kernel or a file, and one page.
class OnePage {
 public:
  OnePage() {
    stripe_.range = PageRange(PageIndex(16), PageCount(1));
    stripe_.ptes = &word_;
    stripe_.touched = &touched_;
    stripe_.default_pte = Pte(PageState::kReserved, Protection{});
  }

  void Move(PageState from, PageState to) {
    stripe_.Store(stripe_.range.begin, Pte(from, Protection{}));
    ShardTestPeer::SetPte(*shard_, stripe_, stripe_.range.begin, Pte(to, Protection{}));
  }
  PageState state() const { return stripe_.Load(stripe_.range.begin).state(); }

 private:
  LinuxPagePlatform platform_;
  UringEngine engine_;
  FrameLedger ledger_;
  PageFile page_file_;
  HelperThread helper_;
  std::unique_ptr<Shard> shard_ = std::make_unique<Shard>(
      ShardOptions{}, ShardParts{platform_, engine_, ledger_, page_file_, helper_});
  PteWord word_{0};
  TouchedWord touched_{0};
  Stripe stripe_;
};

TEST(PageStateTable, SetPteMakesAllowedMoves) {
  OnePage page;
  for (unsigned from = 0; from < kPageStateCount; ++from) {
    for (unsigned to = 0; to < kPageStateCount; ++to) {
      if (kExpected[from][to] == '.') continue;
      page.Move(static_cast<PageState>(from), static_cast<PageState>(to));
      EXPECT_EQ(page.state(), static_cast<PageState>(to));
    }
  }
}

TEST(PageStateTableDeathTest, SetPteRefusesForbiddenMoves) {
  testing::FLAGS_gtest_death_test_style = "fast";
  OnePage page;
  unsigned refused = 0;
  for (unsigned from = 0; from < kPageStateCount; ++from) {
    for (unsigned to = 0; to < kPageStateCount; ++to) {
      if (kExpected[from][to] != '.') continue;
      EXPECT_DEATH(page.Move(static_cast<PageState>(from), static_cast<PageState>(to)),
                   "a move that is not in the table");
      ++refused;
    }
  }
  EXPECT_EQ(refused, kPageStateCount * (kPageStateCount - 1) - std::size(kPageMoves));
}

}  // namespace
}  // namespace userpager
