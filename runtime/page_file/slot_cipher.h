// SlotCipher: encrypts pages on their way to the page file and decrypts them on their way back, by
// AES-256 in XTS mode (IEEE 1619) with the slot's number and its file's mark as the tweak.
//
// Key:      made by Init from the kernel's random numbers, kept in Libcrypto's region alone; each
//           shard has a cipher and a key of its own, as a page belongs to one shard for ever.
// Checksum: of the plain text. It stays in memory, so it tells nobody anything, and it shows what
//           is wrong between the page and the page: on the disk, in the cipher, a wrong tweak.
// Does not: hide which slots are in use or that a slot holds what it held before; authenticate
//           (what was changed on the disk is found by the checksum, not by the cipher).
// Locks:    none; its shard's mutex is held, or it is in the one thread of a forked child.
#ifndef USERPAGER_PAGE_FILE_SLOT_CIPHER_H_
#define USERPAGER_PAGE_FILE_SLOT_CIPHER_H_

#include "runtime/base/log_line.h"
#include "runtime/base/types.h"
#include "runtime/page_file/libcrypto.h"

namespace userpager {

// Tells files apart that are encrypted with one key: those of a process and its forked children.
struct FileMark {
  uint64_t made_ns = 0;
  uint32_t process = 0;
};

class SlotCipher {
 public:
  SlotCipher() = default;
  ~SlotCipher() { Wipe(); }
  SlotCipher(const SlotCipher&) = delete;
  SlotCipher& operator=(const SlotCipher&) = delete;

  // Loads what it needs and makes the key. Errors as Libcrypto::Load, with one line in `error`.
  Errno Init(LogLine* error);
  // Whether Init has succeeded.
  bool on() const { return seals_ != nullptr; }

  // `sealed` becomes what the slot must hold for the page to be `page`. Neither allocates.
  void Seal(SlotIndex slot, const void* page, void* sealed, FileMark file = {});
  // The same backwards, in place.
  void Open(SlotIndex slot, void* page, FileMark file = {});

  // Forgets the key.
  void Wipe();

 private:
  Libcrypto::Context* seals_ = nullptr;
  Libcrypto::Context* opens_ = nullptr;
};

}  // namespace userpager

#endif  // USERPAGER_PAGE_FILE_SLOT_CIPHER_H_
