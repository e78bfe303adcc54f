// The metadata arena: memory for the runtime's own structures. It comes straight from mmap, is
// never managed by the pager, never shrinks a structure under its user, and is left out of core
// files. malloc is not an option: under the preload the program's malloc is itself paged.
//
// Small blocks come from per-size free lists over 1 MiB chunks, large ones are mappings of their
// own. Fresh memory reads as zero and takes no physical memory before it is touched; of blocks of
// several pages only the first page keeps any when they are given back.
#ifndef USERPAGER_BASE_ARENA_H_
#define USERPAGER_BASE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace userpager {

// Thread-safe (a leaf lock). All functions return zeroed memory, or nullptr where the kernel has
// none; the caller turns that into an error of its own operation.
class Arena {
 public:
  // `bytes` > 0. The block is aligned to 16 bytes, to 64 above 32 bytes (so that what is looked at
  // together can be kept in one cache line), and to a page above 2 KiB.
  static void* Allocate(size_t bytes);
  // Gives back a block of Allocate with the size that was asked for.
  static void Free(void* block, size_t bytes);

  // From before a fork until after it, in parent and child: no other thread may be inside then.
  static void HoldForFork();
  static void ReleaseAfterFork();

  // Bytes handed out by Allocate and not given back: address space, not physical memory.
  static uint64_t bytes_in_use();
};

// Makes a T in the arena; nullptr where there is no memory.
template <typename T, typename... Args>
T* ArenaNew(Args&&... args) {
  void* block = Arena::Allocate(sizeof(T));
  return block == nullptr ? nullptr : new (block) T(std::forward<Args>(args)...);
}

template <typename T>
void ArenaDelete(T* object) {
  if (object == nullptr) return;
  object->~T();
  Arena::Free(object, sizeof(T));
}

// A fixed array of T in the arena whose pages are only taken when they are touched: reserving room
// for the most that may ever be needed costs address space alone. T's zero bytes are a valid T.
template <typename T>
class ArenaArray {
 public:
  ArenaArray() = default;
  explicit ArenaArray(size_t count)
      : data_(static_cast<T*>(Arena::Allocate(count * sizeof(T)))),
        count_(data_ == nullptr ? 0 : count) {}
  ~ArenaArray() {
    if (data_ != nullptr) Arena::Free(data_, count_ * sizeof(T));
  }
  ArenaArray(ArenaArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  ArenaArray& operator=(ArenaArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }

  bool ok() const { return data_ != nullptr; }
  size_t size() const { return count_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t count_ = 0;
};

// As ArenaArray, for arrays of words that mostly have one: that one stands in the object itself, in
// memory that is looked at anyway. Does not move.
template <typename T>
class ShortArenaArray {
 public:
  ShortArenaArray() = default;
  ShortArenaArray(const ShortArenaArray&) = delete;
  ShortArenaArray& operator=(const ShortArenaArray&) = delete;

  // Gives it `count` zeros in place of what it had. False where there is no memory.
  [[nodiscard]] bool Reset(size_t count) {
    one_ = 0;
    rest_ = count > 1 ? ArenaArray<T>(count) : ArenaArray<T>();
    return count <= 1 || rest_.ok();
  }

  T* data() { return rest_.ok() ? rest_.data() : &one_; }
  const T* data() const { return rest_.ok() ? rest_.data() : &one_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }

 private:
  T one_{};
  ArenaArray<T> rest_;
};

}  // namespace userpager

#endif  // USERPAGER_BASE_ARENA_H_
