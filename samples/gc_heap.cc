// gc_heap: a garbage-collected heap that is larger than the memory limit, and the check that its
// collections are right.
//
//   g++ -std=c++20 -O2 gc_heap.cc -o gc_heap $(pkg-config --cflags --libs userpager)
//   ./gc_heap [seed [MiB to make]]
//
// A program of random steps makes objects, lets old ones point to young ones and forgets roots;
// what it should have is kept beside, in ordinary memory. After each collection every word of every
// object is compared with that; after a full one, the heap has exactly what is reachable.
#include <userpager/userpager.h>
#include <userpager/virtual_alloc.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/collected_heap.h"
#include "support/console.h"

namespace {

using samples::CollectedHeap;
using samples::Object;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kMemoryLimitBytes = 8 * kMiB;
constexpr uint64_t kPageFileBytes = 512 * kMiB;
constexpr size_t kYoungBytes = 2 * kMiB;
constexpr size_t kOldBytes = 256 * kMiB;
constexpr size_t kRoots = 6000;
constexpr uint64_t kMadeMiB = 48;  // by the whole run, unless told otherwise
constexpr uint32_t kMostPointers = 4;
constexpr uint32_t kMostData = 160;
constexpr uint32_t kMostLevels = 4;  // of objects that point to others, when they are made

using Id = uint32_t;  // of an object, from 1 on; 0 is nullptr

// What an object should be.
struct Expected {
  std::vector<Id> fields;
  uint32_t words = 0;
  uint32_t level = 0;
};

uint64_t DataAt(Id id, size_t i) { return (uint64_t{id} << 32 | i) * 0x9e3779b97f4a7c15; }

class Program {
 public:
  Program(uint64_t seed, uint64_t made_bytes)
      : made_bytes_(made_bytes),
        random_(seed),
        heap_(kYoungBytes, kOldBytes, kRoots),
        roots_(kRoots) {}

  // False where a collection was wrong.
  bool Run() {
    while (heap_.counts().made_bytes < made_bytes_) {
      if (!heap_.HasRoom(kMostPointers + kMostData) && !Collect()) return false;
      const uint64_t step = random_() % 10;
      if (step < 7) {
        MakeObject();
      } else if (step < 9) {
        StorePointer();
      } else {
        ForgetRoot();
      }
    }
    return Collect();
  }
  const CollectedHeap& heap() const { return heap_; }
  uint64_t checked() const { return checked_; }
  size_t live() const { return expected_.size(); }

 private:
  size_t Pick(size_t count) { return random_() % count; }

  void MakeObject() {
    const Id id = ++last_id_;
    Expected made;
    const uint32_t pointers = static_cast<uint32_t>(Pick(kMostPointers + 1));
    const uint32_t data = 1 + static_cast<uint32_t>(Pick(kMostData));
    made.words = pointers + data;
    made.fields.resize(pointers);
    Object* object = heap_.Make(pointers, made.words);
    for (uint32_t i = 0; i < pointers; ++i) {
      const size_t root = Pick(kRoots);
      const Id child = roots_[root];
      if (child == 0 || expected_[child].level + 1 >= kMostLevels) continue;
      object->fields()[i] = heap_.root(root);
      made.fields[i] = child;
      made.level = std::max(made.level, expected_[child].level + 1);
    }
    object->data()[0] = id;
    for (size_t i = 1; i < data; ++i) object->data()[i] = DataAt(id, i);
    const size_t root = Pick(kRoots);
    heap_.root(root) = object;
    roots_[root] = id;
    expected_.emplace(id, std::move(made));
  }

  // A plain store, whatever the ages of the two objects are; it may close a circle.
  void StorePointer() {
    const size_t to = Pick(kRoots);
    const size_t from = Pick(kRoots);
    if (roots_[to] == 0 || expected_[roots_[to]].fields.empty()) return;
    Expected& written = expected_[roots_[to]];
    const size_t field = Pick(written.fields.size());
    // Mostly one of a lower level, or nothing would ever become unreachable.
    const bool lower = roots_[from] != 0 && expected_[roots_[from]].level < written.level;
    if (!lower && Pick(64) != 0) return;
    heap_.root(to)->fields()[field] = heap_.root(from);
    written.fields[field] = roots_[from];
  }

  void ForgetRoot() {
    const size_t root = Pick(kRoots);
    heap_.root(root) = nullptr;
    roots_[root] = 0;
  }

  bool Collect() {
    heap_.CollectYoung();
    if (!Verify("young", Reachable(), false)) return false;
    if (!heap_.WantsFullCollection()) return true;
    heap_.CollectAll();
    const std::vector<bool> reachable = Reachable();
    if (!Verify("full", reachable, true)) return false;
    std::erase_if(expected_, [&](const auto& entry) { return !reachable[entry.first]; });
    return true;
  }

  // By id: what the roots lead to.
  std::vector<bool> Reachable() const {
    std::vector<bool> reachable(last_id_ + 1);
    std::vector<Id> left = roots_;
    while (!left.empty()) {
      const Id id = left.back();
      left.pop_back();
      if (id == 0 || reachable[id]) continue;
      reachable[id] = true;
      const std::vector<Id>& fields = expected_.at(id).fields;
      left.insert(left.end(), fields.begin(), fields.end());
    }
    return reachable;
  }

  // Walks the old space twice in address order, which suits a heap that is mostly paged out: where
  // is what, and does everything point to the right place?
  bool Verify(const char* kind, const std::vector<bool>& reachable, bool exactly) {
    std::vector<Object*> places(last_id_ + 1);
    size_t wrong = 0;
    heap_.ForEachOld([&](Object* object) {
      const uint64_t id = object->data_words() > 0 ? object->data()[0] : 0;
      const bool known = id > 0 && id <= last_id_ && expected_.contains(static_cast<Id>(id));
      const bool right = known && places[id] == nullptr && (!exactly || reachable[id]);
      wrong += !right;
      if (right) places[id] = object;
    });
    heap_.ForEachOld([&](Object* object) { wrong += !IsAsExpected(object, places); });
    for (size_t i = 0; i < kRoots; ++i) wrong += heap_.root(i) != PlaceOf(roots_[i], places);
    for (Id id = 1; id <= last_id_; ++id) wrong += reachable[id] && places[id] == nullptr;
    if (wrong == 0) return true;
    std::fprintf(stderr, "gc_heap: after a %s collection %zu objects or roots are wrong\n", kind,
                 wrong);
    return false;
  }
  static Object* PlaceOf(Id id, const std::vector<Object*>& places) {
    return id == 0 ? nullptr : places[id];
  }
  bool IsAsExpected(Object* object, const std::vector<Object*>& places) {
    const uint64_t id = object->data()[0];
    if (id >= places.size() || places[id] != object || object->forwarded != nullptr) return false;
    const Expected& expected = expected_.at(static_cast<Id>(id));
    if (object->words != expected.words || object->pointers != expected.fields.size()) return false;
    for (uint32_t i = 0; i < object->pointers; ++i) {
      const Id child = expected.fields[i];
      if (object->fields()[i] != PlaceOf(child, places)) return false;
      if (child != 0 && object->fields()[i] == nullptr) return false;
    }
    for (size_t i = 1; i < object->data_words(); ++i) {
      if (object->data()[i] != DataAt(static_cast<Id>(id), i)) return false;
    }
    ++checked_;
    return true;
  }

  const uint64_t made_bytes_;
  std::mt19937_64 random_;
  CollectedHeap heap_;
  std::vector<Id> roots_;
  std::unordered_map<Id, Expected> expected_;  // pruned at full collections
  Id last_id_ = 0;
  uint64_t checked_ = 0;
};

void Print(const Program& program, const userpager_stats& stats, double seconds) {
  using samples::Grouped;
  using samples::InMiB;
  const CollectedHeap::Counts& counts = program.heap().counts();
  std::printf("made %s in %.1f seconds; at the end %s objects on %s\n",
              InMiB(counts.made_bytes).c_str(), seconds, Grouped(program.live()).c_str(),
              InMiB(program.heap().old().used_bytes()).c_str());
  std::printf("%s young and %s full collections moved %s; %s objects were compared\n",
              Grouped(counts.young_collections).c_str(), Grouped(counts.full_collections).c_str(),
              InMiB(counts.moved_bytes).c_str(), Grouped(program.checked()).c_str());
  std::printf("old pages at young collections: %s, of which %s were written and looked at\n",
              Grouped(counts.old_pages).c_str(), Grouped(counts.written_pages).c_str());
  std::printf("memory limit %s, at most %s used; paged out %s, paged in %s\n",
              InMiB(stats.memory_limit_bytes).c_str(), InMiB(stats.resident_bytes_peak).c_str(),
              InMiB(stats.file_write_bytes).c_str(), InMiB(stats.file_read_bytes).c_str());
}

int Run(uint64_t seed, uint64_t made_bytes) {
  userpager_options options;
  userpager_options_init(&options);
  options.memory_limit_bytes = kMemoryLimitBytes;
  options.page_file_max_bytes = kPageFileBytes;
  if (userpager_start(&options) != 0) {
    std::fprintf(stderr, "gc_heap: %s\n", userpager_error_message());
    return 1;
  }
  std::printf("seed %s\n", std::to_string(seed).c_str());
  const auto start = std::chrono::steady_clock::now();
  Program program(seed, made_bytes);
  if (!program.Run()) return 1;
  userpager_stats stats = {};
  stats.struct_bytes = sizeof(stats);
  if (userpager_get_stats(&stats) != 0) return 1;
  Print(program, stats, samples::SecondsSince(start));
  return stats.resident_bytes_peak <= kMemoryLimitBytes ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    const uint64_t made_mib = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : kMadeMiB;
    return Run(seed, made_mib * kMiB);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "gc_heap: the heap is full, or the memory manager refused it memory\n");
    return 1;
  }
}
