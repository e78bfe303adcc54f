#include "runtime/api/foreign_memory.h"

#include <errno.h>

#include <algorithm>

#include "runtime/platform/process_map.h"

namespace userpager {
namespace {

// Parts of a file on either side of a page that are looked at: a library has some six.
constexpr unsigned kMostParts = 256;

bool IsSameFile(const ProcessMapping& a, const ProcessMapping& b) {
  return a.HasFile() && a.inode == b.inode && a.device == b.device && a.shared == b.shared;
}

bool IsSameAccess(const ProcessMapping& a, const ProcessMapping& b) {
  return a.readable == b.readable && a.writable == b.writable && a.executable == b.executable;
}

// The parts of one file that lie side by side around a page.
struct FileParts {
  PageIndex begin;    // of the lowest
  PageIndex run_end;  // how far from the page's own part on they may be accessed alike
  bool executable;    // any of them
};

Errno FindParts(ProcessMap& map, const ProcessMapping& own, FileParts* parts) {
  *parts = {own.range.begin, own.range.end, own.executable};
  if (!own.HasFile()) return 0;
  ProcessMapping other;
  for (unsigned i = 0; i < kMostParts && parts->begin > PageIndex(0); ++i) {
    const Errno error = map.AtOrAfter(parts->begin - PageCount(1), &other);
    if (error != 0 && error != ENOENT) return error;
    if (error != 0 || other.range.end != parts->begin || !IsSameFile(own, other)) break;
    parts->begin = other.range.begin;
    parts->executable |= other.executable;
  }
  bool alike = true;
  PageIndex end = own.range.end;
  for (unsigned i = 0; i < kMostParts; ++i) {
    const Errno error = map.AtOrAfter(end, &other);
    if (error != 0 && error != ENOENT) return error;
    if (error != 0 || other.range.begin != end || !IsSameFile(own, other)) break;
    end = other.range.end;
    parts->executable |= other.executable;
    alike = alike && IsSameAccess(own, other);
    if (alike) parts->run_end = end;
  }
  return 0;
}

DWORD ProtectOf(const ProcessMapping& mapping, DWORD type) {
  const bool copies = type == MEM_MAPPED && !mapping.shared;
  if (mapping.writable) {
    if (mapping.executable) return copies ? PAGE_EXECUTE_WRITECOPY : PAGE_EXECUTE_READWRITE;
    return copies ? PAGE_WRITECOPY : PAGE_READWRITE;
  }
  if (mapping.executable) return mapping.readable ? PAGE_EXECUTE_READ : PAGE_EXECUTE;
  return mapping.readable ? PAGE_READONLY : PAGE_NOACCESS;
}

Errno DescribeMapping(ProcessMap& map, const ProcessMapping& own, PageIndex page, PageIndex limit,
                      MEMORY_BASIC_INFORMATION* information) {
  FileParts parts;
  if (const Errno error = FindParts(map, own, &parts); error != 0) return error;
  information->Type = MEM_PRIVATE;
  if (own.HasFile() || own.shared) {
    information->Type = parts.executable && !own.shared ? MEM_IMAGE : MEM_MAPPED;
  }
  information->BaseAddress = PointerTo(page);
  information->AllocationBase = PointerTo(parts.begin);
  information->RegionSize = BytesOf(std::min(parts.run_end, limit) - page);
  information->State = MEM_COMMIT;
  information->Protect = ProtectOf(own, information->Type);
  information->AllocationProtect =
      information->Type == MEM_IMAGE ? PAGE_EXECUTE_WRITECOPY : information->Protect;
  return 0;
}

void DescribeFree(PageIndex page, PageIndex end, MEMORY_BASIC_INFORMATION* information) {
  information->BaseAddress = PointerTo(page);
  information->RegionSize = BytesOf(end - page);
  information->State = MEM_FREE;
  information->Protect = PAGE_NOACCESS;
}

}  // namespace

Errno DescribeForeign(PageIndex page, const Gap& gap, MEMORY_BASIC_INFORMATION* information) {
  *information = {};
  // The tail is mapped for the runtime alone.
  const PageIndex begin = std::max(page, gap.tail_end);
  PageIndex free_end = gap.limit;
  if (begin < gap.limit) {
    ProcessMap map;
    if (const Errno error = map.Open(); error != 0) return error;
    ProcessMapping next;
    const Errno error = map.AtOrAfter(begin, &next);
    if (error != 0 && error != ENOENT) return error;
    if (error == 0 && next.range.Contains(page) && page == begin) {
      return DescribeMapping(map, next, page, gap.limit, information);
    }
    if (error == 0) free_end = std::clamp(next.range.begin, begin, gap.limit);
  }
  DescribeFree(page, free_end, information);
  return 0;
}

}  // namespace userpager
