#include "runtime/page_file/slot_cipher.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/child_process.h"

namespace userpager {
namespace {

using Page = std::vector<unsigned char>;

Page Counting() {
  Page page(kPageBytes);
  for (size_t i = 0; i < page.size(); ++i) page[i] = static_cast<unsigned char>(i);
  return page;
}

// Two hexadecimal digits a byte.
Page FromHex(const std::string& digits) {
  Page bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(static_cast<unsigned char>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// The line of /proc/self/smaps with the flags of the mapping that has the address.
std::string FlagsOf(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  while (std::getline(smaps, line)) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<unsigned long>(address);
      inside = at >= begin && at < end;
    }
    if (inside && line.rfind("VmFlags:", 0) == 0) return line + " ";
  }
  return "";
}

class SlotCipherTest : public testing::Test {
 protected:
  void SetUp() override {
    LogLine error;
    ASSERT_EQ(cipher_.Init(&error), 0) << error.c_str();
  }
  Page Sealed(SlotIndex slot, const Page& page) {
    Page sealed(kPageBytes);
    cipher_.Seal(slot, page.data(), sealed.data());
    return sealed;
  }

  SlotCipher cipher_;
};

// What the program's own use of the library allocates.
void* ProgramAllocates(size_t bytes) {
  void* const library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  using Allocate = void* (*)(size_t, const char*, int);
  const auto allocate = reinterpret_cast<Allocate>(dlsym(library, "CRYPTO_malloc"));
  return allocate == nullptr ? nullptr : allocate(bytes, "", 0);
}

// The first test: in a process that has not loaded the library.
TEST(LibcryptoTest, IsRefusedWhereTheProgramHasUsedIt) {
  const std::string problem = InChild([]() -> std::string {
    if (ProgramAllocates(100) == nullptr) return "the program cannot use the library";
    SlotCipher cipher;
    LogLine error;
    if (cipher.Init(&error) != ELIBACC) return "it was not refused";
    const std::string line = error.c_str();
    return line.find("used OpenSSL before") == std::string::npos ? line : "";
  });
  EXPECT_EQ(problem, "");
}

// Still in use when the program ends, as what a program has of the library mostly is.
const void* block_of_the_program = nullptr;

TEST(LibcryptoTest, LeavesTheProgramsUseToTheProgramsMalloc) {
  LogLine error;
  ASSERT_EQ(Libcrypto::Load(&error), 0) << error.c_str();
  auto* const block = static_cast<const char*>(ProgramAllocates(100));
  ASSERT_NE(block, nullptr);
  const auto* const region = static_cast<const char*>(Libcrypto::region());
  block_of_the_program = block;
  EXPECT_TRUE(block < region || block >= region + (size_t{4} << 20));
  // A key of pthread's that the program has stays its own.
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
  EXPECT_EQ(pthread_getspecific(key), nullptr);
  pthread_key_delete(key);
}

// IEEE 1619-2018, annex B, vector 10: what its 512 bytes begin with, a page of which begins alike.
TEST(LibcryptoTest, KnownAnswer) {
  LogLine error;
  ASSERT_EQ(Libcrypto::Load(&error), 0) << error.c_str();
  const Page key = FromHex(
      "27182818284590452353602874713526" "62497757247093699959574966967627"
      "31415926535897932384626433832795" "02884197169399375105820974944592");
  unsigned char key_bytes[Libcrypto::kKeyBytes];
  ASSERT_EQ(key.size(), sizeof key_bytes);
  memcpy(key_bytes, key.data(), sizeof key_bytes);
  Libcrypto::Context* const context = Libcrypto::NewContext(key_bytes, true);
  ASSERT_NE(context, nullptr);
  const unsigned char tweak[Libcrypto::kTweakBytes] = {0xff};
  const Page plain = Counting();
  Page sealed(kPageBytes);
  ASSERT_TRUE(Libcrypto::Transform(context, tweak, plain.data(), sealed.data()));
  sealed.resize(32);
  EXPECT_EQ(sealed, FromHex("1c3b3a102f770386e4836c99e370cf9b"
                            "ea00803f5e482357a4ae12d414a3e63b"));
  Libcrypto::FreeContext(context);
}

TEST_F(SlotCipherTest, WhatIsSealedOpensInItsSlotAlone) {
  const Page page = Counting();
  const Page sealed = Sealed(SlotIndex(7), page);
  EXPECT_NE(sealed, page);
  EXPECT_NE(Sealed(SlotIndex(8), page), sealed);
  EXPECT_NE(Sealed(SlotIndex(7 + (1u << 24)), page), sealed);
  EXPECT_EQ(Sealed(SlotIndex(7), page), sealed);
  Page opened = sealed;
  cipher_.Open(SlotIndex(7), opened.data());
  EXPECT_EQ(opened, page);
  opened = sealed;
  cipher_.Open(SlotIndex(8), opened.data());
  EXPECT_NE(opened, page);
}

TEST_F(SlotCipherTest, EachHasAKeyOfItsOwn) {
  SlotCipher other;
  LogLine error;
  ASSERT_EQ(other.Init(&error), 0) << error.c_str();
  Page sealed(kPageBytes);
  other.Seal(SlotIndex(1), Counting().data(), sealed.data());
  EXPECT_NE(Sealed(SlotIndex(1), Counting()), sealed);
}

TEST_F(SlotCipherTest, TakesNoMemoryWhileItWorks) {
  Page page = Counting();
  Page sealed = Sealed(SlotIndex(1), page);
  const uint64_t before = Libcrypto::allocations();
  for (uint32_t i = 0; i < 1000; ++i) {
    cipher_.Seal(SlotIndex(i), page.data(), sealed.data());
    cipher_.Open(SlotIndex(i), sealed.data());
    ASSERT_EQ(sealed, page);
  }
  EXPECT_EQ(Libcrypto::allocations(), before);
}

TEST_F(SlotCipherTest, KeysAreLockedInMemoryAndInNoCoreFile) {
  const std::string flags = FlagsOf(Libcrypto::region());
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
  EXPECT_NE(flags.find(" lo "), std::string::npos) << flags;
}

// As a forked child uses it, to read what its parent had written.
TEST_F(SlotCipherTest, OpensInAChild) {
  const Page page = Counting();
  Page sealed = Sealed(SlotIndex(3), page);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    cipher_.Open(SlotIndex(3), sealed.data());
    const bool right = memcmp(sealed.data(), page.data(), kPageBytes) == 0;
    cipher_.Wipe();
    _exit(right && !cipher_.on() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace userpager
