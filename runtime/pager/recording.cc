#include "runtime/pager/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "runtime/base/clock.h"
#include "runtime/base/system_call.h"
#include "runtime/page_file/checksum.h"
#include "runtime/platform/descriptors.h"
#include "runtime/platform/own_thread.h"

namespace userpager {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

uint64_t UnixNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecondNs + static_cast<uint64_t>(now.tv_nsec);
}

uint32_t Short(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
}

// Puts the process id in the place of each %p.
LogLine NameOf(const char* path) {
  LogLine name;
  std::string_view rest(path);
  for (size_t at = rest.find("%p"); at != rest.npos; at = rest.find("%p")) {
    name << rest.substr(0, at) << getpid();
    rest.remove_prefix(at + 2);
  }
  name << rest;
  return name;
}

// Whether the file may be overwritten: it is empty, or a trace file.
bool IsOurs(int file) {
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  char magic[sizeof kTraceMagic];
  return status.st_size == 0 || (pread(file, magic, sizeof magic, 0) == sizeof magic &&
                                 memcmp(magic, kTraceMagic, sizeof magic) == 0);
}

}  // namespace

Recording::Recording(const FrameLedger& frames, const PageFile& page_file)
    : frames_(frames), page_file_(page_file) {}

Recording::~Recording() {
  Finish();
  for (size_t i = 0; i < rings_.size(); ++i) rings_[i].~TraceRing();
  Descriptors::Close(file_);
}

Errno Recording::Open(const char* path, LogLine* error) {
  LogLine name = NameOf(path);
  *error << "cannot record to " << name.text() << ": ";
  file_ = Descriptors::Keep(USERPAGER_CALL(
      kOpen, open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600)));
  if (file_ < 0) {
    const Errno failed = errno;
    *error << ErrnoText{failed} << "; give the name of a file that can be written";
    return failed;
  }
  if (flock(file_, LOCK_EX | LOCK_NB) != 0) {
    *error << "another process records to it; give each its own file, by %p in the name, which"
              " stands for the process id";
    return EBUSY;
  }
  if (!IsOurs(file_)) {
    *error << "it is no trace file, and would be overwritten; remove it, or give another name";
    return EEXIST;
  }
  if (USERPAGER_CALL(kTruncate, ftruncate(file_, 0)) == 0) return 0;
  const Errno failed = errno;
  *error << ErrnoText{failed};
  return failed;
}

Errno Recording::WriteHeader(unsigned shards) {
  TraceHeader header = {};
  memcpy(header.magic, kTraceMagic, sizeof header.magic);
  header.version = kTraceVersion;
  header.header_bytes = sizeof header;
  header.record_bytes = kTraceRecordBytes;
  header.page_bytes = kPageBytes;
  header.began_ns = NowNanoseconds();
  header.began_unix_ns = UnixNanoseconds();
  header.limit_pages = frames_.limit().value();
  header.file_pages = page_file_.max_usable().value();
  header.process_id = static_cast<uint32_t>(process_);
  header.shards = shards;
  // The last byte stays zero.
  (void)!readlink("/proc/self/exe", header.program, sizeof header.program - 1);
  header.checksum = Crc32c(&header, offsetof(TraceHeader, checksum));
  iovec part = {&header, sizeof header};
  return WriteAll(&part, 1);
}

Errno Recording::MakeRings(unsigned shards) {
  rings_ = ArenaArray<TraceRing>(shards);
  Errno failed = rings_.ok() ? 0 : ENOMEM;
  for (unsigned i = 0; i < shards && failed == 0; ++i) {
    failed = (new (&rings_[i]) TraceRing)->Init(kRingEvents);
  }
  if (failed == 0 && wants_callers_) failed = callers_.Init();
  if (failed == 0 && wants_callers_) failed = modules_.Init();
  return failed;
}

Errno Recording::Start(const char* path, unsigned shards, bool wants_callers, LogLine* error) {
  LogLine refusal;
  if (const Errno failed = Open(path, &refusal); failed != 0) {
    *error << refusal.text();
    return failed;
  }
  process_ = getpid();
  wants_callers_ = wants_callers;
  Errno failed = MakeRings(shards);
  if (failed == 0) failed = WriteHeader(shards);
  if (failed == 0) {
    sem_init(&end_wanted_, 0, 0);
    failed = StartOwnThread(ThreadMain, this, &thread_);
  }
  started_.store(failed == 0);
  if (failed != 0) *error << "cannot record to " << path << ": " << ErrnoText{failed};
  return failed;
}

void Recording::Finish() {
  if (!started_.load() || getpid() != process_ || !started_.exchange(false)) return;
  sem_post(&end_wanted_);
  pthread_join(thread_, nullptr);
  sem_destroy(&end_wanted_);
}

void* Recording::ThreadMain(void* self) {
  static_cast<Recording*>(self)->Run();
  return nullptr;
}

void Recording::Run() {
  prctl(PR_SET_NAME, "userpager-trace");
  int waited = -1;
  while (waited != 0 && !failed_) {
    timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const uint64_t turn_ns = static_cast<uint64_t>(until.tv_nsec) + kTurnNs;
    until.tv_sec += static_cast<time_t>(turn_ns / kSecondNs);
    until.tv_nsec = static_cast<long>(turn_ns % kSecondNs);
    waited = sem_clockwait(&end_wanted_, CLOCK_MONOTONIC, &until);
    Drain();
  }
  uint64_t dropped = 0;
  for (size_t i = 0; i < rings_.size(); ++i) dropped += rings_[i].dropped();
  WriteBlock(TraceBlockKind::kEnd, 0, nullptr, 0, dropped);
}

// What comes while it writes waits for the next turn: the program may be quicker for a while.
void Recording::Drain() {
  for (unsigned shard = 0; shard < rings_.size(); ++shard) {
    TraceRing& ring = rings_[shard];
    for (int part = 0; part < 2; ++part) {
      const auto events = ring.Peek();
      if (events.empty()) break;
      WriteBlock(TraceBlockKind::kEvents, shard, events.data(), events.size_bytes(),
                 ring.dropped());
      ring.Consume(events.size());
    }
  }
  if (wants_callers_) WriteCallers();
  TakeSample();
}

void Recording::AddCallers(PageRange range, const CallStack& stack, uint32_t thread_id) {
  TraceCallers record = {};
  record.time_ns = NowNanoseconds();
  record.page = range.begin.value();
  record.page_count = range.count().value();
  record.thread_id = thread_id;
  record.frame_count = stack.count;
  std::copy_n(stack.frames, stack.count, record.frames);
  callers_.Add(record);
}

// The modules are looked at after the callers were taken: each is of one that was loaded then, or
// has been unloaded since.
void Recording::WriteCallers() {
  const auto callers = callers_.Take();
  if (callers.empty()) return;
  const auto modules = modules_.TakeIfChanged();
  if (!modules.empty()) {
    WriteBlock(TraceBlockKind::kModules, 0, modules.data(), modules.size_bytes(), 0);
  }
  WriteBlock(TraceBlockKind::kCallers, 0, callers.data(), callers.size_bytes(),
             callers_.dropped());
}

// Where nothing changes, one a second.
void Recording::TakeSample() {
  TraceSample sample = {};
  sample.time_ns = NowNanoseconds();
  sample.limit = Short(frames_.limit().value());
  sample.charged = Short(frames_.charged().value());
  sample.mapped = Short(frames_.mapped().value());
  sample.file_used = Short(page_file_.used().value());
  TraceSample as_before = last_sample_;
  as_before.time_ns = sample.time_ns;
  const bool same = memcmp(&as_before, &sample, sizeof sample) == 0;
  if (same && sample.time_ns - last_sample_.time_ns < kSecondNs) return;
  last_sample_ = sample;
  WriteBlock(TraceBlockKind::kSamples, 0, &sample, sizeof sample, 0);
}

void Recording::WriteBlock(TraceBlockKind kind, unsigned shard, const void* records, size_t bytes,
                           uint64_t dropped) {
  if (failed_) return;
  TraceBlock block = {};
  block.magic = kTraceBlockMagic;
  block.kind = kind;
  block.shard = static_cast<uint16_t>(shard);
  block.record_count = static_cast<uint32_t>(bytes / kTraceRecordBytes);
  block.checksum = Crc32c(records, bytes);
  block.number = blocks_++;
  block.dropped = Short(dropped);
  block.head_checksum = Crc32c(&block, offsetof(TraceBlock, head_checksum));
  iovec parts[2] = {{&block, sizeof block}, {const_cast<void*>(records), bytes}};
  if (const Errno error = WriteAll(parts, bytes == 0 ? 1 : 2); error != 0) GiveUp(error);
}

Errno Recording::WriteAll(iovec* parts, int count) {
  off_t at = offset_bytes_;
  while (count > 0) {
    const ssize_t written = pwritev(file_, parts, count, at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    at += written;
    size_t left = static_cast<size_t>(written);
    while (count > 0 && left >= parts->iov_len) {
      left -= parts->iov_len;
      ++parts;
      --count;
    }
    if (count > 0) *parts = {static_cast<char*>(parts->iov_base) + left, parts->iov_len - left};
  }
  offset_bytes_ = at;
  return 0;
}

// The file keeps its whole blocks, and says by its missing end that there was more.
void Recording::GiveUp(Errno error) {
  failed_ = true;
  (void)!ftruncate(file_, offset_bytes_);
  LogLine line;
  line << "the recording ends here, as its file cannot be written: " << ErrnoText{error}
       << "; the program goes on";
  line.Write();
}

}  // namespace userpager
