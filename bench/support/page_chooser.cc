#include "bench/support/page_chooser.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace userpager::bench {
namespace {

constexpr double kTheta = 0.99;
constexpr uint64_t kHotPagesPercent = 20;
constexpr uint64_t kHotAccessesPercent = 90;
constexpr uint64_t kSpread = 2'654'435'761;  // a prime near 2^32 divided by the golden ratio

double Zeta(uint64_t n) {
  double sum = 0;
  for (uint64_t i = 1; i <= n; ++i) sum += std::pow(static_cast<double>(i), -kTheta);
  return sum;
}

uint64_t Below(uint64_t bound, PageChooser::Random& random) {
  return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random);
}

}  // namespace

PageChooser::PageChooser(Popularity popularity, uint64_t pages)
    : popularity_(popularity), pages_(pages), spread_(kSpread % pages) {
  while (std::gcd(spread_, pages_) != 1) ++spread_;
  if (popularity_ != Popularity::kZipf) return;
  const auto n = static_cast<double>(pages_);
  zeta_n_ = Zeta(pages_);
  eta_ = (1 - std::pow(2 / n, 1 - kTheta)) / (1 - Zeta(2) / zeta_n_);
}

uint64_t PageChooser::Next(Random& random) const {
  if (popularity_ == Popularity::kZipf) return PageOfRank(ZipfRank(random));
  if (popularity_ == Popularity::kUniform) return Below(pages_, random);
  const uint64_t hot = std::max<uint64_t>(pages_ * kHotPagesPercent / 100, 1);
  if (hot == pages_ || Below(100, random) < kHotAccessesPercent) {
    return PageOfRank(Below(hot, random));
  }
  return PageOfRank(hot + Below(pages_ - hot, random));
}

// Gray et al., "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994, figure 5.
uint64_t PageChooser::ZipfRank(Random& random) const {
  const double u = std::uniform_real_distribution<double>(0, 1)(random);
  const double uz = u * zeta_n_;
  if (uz < 1) return 0;
  if (uz < 1 + std::pow(0.5, kTheta)) return 1 % pages_;
  const double rank = static_cast<double>(pages_) * std::pow(eta_ * u - eta_ + 1, 1 / (1 - kTheta));
  return std::min(static_cast<uint64_t>(rank), pages_ - 1);
}

}  // namespace userpager::bench
