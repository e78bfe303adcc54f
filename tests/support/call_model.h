// CallModel: what a window of address space that one thread has for itself should be after calls of
// the VirtualAlloc family, as plain as can be: the state of each page, and every byte. Each call
// says which error the real one should give, and does to the model what the real one should do.
#ifndef USERPAGER_TESTS_SUPPORT_CALL_MODEL_H_
#define USERPAGER_TESTS_SUPPORT_CALL_MODEL_H_

#include <userpager/virtual_alloc.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace userpager_tests {

struct ModelPage {
  size_t owner = 0;  // the index of its reservation's first page, plus 1; 0: in none
  bool taken = false;  // in the last 64 KiB of a reservation, perhaps behind its end
  bool committed = false;
  bool written = false;     // as GetWriteWatch counts
  bool maybe_zero = false;  // it was reset: its content, or zeros
  bool locked = false;
  DWORD protect = 0;

  bool guarded() const { return (protect & PAGE_GUARD) != 0; }
  bool readable() const { return committed && protect != PAGE_NOACCESS && !guarded(); }
  bool writable() const { return readable() && protect == PAGE_READWRITE; }
};

struct ModelRange {
  size_t begin = 0;
  size_t end = 0;

  friend bool operator==(const ModelRange&, const ModelRange&) = default;
};

class CallModel {
 public:
  CallModel(std::byte* base, size_t pages);

  // The error of the call, 0 for none. Offsets are from the window's base, which is a multiple of
  // 64 KiB; ranges end in the window.
  DWORD Alloc(size_t offset, size_t bytes, DWORD type, DWORD protect);
  DWORD Free(size_t offset, size_t bytes, DWORD type);
  // Sets `old` where the call does.
  DWORD Protect(size_t offset, size_t bytes, DWORD protect, DWORD* old);
  // Not the quota: the caller keeps below it.
  DWORD Lock(size_t offset, size_t bytes);
  DWORD Unlock(size_t offset, size_t bytes);
  // VirtualAlloc2 with MEM_RESERVE_PLACEHOLDER, and with MEM_REPLACE_PLACEHOLDER in `type`.
  DWORD ReservePlaceholder(size_t offset, size_t bytes, DWORD protect);
  DWORD ReplacePlaceholder(size_t offset, size_t bytes, DWORD type, DWORD protect);
  // VirtualFree with MEM_RELEASE and one of the two.
  DWORD PreservePlaceholder(size_t offset, size_t bytes);
  DWORD CoalescePlaceholders(size_t offset, size_t bytes);
  DWORD Watch(size_t offset, size_t bytes, bool reset, std::vector<size_t>* written);
  // What VirtualQuery says; of free pages only that they are.
  MEMORY_BASIC_INFORMATION Query(size_t page) const;

  ModelPage& page(size_t i) { return pages_[i]; }
  // The reservation or placeholder that the page is in; empty: none.
  ModelRange whole(size_t page) const;
  bool is_placeholder(size_t page) const;
  size_t locked_pages() const;
  std::byte* content(size_t page);
  size_t pages() const { return pages_.size(); }

 private:
  struct Reservation {
    size_t pages = 0;
    DWORD protect = 0;
    bool watched = false;
    bool placeholder = false;       // not replaced
    bool from_placeholder = false;  // and may be one again
    bool exact_end = false;         // nothing behind its end is taken
  };

  static ModelRange PagesOf(size_t offset, size_t bytes);
  bool IsInOne(ModelRange range) const;
  // And may have committed pages.
  bool IsUsable(ModelRange range) const;
  bool IsCommitted(ModelRange range) const;
  DWORD Reserve(size_t offset, size_t bytes, DWORD type, DWORD protect);
  DWORD Commit(ModelRange range, DWORD protect);
  void Release(size_t first);
  DWORD Take(ModelRange range, Reservation reservation);
  // Makes the range a reservation of its own, all of whose pages are somebody's already.
  void Own(ModelRange range, Reservation reservation);
  void Decommit(ModelRange range);

  std::byte* const base_;
  std::vector<ModelPage> pages_;
  std::vector<Reservation> reservations_;  // by first page
  std::vector<std::byte> content_;
};

}  // namespace userpager_tests

#endif  // USERPAGER_TESTS_SUPPORT_CALL_MODEL_H_
