// LoopDevice: a block device over a file, which the kernel takes down with its last descriptor,
// also where the test dies. Needs root.
#ifndef USERPAGER_TESTS_SUPPORT_LOOP_DEVICE_H_
#define USERPAGER_TESTS_SUPPORT_LOOP_DEVICE_H_

#include <cstdint>
#include <string>

namespace userpager {

class LoopDevice {
 public:
  enum class Mode { kCached, kDirect };

  // Over the whole of a file that exists.
  explicit LoopDevice(const std::string& backing, Mode mode = Mode::kCached);
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  bool ok() const { return descriptor_ >= 0; }
  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }

 private:
  std::string path_;
  int descriptor_ = -1;
};

// Makes a file of so many bytes, all of them holes.
bool MakeSparseFile(const std::string& path, uint64_t bytes);

// Gives this process a mount namespace of its own: what it mounts from here on nobody else sees,
// and is gone with the process. Before it has threads. "" or why not.
std::string EnterOwnMounts();

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_LOOP_DEVICE_H_
