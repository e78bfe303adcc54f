// Constants and structures of the kernel's interface that Debian 12's headers (6.1) do not have
// yet. From include/uapi/linux/userfaultfd.h and include/uapi/asm-generic/mman-common.h of
// Linux 6.18. Whether the running kernel knows them is found out at run time (features.h), never
// here.
#ifndef USERPAGER_PLATFORM_KERNEL_ABI_H_
#define USERPAGER_PLATFORM_KERNEL_ABI_H_

#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>

namespace userpager::kernel_abi {

inline constexpr uint64_t kFeatureWriteProtect = 1u << 0;  // PAGEFAULT_FLAG_WP
inline constexpr uint64_t kFeatureSignal = 1u << 7;  // UFFD_FEATURE_SIGBUS
inline constexpr uint64_t kFeatureThreadId = 1u << 8;
inline constexpr uint64_t kFeatureExactAddress = 1u << 11;
inline constexpr uint64_t kFeaturePoison = 1u << 14;
inline constexpr uint64_t kFeatureMove = 1u << 16;

// UFFDIO_MOVE (6.8): moves present pages of this process from one place to another.
struct UffdioMove {
  uint64_t dst;
  uint64_t src;
  uint64_t len;
  uint64_t mode;
  int64_t move;  // out: bytes moved, or -errno
};
inline constexpr uint64_t kMoveDontWake = 1u << 0;
inline constexpr unsigned long kUffdioMove = _IOWR(UFFDIO, 0x05, UffdioMove);

// UFFDIO_POISON (6.6): accesses to absent pages of the range raise SIGBUS.
struct UffdioPoison {
  uffdio_range range;
  uint64_t mode;
  int64_t updated;  // out: bytes, or -errno
};
inline constexpr uint64_t kPoisonDontWake = 1u << 0;
inline constexpr unsigned long kUffdioPoison = _IOWR(UFFDIO, 0x08, UffdioPoison);

// madvise(2), 6.13: any access to the pages raises SIGSEGV; their contents are discarded.
inline constexpr int kMadvGuardInstall = 102;
inline constexpr int kMadvGuardRemove = 103;

// madvise(2), 6.1: puts huge pages in the place of small ones, now.
inline constexpr int kMadvCollapse = 25;

// madvise(2), 5.18: MADV_DONTNEED for pages that are locked by mlock.
inline constexpr int kMadvDontNeedLocked = 24;

// ioctl of /proc/<pid>/pagemap (6.7, include/uapi/linux/fs.h): the pages of a range that are so and
// so.
struct PageRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
struct PagemapScan {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;  // out: where it stopped
  uint64_t vec;       // of PageRegion
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
inline constexpr uint64_t kPageIsPresent = 1u << 3;
inline constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScan);

// ioctl of /proc/<pid>/maps (6.11, include/uapi/linux/fs.h): the mapping that holds an address, or
// the next one.
struct ProcmapQuery {
  uint64_t size;
  uint64_t query_flags;
  uint64_t query_addr;
  uint64_t vma_start;
  uint64_t vma_end;
  uint64_t vma_flags;
  uint64_t vma_page_size;
  uint64_t vma_offset;
  uint64_t inode;
  uint32_t dev_major;
  uint32_t dev_minor;
  uint32_t vma_name_size;
  uint32_t build_id_size;
  uint64_t vma_name_addr;
  uint64_t build_id_addr;
};
inline constexpr uint64_t kProcmapReadable = 1u << 0;
inline constexpr uint64_t kProcmapWritable = 1u << 1;
inline constexpr uint64_t kProcmapExecutable = 1u << 2;
inline constexpr uint64_t kProcmapShared = 1u << 3;
inline constexpr uint64_t kProcmapCoveringOrNext = 1u << 4;
inline constexpr unsigned long kProcmapQuery = _IOWR('f', 17, ProcmapQuery);

// ioctl of /dev/userfaultfd (6.1).
inline constexpr unsigned long kUserfaultfdNew = _IO(0xAA, 0x00);

// userfaultfd(2): answers faults of user mode alone (5.11); needs no right.
inline constexpr int kUserModeOnly = 1;

}  // namespace userpager::kernel_abi

#endif  // USERPAGER_PLATFORM_KERNEL_ABI_H_
