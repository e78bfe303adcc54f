// CollectedHeap: a small generational garbage-collected heap on reserved, committed, watched and
// reset memory, in the way of the .NET collector, but for its card table: which old pages may point
// to young objects is asked of the memory manager (GetWriteWatch), so stores need no barrier.
//
//   young       objects are made here, one behind the other. A young collection copies those that
//               are reachable to the old space, and declares the rest worthless (MEM_RESET): it is
//               not written to the page file when memory is short.
//   old         two reservations with MEM_WRITE_WATCH, committed as they fill up. A full collection
//               copies what is reachable from one to the other and decommits the first.
//
// One thread. Objects move: between two calls that may collect, only roots are known to be right.
#ifndef USERPAGER_SAMPLES_SUPPORT_COLLECTED_HEAP_H_
#define USERPAGER_SAMPLES_SUPPORT_COLLECTED_HEAP_H_

#include <userpager/virtual_alloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

namespace samples {

struct Object {
  uint32_t pointers;  // how many of its words, the first ones, are pointers to objects or nullptr
  uint32_t words;
  Object* forwarded;  // where it is now, while it is being collected

  size_t bytes() const { return sizeof(Object) + words * sizeof(uint64_t); }
  Object** fields() { return reinterpret_cast<Object**>(this + 1); }
  uint64_t* data() { return reinterpret_cast<uint64_t*>(fields() + pointers); }
  size_t data_words() const { return words - pointers; }
};

// Address space that is committed from its beginning on as it is used.
class Space {
 public:
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kCommitBytes = 256 * 1024;

  // `type`: MEM_WRITE_WATCH or 0.
  Space(size_t bytes, DWORD type) : bytes_(bytes), first_objects_(bytes / kPageBytes) {
    base_ = static_cast<char*>(VirtualAlloc(nullptr, bytes, MEM_RESERVE | type, PAGE_READWRITE));
    if (base_ == nullptr) throw std::bad_alloc();
    top_ = base_;
  }
  ~Space() { VirtualFree(base_, 0, MEM_RELEASE); }
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  bool Contains(const Object* object) const {
    const char* at = reinterpret_cast<const char*>(object);
    return at >= base_ && at < top_;
  }
  size_t used_bytes() const { return static_cast<size_t>(top_ - base_); }
  char* base() const { return base_; }
  char* top() const { return top_; }

  // nullptr where there is no room left.
  Object* Take(size_t bytes) {
    if (bytes > bytes_ - used_bytes()) return nullptr;
    while (used_bytes() + bytes > committed_) {
      if (VirtualAlloc(base_ + committed_, kCommitBytes, MEM_COMMIT, PAGE_READWRITE) == nullptr) {
        throw std::bad_alloc();
      }
      committed_ += kCommitBytes;
    }
    Object* object = reinterpret_cast<Object*>(top_);
    const size_t first = (used_bytes() + kPageBytes - 1) / kPageBytes;
    top_ += bytes;
    for (size_t page = first; page * kPageBytes < used_bytes(); ++page) {
      first_objects_[page] = object;
    }
    return object;
  }

  // The object that the page begins in or with.
  Object* FirstObjectOn(const char* page) const {
    return first_objects_[static_cast<size_t>(page - base_) / kPageBytes];
  }

  // Empties it. The memory stays; what is in it need not be kept.
  void Forget() {
    top_ = base_;
    if (committed_ == 0) return;
    if (VirtualAlloc(base_, committed_, MEM_RESET, PAGE_READWRITE) == nullptr) {
      throw std::bad_alloc();
    }
  }
  // Empties it, and gives its memory back.
  void GiveBack() {
    top_ = base_;
    VirtualFree(base_, 0, MEM_DECOMMIT);
    committed_ = 0;
  }

 private:
  const size_t bytes_;
  char* base_ = nullptr;
  char* top_ = nullptr;
  size_t committed_ = 0;
  std::vector<Object*> first_objects_;  // of each page
};

class CollectedHeap {
 public:
  struct Counts {
    uint64_t young_collections = 0;
    uint64_t full_collections = 0;
    uint64_t old_pages = 0;      // in use at young collections, all together
    uint64_t written_pages = 0;  // of them, those that had to be looked at
    uint64_t made_bytes = 0;
    uint64_t moved_bytes = 0;
  };

  CollectedHeap(size_t young_bytes, size_t old_bytes, size_t roots)
      : young_bytes_(young_bytes),
        young_(young_bytes, 0),
        spaces_{{old_bytes, MEM_WRITE_WATCH}, {old_bytes, MEM_WRITE_WATCH}},
        roots_(roots),
        full_at_bytes_(4 * young_bytes) {}

  Object*& root(size_t i) { return roots_[i]; }
  const Space& old() const { return spaces_[old_]; }
  const Counts& counts() const { return counts_; }

  bool HasRoom(size_t words) const {
    return young_.used_bytes() + sizeof(Object) + words * sizeof(uint64_t) <= young_bytes_;
  }
  // Makes an object of zeros; there is room. Does not collect.
  Object* Make(uint32_t pointers, uint32_t words) {
    const size_t bytes = sizeof(Object) + words * sizeof(uint64_t);
    Object* object = young_.Take(bytes);
    if (object == nullptr) throw std::bad_alloc();
    // The memory may have been used before.
    std::memset(static_cast<void*>(object), 0, bytes);
    object->pointers = pointers;
    object->words = words;
    counts_.made_bytes += bytes;
    return object;
  }

  // Old objects that were written since the last collection are roots too: any of their pointers
  // may be to a young object. No other old object can have one.
  void CollectYoung() {
    FindWrittenPages();
    Object* const survivors = reinterpret_cast<Object*>(target().top());
    for (Object*& root : roots_) Follow(&root, young_);
    for (void* page : written_) FollowPage(static_cast<char*>(page));
    FollowAll(survivors, young_);
    ResetWatch();
    young_.Forget();
    ++counts_.young_collections;
  }

  bool WantsFullCollection() const { return old().used_bytes() > full_at_bytes_; }
  // Nothing is young.
  void CollectAll() {
    Space& from = target();
    old_ = 1 - old_;
    Object* const first = reinterpret_cast<Object*>(target().base());
    for (Object*& root : roots_) Follow(&root, from);
    FollowAll(first, from);
    from.GiveBack();
    ResetWatch();
    full_at_bytes_ = std::max(full_at_bytes_, 2 * old().used_bytes());
    ++counts_.full_collections;
  }

  // Calls visit(object) with all of the old space in address order, reachable or not.
  template <typename Visit>
  void ForEachOld(Visit visit) {
    for (char* at = old().base(); at < old().top();) {
      Object* object = reinterpret_cast<Object*>(at);
      at += object->bytes();
      visit(object);
    }
  }

 private:
  static constexpr size_t kPagesAtATime = 512;

  Space& target() { return spaces_[old_]; }

  // Has the object that `place` points to moved, if it is in `from`, and corrects `place`.
  void Follow(Object** place, const Space& from) {
    Object* object = *place;
    if (object == nullptr || !from.Contains(object)) return;
    if (object->forwarded == nullptr) {
      Object* moved = target().Take(object->bytes());
      if (moved == nullptr) throw std::bad_alloc();
      std::memcpy(static_cast<void*>(moved), object, object->bytes());
      object->forwarded = moved;
      counts_.moved_bytes += moved->bytes();
    }
    *place = object->forwarded;
  }
  // What has been moved is followed in turn, and so on (Cheney's way, without a stack).
  void FollowAll(Object* first, const Space& from) {
    char* at = reinterpret_cast<char*>(first);
    while (at < target().top()) {
      Object* object = reinterpret_cast<Object*>(at);
      for (uint32_t i = 0; i < object->pointers; ++i) Follow(&object->fields()[i], from);
      at += object->bytes();
    }
  }
  void FollowPage(char* page) {
    char* const page_end = page + Space::kPageBytes;
    char* const end = std::min(page_end, old_top_before_);
    for (char* at = reinterpret_cast<char*>(old().FirstObjectOn(page)); at < end;) {
      Object* object = reinterpret_cast<Object*>(at);
      for (uint32_t i = 0; i < object->pointers; ++i) {
        char* const field = reinterpret_cast<char*>(&object->fields()[i]);
        if (field >= page && field < page_end) Follow(&object->fields()[i], young_);
      }
      at += object->bytes();
    }
  }

  void FindWrittenPages() {
    written_.clear();
    old_top_before_ = old().top();
    const size_t pages = (old().used_bytes() + Space::kPageBytes - 1) / Space::kPageBytes;
    char* at = old().base();
    char* const end = at + pages * Space::kPageBytes;
    ULONG_PTR count = kPagesAtATime;
    while (at < end && count == kPagesAtATime) {
      void* found[kPagesAtATime];
      DWORD granularity = 0;
      if (GetWriteWatch(0, at, static_cast<size_t>(end - at), found, &count, &granularity) != 0) {
        throw std::bad_alloc();
      }
      written_.insert(written_.end(), found, found + count);
      if (count > 0) at = static_cast<char*>(found[count - 1]) + granularity;
    }
    counts_.old_pages += pages;
    counts_.written_pages += written_.size();
  }
  // What the collector itself has written points to nothing young.
  void ResetWatch() {
    if (old().used_bytes() == 0) return;
    if (ResetWriteWatch(old().base(), old().used_bytes()) != 0) throw std::bad_alloc();
  }

  const size_t young_bytes_;
  Space young_;
  Space spaces_[2];
  unsigned old_ = 0;  // which of them objects are in
  std::vector<Object*> roots_;
  std::vector<void*> written_;
  char* old_top_before_ = nullptr;
  size_t full_at_bytes_;
  Counts counts_;
};

}  // namespace samples

#endif  // USERPAGER_SAMPLES_SUPPORT_COLLECTED_HEAP_H_
