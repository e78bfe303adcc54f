// The C++ layer over <userpager/virtual_alloc.h>: memory that may be larger than the memory limit,
// for objects and standard containers.
//
// Cast:    region          owns one reservation: reserve, commit, decommit, protect
//          memory_resource a std::pmr::memory_resource whose blocks are managed memory
//          allocator<T>    a stateless allocator for standard containers; all of them share
//                          process_resource(), one memory_resource for the process
// Start:   the first use starts the pager with its defaults or USERPAGER_CONF, unless
//          userpager_start() of <userpager/userpager.h> was called before. Where that start fails,
//          userpager_error_message() in the same thread says why.
// Errors:  region reports them by its results, with the reason in GetLastError(); memory_resource
//          and allocator throw std::bad_alloc, as containers expect. Objects in managed memory
//          behave as elsewhere: a page that is out is read back by the access that needs it.
// Does not: live on in a child made by fork(), which has none of this memory.
//
// Header only; C++20 or later, with exceptions. Link with libuserpager.
#ifndef USERPAGER_MEMORY_HPP_
#define USERPAGER_MEMORY_HPP_

#include <userpager/virtual_alloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <mutex>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace userpager {

// One reservation of address space and the pages committed in it. Owning and move-only: the
// destructor releases the reservation with all contents.
//
// All offsets and sizes are bytes from the start of the region; the operations act on every page of
// 4 KiB that holds a byte of the given range, which must lie inside the region and not be empty.
//
// Thread safety: of the object, as of any value (const members together, others alone); of the
// memory, as VirtualAlloc's: different threads may commit and use different parts of one region.
// commit, decommit and protect change no member and may run in several threads at once.
class region {
 public:
  // An empty region: no memory, false as a condition.
  region() noexcept = default;
  ~region() { release(); }

  region(region&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  region& operator=(region&& other) noexcept {
    region taken(std::move(other));
    swap(taken);
    return *this;
  }
  region(const region&) = delete;
  region& operator=(const region&) = delete;

  // Reserves address space for `size_bytes` (rounded up to 4 KiB), aligned to 64 KiB, with nothing
  // committed: touching it raises SIGSEGV. It takes neither memory nor commit charge.
  //
  // Returns an empty region where that fails: ERROR_INVALID_PARAMETER (0 or absurdly many bytes),
  // ERROR_NOT_ENOUGH_MEMORY (no address space), ERROR_NO_SYSTEM_RESOURCES (the pager could not be
  // started).
  [[nodiscard]] static region reserve(std::size_t size_bytes) noexcept {
    return region(size_bytes, MEM_RESERVE);
  }

  // As reserve, with all pages committed, readable and writable, reading as zero.
  //
  // Errors: as reserve, and ERROR_COMMITMENT_LIMIT (memory and page file cannot hold it).
  [[nodiscard]] static region allocate(std::size_t size_bytes) noexcept {
    return region(size_bytes, MEM_RESERVE | MEM_COMMIT);
  }

  // Makes the pages of the range usable with `protection` (a PAGE_ constant). Pages that were
  // committed keep their contents and take the new protection; the others read as zero.
  //
  // Returns whether it was done; if not, nothing has changed: ERROR_INVALID_PARAMETER (range or
  // protection), ERROR_COMMITMENT_LIMIT, ERROR_NOT_ENOUGH_MEMORY (the kernel's limit of mappings).
  [[nodiscard]] bool commit(std::size_t offset_bytes, std::size_t count_bytes,
                            DWORD protection = PAGE_READWRITE) noexcept {
    return holds(offset_bytes, count_bytes) &&
           VirtualAlloc(data_ + offset_bytes, count_bytes, MEM_COMMIT, protection) != nullptr;
  }

  // Gives the contents of the range's pages away, with their memory, page-file space and commit
  // charge. Touching them raises SIGSEGV until they are committed again. Pages of the range that
  // are not committed are no error.
  //
  // Returns whether it was done: ERROR_INVALID_PARAMETER (range).
  bool decommit(std::size_t offset_bytes, std::size_t count_bytes) noexcept {
    return holds(offset_bytes, count_bytes) &&
           VirtualFree(data_ + offset_bytes, count_bytes, MEM_DECOMMIT) != FALSE;
  }

  // Changes the protection (a PAGE_ constant) of the range's pages, which are all committed.
  //
  // Returns whether it was done; if not, nothing has changed: ERROR_INVALID_PARAMETER (range or
  // protection), ERROR_INVALID_ADDRESS (not all committed), ERROR_NOT_ENOUGH_MEMORY (the kernel's
  // limit of mappings).
  [[nodiscard]] bool protect(std::size_t offset_bytes, std::size_t count_bytes,
                             DWORD protection) noexcept {
    DWORD old_protection = 0;
    return holds(offset_bytes, count_bytes) &&
           VirtualProtect(data_ + offset_bytes, count_bytes, protection, &old_protection) != FALSE;
  }

  // Ends the reservation now; the region is then empty. Does nothing to an empty region.
  void release() noexcept {
    if (data_ == nullptr) return;
    VirtualFree(data_, 0, MEM_RELEASE);
    data_ = nullptr;
    size_bytes_ = 0;
  }

  // The first byte, nullptr for an empty region. What may be touched is what is committed.
  std::byte* data() const noexcept { return data_; }
  // The reserved size, a multiple of 4 KiB; 0 for an empty region.
  std::size_t size_bytes() const noexcept { return size_bytes_; }
  // The whole reservation, committed or not.
  std::span<std::byte> span() const noexcept { return {data_, size_bytes_}; }
  // Whether there is a reservation.
  explicit operator bool() const noexcept { return data_ != nullptr; }

  void swap(region& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
  }
  friend void swap(region& a, region& b) noexcept { a.swap(b); }

 private:
  static constexpr std::size_t kPageBytes = 4096;

  region(std::size_t size_bytes, DWORD type) noexcept
      : data_(static_cast<std::byte*>(VirtualAlloc(nullptr, size_bytes, type, PAGE_READWRITE))) {
    if (data_ == nullptr) return;
    size_bytes_ = (size_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  }

  // VirtualAlloc and VirtualFree give a size of 0 and a range beyond the reservation meanings (or
  // errors) of their own, so a region refuses both itself.
  bool holds(std::size_t offset_bytes, std::size_t count_bytes) const noexcept {
    if (count_bytes != 0 && offset_bytes < size_bytes_ &&
        count_bytes <= size_bytes_ - offset_bytes) {
      return true;
    }
    SetLastError(ERROR_INVALID_PARAMETER);
    return false;
  }

  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

namespace internal {

// VirtualAlloc's allocation granularity.
inline constexpr std::size_t kGranularityBytes = 65536;

// Committed memory at a multiple of `alignment`, with a reservation of its own that
// VirtualFree(pointer, 0, MEM_RELEASE) ends. Throws std::bad_alloc.
inline void* map_block(std::size_t bytes, std::size_t alignment) {
  constexpr DWORD kType = MEM_RESERVE | MEM_COMMIT;
  if (alignment <= kGranularityBytes) {
    void* block = VirtualAlloc(nullptr, bytes, kType, PAGE_READWRITE);
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }
  // A reservation starts where VirtualAlloc was told to, so room is looked for, let go and taken
  // again at the aligned address. Another thread may take it meanwhile: then once more.
  constexpr int kAttempts = 16;
  if (bytes > std::numeric_limits<std::size_t>::max() - alignment) throw std::bad_alloc();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    void* room = VirtualAlloc(nullptr, bytes + alignment, MEM_RESERVE, PAGE_READWRITE);
    if (room == nullptr) break;
    VirtualFree(room, 0, MEM_RELEASE);
    const std::uintptr_t mask = alignment - 1;
    const std::uintptr_t aligned = (reinterpret_cast<std::uintptr_t>(room) + mask) & ~mask;
    void* block = VirtualAlloc(reinterpret_cast<void*>(aligned), bytes, kType, PAGE_READWRITE);
    if (block != nullptr) return block;
    if (GetLastError() != ERROR_INVALID_ADDRESS) break;
  }
  throw std::bad_alloc();
}

// Where the pools take their chunks from. A chunk of 64 KiB or more has a reservation of its own;
// smaller ones, which are a pool's first, are cut one after the other from a large reservation that
// is committed as they need it. The pools give chunks back only when they end, and so does this.
// Thread-safe.
class chunk_source final : public std::pmr::memory_resource {
 private:
  static constexpr std::size_t kReservedBytes = std::size_t{16} << 20;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (is_large(bytes, alignment)) return map_block(bytes, alignment);
    const std::lock_guard<std::mutex> guard(mutex_);
    std::size_t offset = (used_bytes_ + alignment - 1) & ~(alignment - 1);
    if (regions_.empty() || bytes > kReservedBytes - offset) {
      add_region();
      offset = 0;
    }
    commit_up_to(offset + bytes);
    used_bytes_ = offset + bytes;
    return regions_.back().data() + offset;
  }

  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    if (is_large(bytes, alignment)) VirtualFree(block, 0, MEM_RELEASE);
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  static bool is_large(std::size_t bytes, std::size_t alignment) {
    return bytes >= kGranularityBytes || alignment > kGranularityBytes;
  }

  void add_region() {
    region fresh = region::reserve(kReservedBytes);
    if (!fresh) throw std::bad_alloc();
    regions_.push_back(std::move(fresh));
    used_bytes_ = 0;
    committed_bytes_ = 0;
  }

  void commit_up_to(std::size_t end_bytes) {
    if (end_bytes <= committed_bytes_) return;
    const std::size_t wanted =
        (end_bytes + kGranularityBytes - 1) / kGranularityBytes * kGranularityBytes;
    if (!regions_.back().commit(committed_bytes_, wanted - committed_bytes_)) {
      throw std::bad_alloc();
    }
    committed_bytes_ = wanted;
  }

  std::mutex mutex_;             // guards all that follows
  std::vector<region> regions_;  // the last one is being filled
  std::size_t used_bytes_ = 0;   // of the last region
  std::size_t committed_bytes_ = 0;
};

}  // namespace internal

// A std::pmr::memory_resource on managed memory, for std::pmr containers:
//
//   userpager::memory_resource managed;
//   std::pmr::vector<int> numbers(&managed);
//
// A block of more than 64 KiB has a reservation of its own, which ends, with its memory, page-file
// space and commit charge, when the block is deallocated. Smaller blocks come from two of the
// standard library's pools, which take chunks of at most about 4 MiB and keep them for later blocks
// until the resource is destroyed. Destroying it gives all memory of the pools back, blocks that
// were not deallocated included; large blocks must have been deallocated.
//
// allocate() throws std::bad_alloc where memory and page file cannot hold the block (or, for a
// small block, the next chunk), where there is no address space, and where the pager could not be
// started; the blocks handed out before stay good. The constructor may throw it too. Any alignment
// that is a power of two is honoured. Two resources are equal if they are the same object.
//
// Thread-safe, except construction and destruction.
class memory_resource final : public std::pmr::memory_resource {
 public:
  memory_resource() : small_(kSmallPool, &source_), medium_(kMediumPool, &source_) {}
  memory_resource(const memory_resource&) = delete;
  memory_resource& operator=(const memory_resource&) = delete;

 private:
  static constexpr std::size_t kSmallBytes = 1024;
  static constexpr std::size_t kMediumBytes = internal::kGranularityBytes;
  // {most blocks a chunk, largest block}: either pool's largest chunk is 4 MiB and its records.
  static constexpr std::pmr::pool_options kSmallPool{4096, kSmallBytes};
  static constexpr std::pmr::pool_options kMediumPool{64, kMediumBytes};

  // The size under which a block of at most kMediumBytes is taken and given back. The pools of
  // libstdc++ 12 look at the larger of size and alignment alone and put 100 bytes that are to be
  // aligned to 64 into a block of 112; sizes that are a multiple of the alignment lie aligned.
  static std::size_t pool_bytes(std::size_t bytes, std::size_t alignment) noexcept {
    return (std::max<std::size_t>(bytes, 1) + alignment - 1) & ~(alignment - 1);
  }

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes > kMediumBytes) return internal::map_block(bytes, alignment);
    const std::size_t block_bytes = pool_bytes(bytes, alignment);
    if (block_bytes <= kSmallBytes) return small_.allocate(block_bytes, alignment);
    if (block_bytes <= kMediumBytes) return medium_.allocate(block_bytes, alignment);
    return internal::map_block(block_bytes, alignment);
  }

  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    const std::size_t block_bytes =
        bytes > kMediumBytes ? bytes : pool_bytes(bytes, alignment);
    if (block_bytes <= kSmallBytes) {
      small_.deallocate(block, block_bytes, alignment);
    } else if (block_bytes <= kMediumBytes) {
      medium_.deallocate(block, block_bytes, alignment);
    } else {
      VirtualFree(block, 0, MEM_RELEASE);
    }
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  internal::chunk_source source_;  // outlives the pools
  std::pmr::synchronized_pool_resource small_;
  std::pmr::synchronized_pool_resource medium_;
};

// The memory_resource that every allocator<T> uses. Made at the first call and never destroyed, so
// that containers with static storage may use it to the very end of the process. Thread-safe;
// throws std::bad_alloc where it cannot be made, and a later call tries again.
inline memory_resource& process_resource() {
  alignas(memory_resource) static std::byte storage[sizeof(memory_resource)];
  static memory_resource* const resource = new (storage) memory_resource;
  return *resource;
}

// An allocator for standard containers on managed memory:
//
//   std::vector<int, userpager::allocator<int>> numbers;
//
// Stateless: all allocators are equal, so containers swap and move without copying elements.
// Thread-safe. T may have any alignment.
template <typename T>
class allocator {
 public:
  using value_type = T;

  allocator() noexcept = default;
  template <typename U>
  allocator(const allocator<U>&) noexcept {}  // NOLINT: containers rebind by conversion

  // Room for `count` objects of T, not constructed. Throws std::bad_array_new_length where their
  // size cannot be said in bytes, std::bad_alloc as memory_resource does.
  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) {
      throw std::bad_array_new_length();
    }
    return static_cast<T*>(process_resource().allocate(count * sizeof(T), alignof(T)));
  }

  // Gives back a block of allocate(count).
  void deallocate(T* block, std::size_t count) noexcept {
    process_resource().deallocate(block, count * sizeof(T), alignof(T));
  }

  template <typename U>
  friend bool operator==(const allocator&, const allocator<U>&) noexcept {
    return true;
  }
};

}  // namespace userpager

#endif  // USERPAGER_MEMORY_HPP_
