// ManagedProcess: a process that runs under the runtime, as its statistics page shows it
// (observe/statistics_page.h). Nothing that is read there is trusted: files of other kinds, other
// versions, other users and dead processes are recognised, and no read waits or faults.
#ifndef USERPAGER_CLI_MANAGED_PROCESS_H_
#define USERPAGER_CLI_MANAGED_PROCESS_H_

#include <sys/types.h>
#include <userpager/userpager.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/observe/statistics_page.h"

namespace userpager::cli {

class ManagedProcess {
 public:
  // What `text` names: the number of a process, or a name (as in /proc/PID/comm) that exactly one
  // process under the runtime has. nullptr: it cannot be had, and `problem` is a line that says
  // why.
  static std::unique_ptr<ManagedProcess> Find(const std::string& text, std::string* problem);
  // All that can be looked at, by number. Announcements whose processes have ended are removed. Of
  // those that cannot be looked at `hidden` is the number.
  static std::vector<std::unique_ptr<ManagedProcess>> All(size_t* hidden);

  ~ManagedProcess();
  ManagedProcess(const ManagedProcess&) = delete;
  ManagedProcess& operator=(const ManagedProcess&) = delete;

  pid_t number() const { return number_; }
  const std::string& name() const { return name_; }
  // Whether both are the same process, and not one with the other's number.
  bool IsSame(const ManagedProcess& other) const {
    return number_ == other.number_ && path_ == other.path_;
  }
  // Whether it still is the process that it was, and not a zombie.
  bool IsAlive() const;
  // Whether it was stopped, by a signal or a debugger.
  bool IsStopped() const;

  // Its counters at this moment, and its statistics with these. Neither ever waits.
  std::unique_ptr<CounterTotals> Counters() const;
  userpager_stats Statistics(const CounterTotals& counters) const;
  // What was told of its faults' regions until now, by shard, and what was told since: as far as it
  // is kept.
  std::vector<uint64_t> SamplesTold() const;
  std::vector<FaultSamples::Region> SamplesSince(const std::vector<uint64_t>& told) const;
  userpager_stats Statistics() const { return Statistics(*Counters()); }

  // Asks it to change its memory limit, and waits for the answer as long as it works on that.
  // nullopt: done. Otherwise a line that says why not; the limit is as it was.
  std::optional<std::string> ChangeLimit(uint64_t bytes);

 private:
  struct Candidate;
  struct Opened {
    std::unique_ptr<ManagedProcess> process;
    std::string problem;
  };

  ManagedProcess() = default;
  static std::vector<Candidate> Candidates();
  static Opened Open(const Candidate& candidate);
  static std::unique_ptr<ManagedProcess> FindByNumber(pid_t number, std::string* problem);
  static std::unique_ptr<ManagedProcess> FindByName(const std::string& name,
                                                    std::string* problem);
  bool OpenAnnouncement(const Candidate& candidate, std::string* problem);
  bool MapPage(std::string* problem);
  const StatisticsPage& page() const { return *static_cast<const StatisticsPage*>(memory_); }
  bool TakesRequests() const { return page().limit_is_fixed.load() == 0; }
  std::string NobodyAnswers() const;
  bool WriteRequest(uint64_t number, uint64_t bytes);
  std::optional<std::string> AwaitAnswer(uint64_t request);

  pid_t number_ = 0;
  std::string name_;
  std::string path_;  // of the announcement
  int announcement_file_ = -1;
  Announcement announcement_;
  const void* memory_ = nullptr;
  size_t bytes_ = 0;
  StatisticsHead head_;  // the copy that was checked
};

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_MANAGED_PROCESS_H_
