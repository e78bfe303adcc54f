// CommitCharge: how many pages have been promised, and the most that may be. A promise is taken as
// a token before anything changes, and the token's destructor hands back what was not used.
#ifndef USERPAGER_ADDRESS_SPACE_COMMIT_CHARGE_H_
#define USERPAGER_ADDRESS_SPACE_COMMIT_CHARGE_H_

#include <cstdint>

#include "runtime/base/types.h"
#include "runtime/observe/gauges.h"

namespace userpager {

// Thread-safe, without a lock: two counters.
class CommitCharge {
 public:
  class Token {
   public:
    Token() = default;
    Token(Token&& other) noexcept;
    Token& operator=(Token&& other) noexcept;
    ~Token();

    // Whether the charge was granted. A token for 0 pages always is.
    bool granted() const { return owner_ != nullptr; }
    // Makes the charge permanent: it now ends by Return.
    void Keep();

   private:
    friend class CommitCharge;
    Token(CommitCharge* owner, PageCount pages) : owner_(owner), pages_(pages) {}

    CommitCharge* owner_ = nullptr;
    PageCount pages_;
  };

  CommitCharge() = default;
  // Counts there, where others can look; it outlives this.
  explicit CommitCharge(CommitGauges& gauges) : gauges_(gauges) {}

  // The most that may be charged. May be below what is charged: then nothing more is granted.
  void set_limit(PageCount limit);
  PageCount limit() const;
  PageCount charged() const;
  PageCount peak() const;

  // All of `pages` or nothing.
  [[nodiscard]] Token Charge(PageCount pages);
  // Gives back pages of kept tokens.
  void Return(PageCount pages);

 private:
  CommitGauges own_;
  CommitGauges& gauges_ = own_;
};

}  // namespace userpager

#endif  // USERPAGER_ADDRESS_SPACE_COMMIT_CHARGE_H_
