// PageChooser: which of N pages is accessed next, at random. Pages that are chosen more often than
// others lie scattered, as hot objects do in a heap, so that reading neighbours does not find them.
#ifndef USERPAGER_BENCH_SUPPORT_PAGE_CHOOSER_H_
#define USERPAGER_BENCH_SUPPORT_PAGE_CHOOSER_H_

#include <cstdint>
#include <random>

namespace userpager::bench {

enum class Popularity : uint8_t {
  kUniform,
  kSkew,  // 90% of the accesses go to 20% of the pages
  kZipf,  // the i-th most popular page has a share of 1 / i^0.99
};

class PageChooser {
 public:
  using Random = std::mt19937_64;

  PageChooser(Popularity popularity, uint64_t pages);

  // The next page, below pages(). Thread-safe: all that changes is `random`.
  uint64_t Next(Random& random) const;
  // The page of a rank: 0 is the most popular one. A permutation.
  uint64_t PageOfRank(uint64_t rank) const { return rank * spread_ % pages_; }
  uint64_t pages() const { return pages_; }

 private:
  uint64_t ZipfRank(Random& random) const;

  const Popularity popularity_;
  const uint64_t pages_;
  uint64_t spread_;  // has no factor in common with pages_
  // Of the zipf distribution, in the words of the paper that page_chooser.cc names.
  double zeta_n_ = 0;
  double eta_ = 0;
};

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_PAGE_CHOOSER_H_
