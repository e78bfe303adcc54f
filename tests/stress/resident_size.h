// The process's resident size as the kernel counts it, read once or watched all the time.
#ifndef USERPAGER_TESTS_STRESS_RESIDENT_SIZE_H_
#define USERPAGER_TESTS_STRESS_RESIDENT_SIZE_H_

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace userpager::stress {

struct ResidentSize {
  uint64_t now_bytes = 0;   // VmRSS
  uint64_t peak_bytes = 0;  // VmHWM, since the program's start
};

// Reads /proc/self/status; allocates nothing. Ends the program where that cannot be read.
inline ResidentSize ReadResidentSize() {
  char text[4096];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  if (fd >= 0) close(fd);
  text[got < 0 ? 0 : got] = '\0';
  const char* const now = strstr(text, "VmRSS:");
  const char* const peak = strstr(text, "VmHWM:");
  if (now == nullptr || peak == nullptr) {
    std::perror("/proc/self/status has no VmRSS and VmHWM");
    std::exit(1);
  }
  const auto bytes_after = [](const char* label) {
    return std::strtoull(label + strlen("VmRSS:"), nullptr, 10) * 1024;
  };
  return {bytes_after(now), bytes_after(peak)};
}

// A thread that reads the resident size every few milliseconds and keeps the largest.
class ResidentWatch {
 public:
  ResidentWatch() : thread_([this] { Watch(); }) {}
  ~ResidentWatch() { Stop(); }
  ResidentWatch(const ResidentWatch&) = delete;
  ResidentWatch& operator=(const ResidentWatch&) = delete;

  void Stop() {
    stop_.store(true);
    if (thread_.joinable()) thread_.join();
  }
  uint64_t largest_bytes() const { return largest_bytes_.load(); }
  uint64_t readings() const { return readings_.load(); }

 private:
  void Watch() {
    while (!stop_.load()) {
      const uint64_t now = ReadResidentSize().now_bytes;
      if (now > largest_bytes_.load()) largest_bytes_.store(now);
      readings_.fetch_add(1);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> largest_bytes_{0};
  std::atomic<uint64_t> readings_{0};
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace userpager::stress

#endif  // USERPAGER_TESTS_STRESS_RESIDENT_SIZE_H_
