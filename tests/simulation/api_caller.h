// ApiCaller: the calls of the API that the simulated program makes. What Pager and Reservations do
// with shards is done here in the same order, in steps between which threads and the shards go on.
#ifndef USERPAGER_TESTS_SIMULATION_API_CALLER_H_
#define USERPAGER_TESTS_SIMULATION_API_CALLER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/arena.h"
#include "tests/simulation/machine.h"

namespace userpager::simulation {

class ApiCaller {
 public:
  explicit ApiCaller(Machine& machine) : machine_(machine) {}

  // A call is begun, or one that is under way goes on.
  void Step();
  // Goes on with what is under way; begins nothing.
  void Finish();
  bool is_busy() const { return machine_.change.has_value() || !requests_.empty() || lowering_; }
  // Somebody waits for the shard.
  bool waits() const;
  // Which calls are under way, for a report.
  std::string Describe() const;
  // As Reservations::KeepPromisesBesideChild and KeepPromisesInChild: the page file grows so that
  // what is committed can be kept, and so many slots more. False: it cannot.
  bool KeepPromises(PageCount more);
  // In a forked child: what was under way is the parent's.
  void BecomeChild();
  void ReserveFirst();
  void ReleaseAll();

 private:
  struct ArenaDeleter {
    void operator()(BringInRequest* request) const { ArenaDelete(request); }
  };
  // Where Pager has it: a forked child gives it back there.
  using OwnedRequest = std::unique_ptr<BringInRequest, ArenaDeleter>;
  struct Request {
    OwnedRequest request;
    PageRange range;
    unsigned shard;  // that has the request: each in turn
    bool lock;
    bool had_locks;
  };

  void Begin(Call call);
  void Reserve();
  void Release(size_t index);
  void Change(bool commit);
  void GoOnWithChange();
  bool Hide(Reservation& reservation, PageRange range);
  void Prepare(Reservation& reservation, PageRange range, Protection protection);
  void CloseExecutable(Reservation& reservation, PageRange range);
  void Decommit();
  void Lock();
  void Unlock();
  void Trim();
  void BringIn(PageRange range, bool lock, bool had_locks);
  void Post(Request& request);
  void EndRequests();
  void EndRequest(const Request& ended);
  void TellOfLimit();
  void BeginLimit();
  void GoOnWithLimit();

  Reservation* Any();
  Errno ForEachStripe(Reservation& reservation, PageRange range, auto function);
  PageCount SmallestLimit() const;
  PageCount LockedPages() const;
  bool HasTransfers();
  PageRange AnyRange(const Reservation& reservation);
  Protection AnyProtection();
  void GiveBackSpace();
  bool MayCommit(uint64_t pages);
  uint64_t CommitLimit(uint64_t memory_limit) const;

  Machine& machine_;
  // The change of protection that machine_.change tells of.
  bool commits_ = false;
  unsigned change_step_ = 0;
  PageIndex changed_to_;  // the last step goes stripe by stripe: what comes before has been changed
  std::vector<Request> requests_;
  // The change of the memory limit.
  bool lowering_ = false;
  PageCount limit_before_;
  PageCount lowest_;
  uint64_t progress_ns_ = 0;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_API_CALLER_H_
