// Node.js with a quarter of the memory that it uses: objects in the heap of V8, and Buffers, which
// are outside of it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/programs/comparison.h"
#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr unsigned kMemoryMiB = 18;  // at scale 1
constexpr unsigned kSize = 18;        // at scale 1: MiB of Buffers, and about as much of objects

constexpr const char* kSource = R"(
const size = Number(process.argv[1]);
let state = 12345;
const random = (below) => (state = (state * 1103515245 + 12345) % 2147483648) % below;
const objects = [];
for (let i = 0; i < size * 5000; ++i)
  objects.push({ id: i, next: null, text: 'text ' + random(1e9), list: [i, random(100)] });
for (let i = 0; i < objects.length; ++i) objects[i].next = objects[random(objects.length)];
const buffers = [];
for (let i = 0; i < size * 4; ++i) {
  const buffer = Buffer.alloc(256 * 1024);
  for (let at = 0; at < buffer.length; at += 4) buffer.writeUInt32LE(state + at * 7919 >>> 0, at);
  random(2);
  buffers.push(buffer);
}
let sum = 0;
for (const object of objects)
  sum = (sum * 31 + object.next.id + object.text.length + object.next.list[1]) % 1e9;
const map = new Map(objects.map((object) => [object.text, object.id]));
for (let i = 0; i < objects.length; i += 7) sum = (sum * 31 + map.get(objects[i].text)) % 1e9;
const hash = require('crypto').createHash('sha1');
for (const buffer of buffers) hash.update(buffer);
console.log(sum, map.size, hash.digest('hex'));
)";

TEST(Node, ObjectsAndBuffers) {
  if (!IsThere("node")) GTEST_SKIP() << "node is not installed";
  if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
  const unsigned scale = ProgramsScale();
  const auto command = [](unsigned size) {
    return std::vector<std::string>{
        "node", "--max-semi-space-size=1", "-e", kSource, "--", std::to_string(size)};
  };
  ExpectSameInLessMemory({.command = command(kSize * scale),
                          .idle = command(0),
                          .memory_bytes = kMemoryMiB * scale * kMiB,
                          .unmanaged_bytes = 16 * kMiB});
}

}  // namespace
}  // namespace userpager::programs
