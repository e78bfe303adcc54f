// LatencyRequest: asks the kernel to let no CPU of the machine halt (Linux,
// Documentation/power/pm_qos_interface.rst, /dev/cpu_dma_latency). An idle CPU then polls in the
// kernel, in no address space: waking it takes no interrupt, and unmapping pages does not have to
// interrupt it, as it would a thread of this process that polls.
//
// The request is the open file's: it ends with the process, however that ends. It concerns the
// whole machine, so it is for small ones and for short times, and mostly root's to make.
// One thread at a time.
#ifndef USERPAGER_PLATFORM_LATENCY_REQUEST_H_
#define USERPAGER_PLATFORM_LATENCY_REQUEST_H_

namespace userpager {

class LatencyRequest {
 public:
  static constexpr const char* kDevice = "/dev/cpu_dma_latency";

  LatencyRequest() = default;
  ~LatencyRequest() { Close(); }
  LatencyRequest(const LatencyRequest&) = delete;
  LatencyRequest& operator=(const LatencyRequest&) = delete;

  // Whether requests can be made. None is made yet.
  bool Open(const char* device);
  bool is_open() const { return descriptor_ >= 0; }
  void Make() { Ask(kNoLatency); }
  void Lift() { Ask(kAnyLatency); }
  void Close();
  // In a forked child, where the file is closed, or about to be.
  void ForgetInChild();

 private:
  static constexpr int kNoLatency = 0;               // microseconds
  static constexpr int kAnyLatency = 2'000'000'000;  // what the kernel takes for no request

  void Ask(int latency_us);

  int descriptor_ = -1;
  int asked_us_ = kAnyLatency;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_LATENCY_REQUEST_H_
