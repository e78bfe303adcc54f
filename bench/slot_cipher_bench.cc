// What encrypt:aes-xts costs: one page encrypted, and decrypted, beside the checksum that every
// page is given anyway. A fault that reads pays one Open for each page, page-out one Seal, in the
// pager's thread.
#include <benchmark/benchmark.h>

#include <vector>

#include "runtime/base/log_line.h"
#include "runtime/page_file/checksum.h"
#include "runtime/page_file/slot_cipher.h"

namespace userpager {
namespace {

// More than the processor's caches near the core hold: pages come from memory.
constexpr size_t kPages = 4096;

class Pages {
 public:
  Pages() : bytes_(kPages * kPageBytes) {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i * 7);
  }
  char* Next() {
    next_ = (next_ + 1) % kPages;
    return bytes_.data() + next_ * kPageBytes;
  }

 private:
  std::vector<char> bytes_;
  size_t next_ = 0;
};

void CountPages(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kPageBytes));
}

bool Start(benchmark::State& state, SlotCipher* cipher) {
  LogLine error;
  if (cipher->Init(&error) == 0) return true;
  state.SkipWithError(error.c_str());
  return false;
}

void Seal(benchmark::State& state) {
  SlotCipher cipher;
  if (!Start(state, &cipher)) return;
  Pages pages;
  Pages sealed;
  uint32_t slot = 1;
  for (auto _ : state) cipher.Seal(SlotIndex(slot++), pages.Next(), sealed.Next());
  CountPages(state);
}

void Open(benchmark::State& state) {
  SlotCipher cipher;
  if (!Start(state, &cipher)) return;
  Pages pages;
  uint32_t slot = 1;
  for (auto _ : state) cipher.Open(SlotIndex(slot++), pages.Next());
  CountPages(state);
}

void Checksum(benchmark::State& state) {
  Pages pages;
  for (auto _ : state) benchmark::DoNotOptimize(Crc32c(pages.Next(), kPageBytes));
  CountPages(state);
}

BENCHMARK(Seal);
BENCHMARK(Open);
BENCHMARK(Checksum);

}  // namespace
}  // namespace userpager

BENCHMARK_MAIN();
