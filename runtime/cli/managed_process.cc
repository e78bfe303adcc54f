#include "runtime/cli/managed_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "runtime/api/statistics.h"
#include "runtime/platform/process_stat.h"
#include "runtime/platform/published_page.h"

namespace userpager::cli {
namespace {

constexpr int kNeededSeals = F_SEAL_SHRINK | F_SEAL_GROW;

std::string NameOf(pid_t number) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(number) + "/comm"), name);
  return name.empty() ? "?" : name;
}

// "process 123 (sort)"
std::string Title(pid_t number) {
  return "process " + std::to_string(number) + " (" + NameOf(number) + ")";
}

std::optional<pid_t> NumberIn(std::string_view text) {
  pid_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  return whole && number > 0 ? std::optional(number) : std::nullopt;
}

std::vector<std::string> Directories() {
  std::vector<std::string> all = {PublishedPage::kDirectory};
  const char* other = secure_getenv("XDG_RUNTIME_DIR");
  if (other != nullptr && *other == '/') all.emplace_back(other);
  return all;
}

std::string LookAsRoot(pid_t number) {
  return Title(number) + " is another user's, or has changed its rights; ask as root";
}

}  // namespace

struct ManagedProcess::Candidate {
  pid_t number;
  std::string path;
};

// By what the files are called.
std::vector<ManagedProcess::Candidate> ManagedProcess::Candidates() {
  std::vector<Candidate> found;
  for (const std::string& directory : Directories()) {
    PublishedPage::RemoveStale(directory.c_str(), PublishedPage::Thoroughness::kAll);
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      const std::string name = entry.path().filename().string();
      const std::string prefix = PublishedPage::kNamePrefix;
      if (name.compare(0, prefix.size(), prefix) != 0) continue;
      const std::string rest = name.substr(prefix.size());
      const auto number = NumberIn(rest.substr(0, rest.find('-')));
      if (number.has_value()) found.push_back({*number, entry.path().string()});
    }
  }
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return a.number < b.number || (a.number == b.number && a.path < b.path);
  });
  return found;
}

ManagedProcess::Opened ManagedProcess::Open(const Candidate& candidate) {
  Opened opened;
  std::unique_ptr<ManagedProcess> process(new ManagedProcess);
  process->number_ = candidate.number;
  process->name_ = NameOf(candidate.number);
  process->path_ = candidate.path;
  if (process->OpenAnnouncement(candidate, &opened.problem) &&
      process->MapPage(&opened.problem)) {
    opened.process = std::move(process);
  }
  return opened;
}

bool ManagedProcess::OpenAnnouncement(const Candidate& candidate, std::string* problem) {
  const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  announcement_file_ = open(candidate.path.c_str(), O_RDWR | flags);
  if (announcement_file_ < 0) {
    *problem = errno == EACCES || errno == EPERM
                   ? LookAsRoot(number_)
                   : candidate.path + " cannot be opened: " + std::strerror(errno);
    return false;
  }
  struct stat status {};
  if (fstat(announcement_file_, &status) != 0 || !S_ISREG(status.st_mode) ||
      pread(announcement_file_, &announcement_, sizeof announcement_, 0) !=
          static_cast<ssize_t>(sizeof announcement_) ||
      announcement_.magic != Announcement::kMagic || announcement_.process != number_) {
    *problem = candidate.path + " is not, or no longer, userpager's file about process " +
               std::to_string(number_) + "; remove it";
    return false;
  }
  if (announcement_.version != Announcement::kVersion) {
    *problem = Title(number_) + " runs under another version of userpager; use its own tool";
    return false;
  }
  ProcessStat now;
  if (ReadProcessStat(number_, &now) != 0 || now.start_ticks != announcement_.start_ticks) {
    *problem = candidate.path + " is about a process that has ended, or is in another namespace";
    return false;
  }
  return true;
}

bool ManagedProcess::MapPage(std::string* problem) {
  const std::string path = "/proc/" + std::to_string(number_) + "/fd/" +
                           std::to_string(announcement_.page_descriptor);
  struct stat status {};
  // Looked at before it is opened: to open what is somebody's device could have effects.
  if (stat(path.c_str(), &status) != 0) {
    *problem = errno == EACCES || errno == EPERM
                   ? LookAsRoot(number_)
                   : Title(number_) + " has closed its statistics page, or has ended";
    return false;
  }
  const std::string foreign = Title(number_) + " does not have the statistics page that " + path_ +
                              " promises";
  *problem = foreign;
  if (!S_ISREG(status.st_mode) || status.st_dev != announcement_.page_device ||
      status.st_ino != announcement_.page_inode) {
    return false;
  }
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (file < 0) {
    *problem = errno == EACCES || errno == EPERM ? LookAsRoot(number_) : foreign;
    return false;
  }
  bytes_ = static_cast<size_t>(status.st_size);
  // Only what cannot become shorter may be mapped: a touch behind the end would end this process.
  const bool sealed = (fcntl(file, F_GET_SEALS) & kNeededSeals) == kNeededSeals;
  const bool large_enough = bytes_ >= sizeof(StatisticsHead);
  void* got = sealed && large_enough ? mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file, 0)
                                     : MAP_FAILED;
  close(file);
  if (got == MAP_FAILED) return false;
  memory_ = got;
  head_ = page().head;
  if (StatisticsPage::IsReadable(head_, bytes_)) return true;
  *problem = Title(number_) + " runs under another version of userpager; use its own tool";
  return false;
}

ManagedProcess::~ManagedProcess() {
  if (announcement_file_ >= 0) close(announcement_file_);
  if (memory_ != nullptr) munmap(const_cast<void*>(memory_), bytes_);
}

std::unique_ptr<ManagedProcess> ManagedProcess::Find(const std::string& text,
                                                     std::string* problem) {
  const std::optional<pid_t> number = NumberIn(text);
  return number.has_value() ? FindByNumber(*number, problem) : FindByName(text, problem);
}

std::unique_ptr<ManagedProcess> ManagedProcess::FindByNumber(pid_t number, std::string* problem) {
  if (kill(number, 0) != 0 && errno == ESRCH) {
    *problem = "there is no process " + std::to_string(number);
    return nullptr;
  }
  *problem = Title(number) + " does not run under userpager, or with the option stats_page:off";
  for (const Candidate& candidate : Candidates()) {
    if (candidate.number != number) continue;
    Opened opened = Open(candidate);
    if (opened.process != nullptr) return std::move(opened.process);
    *problem = opened.problem;
  }
  return nullptr;
}

std::unique_ptr<ManagedProcess> ManagedProcess::FindByName(const std::string& name,
                                                           std::string* problem) {
  size_t hidden = 0;
  std::vector<std::unique_ptr<ManagedProcess>> all = All(&hidden);
  std::erase_if(all, [&](const auto& process) { return process->name() != name; });
  if (all.size() == 1) return std::move(all[0]);
  if (all.empty()) {
    *problem = "no process named " + name + " runs under userpager" +
               (hidden == 0 ? "" : " (" + std::to_string(hidden) +
                                       " cannot be looked at, as root perhaps)");
    return nullptr;
  }
  *problem = std::to_string(all.size()) + " processes are named " + name + ":";
  for (const auto& process : all) *problem += " " + std::to_string(process->number());
  *problem += "; give the number of one";
  return nullptr;
}

std::vector<std::unique_ptr<ManagedProcess>> ManagedProcess::All(size_t* hidden) {
  std::vector<std::unique_ptr<ManagedProcess>> all;
  *hidden = 0;
  for (const Candidate& candidate : Candidates()) {
    Opened opened = Open(candidate);
    if (opened.process == nullptr) {
      ++*hidden;
    } else if (all.empty() || all.back()->number() != candidate.number) {
      all.push_back(std::move(opened.process));
    }
  }
  return all;
}

bool ManagedProcess::IsAlive() const {
  ProcessStat now;
  return ReadProcessStat(number_, &now) == 0 && now.start_ticks == announcement_.start_ticks &&
         now.state != 'Z' && now.state != 'X';
}

bool ManagedProcess::IsStopped() const {
  ProcessStat now;
  return ReadProcessStat(number_, &now) == 0 && (now.state == 'T' || now.state == 't');
}

std::unique_ptr<CounterTotals> ManagedProcess::Counters() const {
  auto totals = std::make_unique<CounterTotals>();
  AddUpCounters(page(), head_.shards, totals.get());
  return totals;
}

std::vector<uint64_t> ManagedProcess::SamplesTold() const {
  std::vector<uint64_t> told;
  for (uint32_t i = 0; i < head_.shards; ++i) told.push_back(page().shards[i].samples.told());
  return told;
}

std::vector<FaultSamples::Region> ManagedProcess::SamplesSince(
    const std::vector<uint64_t>& told) const {
  std::vector<FaultSamples::Region> regions;
  for (uint32_t i = 0; i < std::min<size_t>(head_.shards, told.size()); ++i) {
    const FaultSamples& samples = page().shards[i].samples;
    const uint64_t now = samples.told();
    const uint64_t kept = std::min<uint64_t>(now - told[i], FaultSamples::kKept);
    for (uint64_t index = now - kept; index != now; ++index) regions.push_back(samples.At(index));
  }
  return regions;
}

userpager_stats ManagedProcess::Statistics(const CounterTotals& counters) const {
  userpager_stats stats = {};
  stats.struct_bytes = sizeof stats;
  FillStatistics(page(), head_, counters, &stats);
  return stats;
}

}  // namespace userpager::cli
