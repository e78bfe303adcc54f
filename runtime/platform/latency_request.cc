#include "runtime/platform/latency_request.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/system_call.h"
#include "runtime/platform/descriptors.h"

namespace userpager {

// A file that was just opened asks for nothing.
bool LatencyRequest::Open(const char* device) {
  descriptor_ = Descriptors::Keep(USERPAGER_CALL(kOpen, open(device, O_WRONLY | O_CLOEXEC)));
  return is_open();
}

void LatencyRequest::Close() {
  Descriptors::Close(descriptor_);
  ForgetInChild();
}

void LatencyRequest::ForgetInChild() {
  descriptor_ = -1;
  asked_us_ = kAnyLatency;
}

void LatencyRequest::Ask(int latency_us) {
  if (!is_open() || latency_us == asked_us_) return;
  asked_us_ = latency_us;
  // Without it all is as right, and slower.
  if (write(descriptor_, &latency_us, sizeof latency_us) < 0) Close();
}

}  // namespace userpager
