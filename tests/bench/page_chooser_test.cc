#include "bench/support/page_chooser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace userpager::bench {
namespace {

constexpr uint64_t kPages = 10'000;
constexpr uint64_t kDraws = 200'000;

// How often each page was chosen, by rank.
std::vector<uint64_t> Draw(Popularity popularity) {
  const PageChooser chooser(popularity, kPages);
  PageChooser::Random random(1);
  std::vector<uint64_t> of_page(kPages);
  for (uint64_t i = 0; i < kDraws; ++i) ++of_page.at(chooser.Next(random));
  std::vector<uint64_t> of_rank(kPages);
  for (uint64_t rank = 0; rank < kPages; ++rank) of_rank[rank] = of_page[chooser.PageOfRank(rank)];
  return of_rank;
}

double ShareOfFirst(const std::vector<uint64_t>& of_rank, uint64_t ranks) {
  uint64_t sum = 0;
  for (uint64_t rank = 0; rank < ranks; ++rank) sum += of_rank[rank];
  return static_cast<double>(sum) / static_cast<double>(kDraws);
}

TEST(PageChooser, RanksAreAPermutation) {
  for (const uint64_t pages : {1u, 2u, 1024u, 10'007u}) {
    const PageChooser chooser(Popularity::kUniform, pages);
    std::vector<bool> seen(pages);
    for (uint64_t rank = 0; rank < pages; ++rank) seen.at(chooser.PageOfRank(rank)) = true;
    EXPECT_EQ(pages, static_cast<uint64_t>(std::count(seen.begin(), seen.end(), true)));
  }
}

TEST(PageChooser, UniformKnowsNoRank) {
  EXPECT_NEAR(0.2, ShareOfFirst(Draw(Popularity::kUniform), kPages / 5), 0.01);
}

TEST(PageChooser, NinetyPercentToTwentyPercent) {
  EXPECT_NEAR(0.9, ShareOfFirst(Draw(Popularity::kSkew), kPages / 5), 0.01);
}

TEST(PageChooser, ZipfSharesAreThoseOfTheFormula) {
  const std::vector<uint64_t> of_rank = Draw(Popularity::kZipf);
  double all = 0;
  double first_hundred = 0;
  for (uint64_t i = 1; i <= kPages; ++i) {
    all += std::pow(static_cast<double>(i), -0.99);
    if (i == 100) first_hundred = all;
  }
  EXPECT_NEAR(1 / all, ShareOfFirst(of_rank, 1), 0.005);
  EXPECT_NEAR(first_hundred / all, ShareOfFirst(of_rank, 100), 0.02);
}

}  // namespace
}  // namespace userpager::bench
