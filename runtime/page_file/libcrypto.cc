#include "runtime/page_file/libcrypto.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>

#include "runtime/base/lock.h"

namespace userpager {
namespace {

constexpr const char* kLibrary = "libcrypto.so.3";
constexpr const char* kAlgorithm = "AES-256-XTS";
constexpr size_t kRegionBytes = 4 * 1024 * 1024;
constexpr size_t kAlignment = 16;

// What the library asks for on our behalf comes from one region, front to back. It asks at the
// start and not while it transforms, so nothing needs to be used twice but the last block.
struct Region {
  Lock lock{LockRank::kLeaf};
  char* begin ABSL_GUARDED_BY(lock) = nullptr;
  size_t taken ABSL_GUARDED_BY(lock) = 0;
};
constinit Region key_memory;
constinit std::atomic<uint64_t> region_begin{0};  // of it, for who does not hold the lock
constinit std::atomic<uint64_t> calls{0};
constinit thread_local bool on_our_behalf = false;

class OnOurBehalf {
 public:
  OnOurBehalf() { on_our_behalf = true; }
  ~OnOurBehalf() { on_our_behalf = false; }
  OnOurBehalf(const OnOurBehalf&) = delete;
  OnOurBehalf& operator=(const OnOurBehalf&) = delete;
};

// The program's allocator, which its own use of the library goes on having.
struct ProgramAllocator {
  void* (*allocate)(size_t bytes);
  void* (*resize)(void* block, size_t bytes);
  void (*give)(void* block);
};
constinit ProgramAllocator program = {};

bool IsOurs(const void* block) {
  const uint64_t begin = region_begin.load(std::memory_order_relaxed);
  const auto at = reinterpret_cast<uint64_t>(block);
  return begin != 0 && at >= begin && at < begin + kRegionBytes;
}

// Stands in front of each block.
struct alignas(kAlignment) BlockHead {
  size_t bytes;
};

// The forms are those of CRYPTO_malloc_fn and its kin.
void* TakeBlock(size_t bytes, const char* /*file*/, int /*line*/) {
  ++calls;
  if (!on_our_behalf) return program.allocate(bytes);
  if (bytes == 0) return nullptr;
  LockHolder hold(key_memory.lock);
  const size_t whole = sizeof(BlockHead) + RoundUp(bytes, kAlignment);
  if (bytes > kRegionBytes || kRegionBytes - key_memory.taken < whole) return nullptr;
  char* const at = key_memory.begin + key_memory.taken;
  key_memory.taken += whole;
  reinterpret_cast<BlockHead*>(at)->bytes = bytes;
  return at + sizeof(BlockHead);
}

void GiveBlock(void* block, const char* /*file*/, int /*line*/) {
  if (!IsOurs(block)) return program.give(block);
  LockHolder hold(key_memory.lock);
  char* const at = static_cast<char*>(block) - sizeof(BlockHead);
  const size_t bytes = reinterpret_cast<BlockHead*>(at)->bytes;
  explicit_bzero(block, bytes);
  const size_t whole = sizeof(BlockHead) + RoundUp(bytes, kAlignment);
  if (at + whole == key_memory.begin + key_memory.taken) key_memory.taken -= whole;
}

void* ResizeBlock(void* block, size_t bytes, const char* file, int line) {
  ++calls;
  if (block == nullptr) return TakeBlock(bytes, file, line);
  if (!IsOurs(block)) return program.resize(block, bytes);
  void* larger = TakeBlock(bytes, file, line);
  if (larger != nullptr) {
    const char* head = static_cast<char*>(block) - sizeof(BlockHead);
    memcpy(larger, block, std::min(reinterpret_cast<const BlockHead*>(head)->bytes, bytes));
  }
  if (larger != nullptr || bytes == 0) GiveBlock(block, file, line);
  return larger;
}

// The library's functions; its types are opaque.
struct Functions {
  int (*set_memory)(void* (*)(size_t, const char*, int),
                    void* (*)(void*, size_t, const char*, int), void (*)(void*, const char*, int));
  void* (*new_library)();
  void* (*fetch)(void* library, const char* algorithm, const char* properties);
  void* (*new_context)();
  void (*free_context)(void* context);
  int (*begin)(void* context, const void* cipher, const unsigned char* key,
               const unsigned char* tweak, int encrypts, const void* parameters);
  int (*update)(void* context, unsigned char* out, int* out_bytes, const unsigned char* in,
                int in_bytes);
};
constinit Functions functions = {};
constinit void* cipher = nullptr;  // set last: the library is ready
constinit bool has_memory = false;  // set_memory has succeeded
constinit Lock loading{LockRank::kPageFileGrowth};

// The names are those of OpenSSL 3.0.
bool FindFunctions(void* library) {
  struct Wanted {
    const char* name;
    void* slot;
  };
  const Wanted wanted[] = {{"CRYPTO_set_mem_functions", &functions.set_memory},
                           {"OSSL_LIB_CTX_new", &functions.new_library},
                           {"EVP_CIPHER_fetch", &functions.fetch},
                           {"EVP_CIPHER_CTX_new", &functions.new_context},
                           {"EVP_CIPHER_CTX_free", &functions.free_context},
                           {"EVP_CipherInit_ex2", &functions.begin},
                           {"EVP_CipherUpdate", &functions.update},
                           {"malloc", &program.allocate},
                           {"realloc", &program.resize},
                           {"free", &program.give}};
  for (const Wanted& one : wanted) {
    // The first of that name that the program sees, then the library's own.
    void* found = dlsym(RTLD_DEFAULT, one.name);
    if (found == nullptr) found = dlsym(library, one.name);
    if (found == nullptr) return false;
    memcpy(one.slot, &found, sizeof found);
  }
  return true;
}

Errno MakeRegion(LogLine* error) {
  LockHolder hold(key_memory.lock);
  if (key_memory.begin != nullptr) return 0;
  void* const at = mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED || madvise(at, kRegionBytes, MADV_DONTDUMP) != 0 ||
      mlock2(at, kRegionBytes, MLOCK_ONFAULT) != 0) {
    const Errno reason = errno;
    if (at != MAP_FAILED) munmap(at, kRegionBytes);
    *error << "cannot encrypt the page file: the key must stay in memory, and " << kRegionBytes
           << " bytes could not be locked there: " << ErrnoText{reason}
           << "; raise the limit of locked memory (ulimit -l), or choose encrypt:off";
    return ENOMEM;
  }
  key_memory.begin = static_cast<char*>(at);
  region_begin.store(reinterpret_cast<uint64_t>(at), std::memory_order_relaxed);
  return 0;
}

Errno Refuse(const char* why, LogLine* error) {
  *error << "cannot encrypt the page file: OpenSSL's " << kLibrary << ' ' << why
         << "; install it (Debian: libssl3), or choose encrypt:off";
  return ELIBACC;
}

}  // namespace

Errno Libcrypto::Load(LogLine* error) {
  LockHolder hold(loading);
  if (cipher != nullptr) return 0;
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) return Refuse("cannot be loaded", error);
  if (!FindFunctions(library)) return Refuse("lacks a function", error);
  if (const Errno failed = MakeRegion(error); failed != 0) return failed;
  if (!has_memory && functions.set_memory(TakeBlock, ResizeBlock, GiveBlock) != 1) {
    *error << "cannot encrypt the page file: the program has used OpenSSL before, so that the key"
              " could not be kept in memory of its own; start the pager first, or choose"
              " encrypt:off";
    return ELIBACC;
  }
  has_memory = true;
  const OnOurBehalf ours;
  // A library context of our own: neither the program's configuration nor its providers matter.
  void* const context = functions.new_library();
  if (context == nullptr) return Refuse("does not start", error);
  void* const found = functions.fetch(context, kAlgorithm, nullptr);
  if (found == nullptr) return Refuse("has no AES-256-XTS", error);
  cipher = found;
  return 0;
}

Libcrypto::Context* Libcrypto::NewContext(const unsigned char (&key)[kKeyBytes], bool encrypts) {
  const OnOurBehalf ours;
  void* const context = functions.new_context();
  if (context == nullptr) return nullptr;
  const unsigned char tweak[kTweakBytes] = {};
  if (functions.begin(context, cipher, key, tweak, encrypts ? 1 : 0, nullptr) != 1) {
    functions.free_context(context);
    return nullptr;
  }
  return static_cast<Context*>(context);
}

void Libcrypto::FreeContext(Context* context) {
  if (context != nullptr) functions.free_context(context);
}

bool Libcrypto::Transform(Context* context, const unsigned char (&tweak)[kTweakBytes],
                          const void* from, void* to) {
  constexpr int kSameDirection = -1;
  int bytes = 0;
  return functions.begin(context, nullptr, nullptr, tweak, kSameDirection, nullptr) == 1 &&
         functions.update(context, static_cast<unsigned char*>(to), &bytes,
                          static_cast<const unsigned char*>(from), kPageBytes) == 1 &&
         bytes == static_cast<int>(kPageBytes);
}

Errno Libcrypto::LockInChild(LogLine* error) {
  void* const at = reinterpret_cast<void*>(region_begin.load());
  if (at == nullptr || mlock2(at, kRegionBytes, MLOCK_ONFAULT) == 0) return 0;
  const Errno reason = errno;
  *error << "the key of its page file cannot be kept in memory: " << ErrnoText{reason};
  return reason;
}

uint64_t Libcrypto::allocations() { return calls.load(); }

const void* Libcrypto::region() {
  return reinterpret_cast<const void*>(region_begin.load());
}

}  // namespace userpager
