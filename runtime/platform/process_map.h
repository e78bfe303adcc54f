// ProcessMap: what is mapped in this process, as the kernel says: /proc/self/maps, asked by address
// where the kernel can be (PROCMAP_QUERY, 6.11), else read from its beginning.
#ifndef USERPAGER_PLATFORM_PROCESS_MAP_H_
#define USERPAGER_PLATFORM_PROCESS_MAP_H_

#include <cstdint>
#include <string_view>

#include "runtime/base/types.h"

namespace userpager {

struct ProcessMapping {
  PageRange range;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  // Of the file behind it; an inode of 0 means none.
  uint64_t device = 0;
  uint64_t inode = 0;

  bool HasFile() const { return inode != 0; }
};

// One line of /proc/self/maps, proc(5), without its end. False where it is none.
bool ParseMapping(std::string_view line, ProcessMapping* mapping);

// A look at the map, for one thread. What it says of other threads' work is true for a moment only.
class ProcessMap {
 public:
  ProcessMap() = default;
  ~ProcessMap();
  ProcessMap(const ProcessMap&) = delete;
  ProcessMap& operator=(const ProcessMap&) = delete;

  // An errno of open(2).
  Errno Open();
  // Always reads the text, as on kernels without PROCMAP_QUERY. For tests.
  void UseText() { use_text_ = true; }

  // The mapping that holds the page, or else the next one above it. ENOENT: there is none.
  Errno AtOrAfter(PageIndex page, ProcessMapping* mapping);

 private:
  Errno Ask(PageIndex page, ProcessMapping* mapping);
  Errno ReadText(PageIndex page, ProcessMapping* mapping);

  int descriptor_ = -1;
  bool use_text_ = false;
};

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_PROCESS_MAP_H_
