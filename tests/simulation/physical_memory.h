// PhysicalMemory: the simulated machine's pages. A page is in use while it is mapped somewhere or
// while a device or somebody else holds a reference to it, as the kernel counts them. After a fork
// it is shared, until it is written or pinned; one that is pinned is copied for the child instead.
#ifndef USERPAGER_TESTS_SIMULATION_PHYSICAL_MEMORY_H_
#define USERPAGER_TESTS_SIMULATION_PHYSICAL_MEMORY_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "runtime/base/types.h"

namespace userpager::simulation {

struct alignas(64) PageBytes {
  std::array<uint64_t, kPageBytes / sizeof(uint64_t)> words;
};

// The number of a physical page; 0 stands for none.
using PhysicalPage = uint32_t;

class PhysicalMemory {
 public:
  PhysicalMemory() : pages_(1) {}

  // A mapped page with a copy of `contents`.
  PhysicalPage Map(const void* contents) {
    PhysicalPage page = 0;
    if (free_.empty()) {
      page = static_cast<PhysicalPage>(pages_.size());
      pages_.emplace_back();
      pages_.back().bytes = std::make_unique<PageBytes>();
    } else {
      page = free_.back();
      free_.pop_back();
    }
    pages_[page].mapped = true;
    pages_[page].shared = false;
    std::memcpy(pages_[page].bytes.get(), contents, kPageBytes);
    ++resident_;
    return page;
  }
  void Unmap(PhysicalPage page) {
    pages_[page].mapped = false;
    Release(page);
  }
  // References of the pager's own device, which are charged, and of others, which are not.
  void Pin(PhysicalPage page, bool own) {
    ++(own ? pages_[page].own : pages_[page].foreign);
    pages_[page].shared = false;
  }
  void Unpin(PhysicalPage page, bool own) {
    --(own ? pages_[page].own : pages_[page].foreign);
    Release(page);
  }
  bool IsPinned(PhysicalPage page) const {
    return pages_[page].own + pages_[page].foreign > 0;
  }
  void ShareAll() {
    for (Entry& entry : pages_) entry.shared = entry.mapped && entry.own + entry.foreign == 0;
  }
  bool IsShared(PhysicalPage page) const { return pages_[page].shared; }
  void Unshare(PhysicalPage page) { pages_[page].shared = false; }
  // In a forked child, where nobody holds anything.
  void ForgetPins() {
    for (PhysicalPage page = 1; page < pages_.size(); ++page) {
      Entry& entry = pages_[page];
      if (entry.own + entry.foreign == 0) continue;
      entry.own = entry.foreign = 0;
      Release(page);
    }
  }
  PageBytes& operator[](PhysicalPage page) { return *pages_[page].bytes; }
  // Pages that are mapped or that the pager's device holds.
  uint64_t resident() const { return resident_; }

 private:
  struct Entry {
    std::unique_ptr<PageBytes> bytes;
    bool mapped = false;
    bool counted = true;
    bool shared = false;  // with a child or the parent
    unsigned own = 0;
    unsigned foreign = 0;
  };

  void Release(PhysicalPage page) {
    Entry& entry = pages_[page];
    if (entry.mapped || entry.own > 0) return;
    if (entry.counted) --resident_;
    entry.counted = false;
    if (entry.foreign > 0) return;
    entry.counted = true;
    free_.push_back(page);
  }

  std::vector<Entry> pages_;
  std::vector<PhysicalPage> free_;
  uint64_t resident_ = 0;
};

}  // namespace userpager::simulation

#endif  // USERPAGER_TESTS_SIMULATION_PHYSICAL_MEMORY_H_
