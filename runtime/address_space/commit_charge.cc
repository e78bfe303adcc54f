#include "runtime/address_space/commit_charge.h"

#include <utility>

#include "runtime/base/check.h"

namespace userpager {

// All orders are relaxed: the counters guard no other memory.

CommitCharge::Token::Token(Token&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)),
      pages_(std::exchange(other.pages_, PageCount(0))) {}

CommitCharge::Token& CommitCharge::Token::operator=(Token&& other) noexcept {
  // By way of a third token: its destructor hands back what this one held.
  Token taken(std::move(other));
  std::swap(owner_, taken.owner_);
  std::swap(pages_, taken.pages_);
  return *this;
}

CommitCharge::Token::~Token() {
  if (owner_ != nullptr) owner_->Return(pages_);
}

void CommitCharge::Token::Keep() {
  USERPAGER_CHECK(granted(), "a commit charge that was not granted was kept", pages_.value());
  pages_ = PageCount(0);
}

void CommitCharge::set_limit(PageCount limit) {
  gauges_.limit.store(limit.value(), std::memory_order_relaxed);
}

PageCount CommitCharge::limit() const {
  return PageCount(gauges_.limit.load(std::memory_order_relaxed));
}

PageCount CommitCharge::charged() const {
  return PageCount(gauges_.charged.load(std::memory_order_relaxed));
}

PageCount CommitCharge::peak() const {
  return PageCount(gauges_.peak.load(std::memory_order_relaxed));
}

CommitCharge::Token CommitCharge::Charge(PageCount pages) {
  if (pages == PageCount(0)) return Token(this, pages);
  uint64_t charged = gauges_.charged.load(std::memory_order_relaxed);
  do {
    // In this form nothing overflows, however much is asked for.
    const uint64_t limit = gauges_.limit.load(std::memory_order_relaxed);
    if (charged > limit || pages.value() > limit - charged) return Token();
  } while (!gauges_.charged.compare_exchange_weak(charged, charged + pages.value(),
                                           std::memory_order_relaxed));
  const uint64_t now = charged + pages.value();
  uint64_t peak = gauges_.peak.load(std::memory_order_relaxed);
  while (peak < now && !gauges_.peak.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
  return Token(this, pages);
}

void CommitCharge::Return(PageCount pages) {
  const uint64_t before = gauges_.charged.fetch_sub(pages.value(), std::memory_order_relaxed);
  USERPAGER_CHECK(before >= pages.value(), "more commit charge was returned than was taken",
                  pages.value());
}

}  // namespace userpager
