#include "runtime/page_file/slot_cipher.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "runtime/base/check.h"

namespace userpager {
namespace {

struct Tweak {
  unsigned char bytes[Libcrypto::kTweakBytes] = {};
};

Tweak TweakOf(SlotIndex slot, FileMark file) {
  Tweak tweak;
  const uint32_t number = slot.value();
  memcpy(tweak.bytes, &number, sizeof number);
  memcpy(tweak.bytes + 4, &file.process, sizeof file.process);
  memcpy(tweak.bytes + 8, &file.made_ns, sizeof file.made_ns);
  return tweak;
}

}  // namespace

Errno SlotCipher::Init(LogLine* error) {
  if (const Errno failed = Libcrypto::Load(error); failed != 0) return failed;
  unsigned char key[Libcrypto::kKeyBytes];
  // So few bytes are given whole or not at all.
  if (getrandom(key, sizeof key, 0) != static_cast<ssize_t>(sizeof key)) {
    const Errno reason = errno;
    *error << "cannot encrypt the page file: the kernel gives no random key: "
           << ErrnoText{reason} << "; choose encrypt:off";
    return reason;
  }
  seals_ = Libcrypto::NewContext(key, true);
  opens_ = Libcrypto::NewContext(key, false);
  explicit_bzero(key, sizeof key);
  if (seals_ != nullptr && opens_ != nullptr) return 0;
  Wipe();
  *error << "cannot encrypt the page file: OpenSSL takes no key; choose encrypt:off";
  return ENOMEM;
}

void SlotCipher::Seal(SlotIndex slot, const void* page, void* sealed, FileMark file) {
  const bool done = Libcrypto::Transform(seals_, TweakOf(slot, file).bytes, page, sealed);
  USERPAGER_CHECK(done, "a page could not be encrypted", slot.value());
}

void SlotCipher::Open(SlotIndex slot, void* page, FileMark file) {
  const bool done = Libcrypto::Transform(opens_, TweakOf(slot, file).bytes, page, page);
  USERPAGER_CHECK(done, "a page could not be decrypted", slot.value());
}

void SlotCipher::Wipe() {
  Libcrypto::FreeContext(seals_);
  Libcrypto::FreeContext(opens_);
  seals_ = nullptr;
  opens_ = nullptr;
}

}  // namespace userpager
