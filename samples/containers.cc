// containers: standard containers that hold more than the memory limit, through the C++ layer.
//
//   g++ -std=c++20 -O2 containers.cc -o containers $(pkg-config --cflags --libs userpager)
//   ./containers
//
// A std::pmr::vector of 192 MiB and a std::map of about 90 MiB under a limit of 64 MiB; every
// element is compared with what was put in.
#include <userpager/memory.hpp>
#include <userpager/userpager.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory_resource>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kMemoryLimitBytes = 64 * kMiB;
constexpr size_t kNumbers = 192 * kMiB / sizeof(uint64_t);
constexpr uint32_t kKeys = 600'000;

// A number that looks random, different for each index.
uint64_t NumberAt(uint64_t index) {
  uint64_t z = (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  return z ^ (z >> 27);
}

// A large block of its own: the vector's memory is a reservation that goes when the vector goes.
bool RunVector() {
  userpager::memory_resource managed;
  std::pmr::vector<uint64_t> numbers(&managed);
  numbers.reserve(kNumbers);
  for (size_t i = 0; i < kNumbers; ++i) numbers.push_back(NumberAt(i));
  std::reverse(numbers.begin(), numbers.end());
  size_t wrong = 0;
  for (size_t i = 0; i < kNumbers; ++i) wrong += numbers[i] != NumberAt(kNumbers - 1 - i);
  std::printf("vector: %zu numbers written, reversed and read, %zu wrong\n", kNumbers, wrong);
  return wrong == 0;
}

// Many small blocks. The allocator has no state: the type says where the memory comes from.
bool RunMap() {
  using String = std::basic_string<char, std::char_traits<char>, userpager::allocator<char>>;
  using Entry = std::pair<const uint32_t, String>;
  std::map<uint32_t, String, std::less<>, userpager::allocator<Entry>> names;
  const auto name = [](uint32_t key) {
    return String("the name of ") + std::to_string(key * uint64_t{key}).c_str() +
           ", which is too long for the string object";
  };
  for (uint32_t key = 0; key < kKeys; ++key) names.emplace_hint(names.end(), key, name(key));
  std::erase_if(names, [](const Entry& entry) { return entry.first % 3 == 0; });
  size_t wrong = 0;
  size_t expected = 0;
  auto found = names.begin();
  for (uint32_t key = 0; key < kKeys; ++key) {
    if (key % 3 == 0) continue;
    ++expected;
    if (found == names.end() || found->first != key || found->second != name(key)) ++wrong;
    if (found != names.end()) ++found;
  }
  const bool right = wrong == 0 && names.size() == expected;
  std::printf("map: %u names put in, a third erased, %zu left, %zu wrong\n", kKeys, names.size(),
              wrong);
  return right;
}

int Run() {
  userpager_options options;
  userpager_options_init(&options);
  options.memory_limit_bytes = kMemoryLimitBytes;
  options.page_file_max_bytes = 1024 * kMiB;
  if (userpager_start(&options) != 0) {
    std::fprintf(stderr, "containers: %s\n", userpager_error_message());
    return 1;
  }
  if (!RunVector() || !RunMap()) return 1;
  userpager_stats stats = {};
  stats.struct_bytes = sizeof(stats);
  if (userpager_get_stats(&stats) != 0) return 1;
  const auto in_mib = [](uint64_t bytes) { return static_cast<unsigned>(bytes / kMiB); };
  std::printf("memory limit %u MiB, at most %u MiB used; paged out %u MiB, paged in %u MiB\n",
              in_mib(stats.memory_limit_bytes), in_mib(stats.resident_bytes_peak),
              in_mib(stats.file_write_bytes), in_mib(stats.file_read_bytes));
  return stats.resident_bytes_peak <= kMemoryLimitBytes ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return Run();
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "containers: memory and page file are full\n");
    return 1;
  }
}
