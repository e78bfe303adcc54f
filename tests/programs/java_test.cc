// OpenJDK with a heap of four times the memory limit, and both kinds of collectors.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/programs/comparison.h"
#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr unsigned kHeapMiB = 48;   // at scale 1
constexpr unsigned kBlocks = 6000;  // at scale 1, of about 4 KiB: more than half of the heap

// Blocks that live, others that are garbage soon, and objects that refer to each other.
constexpr const char* kSource = R"(
import java.util.*;
public class Blocks {
  static class Node { Node next; int value; Node(Node n, int v) { next = n; value = v; } }
  public static void main(String[] arguments) {
    int count = Integer.parseInt(arguments[0]);
    Random random = new Random(7);
    byte[][] blocks = new byte[count][];
    for (int i = 0; i < count; i++) {
      blocks[i] = new byte[3500 + random.nextInt(1000)];
      random.nextBytes(blocks[i]);
    }
    long sum = 0;
    for (int i = 0; i < count / 2; i++) {
      int at = random.nextInt(count);
      for (byte b : blocks[at]) sum = sum * 31 + b;
      if (i % 3 == 0) {
        blocks[at] = new byte[3500 + random.nextInt(1000)];
        Arrays.fill(blocks[at], (byte) i);
      }
    }
    Node list = null;
    for (int i = 0; i < 10 * count; i++) list = new Node(list, random.nextInt());
    for (Node node = list; node != null; node = node.next) sum = sum * 31 + node.value;
    HashMap<Integer, String> map = new HashMap<>();
    for (int i = 0; i < count; i++) map.put(i, "value " + random.nextInt());
    if (count > 0) System.gc();
    for (int i = 0; i < count; i++) sum = sum * 31 + map.get(i).hashCode();
    for (byte[] block : blocks) for (byte b : block) sum = sum * 31 + b;
    System.out.println(sum);
  }
}
)";

class Java : public testing::Test {
 protected:
  void SetUp() override {
    if (!IsThere("java") || !IsThere("javac")) GTEST_SKIP() << "no JDK is installed";
    if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("userpager_java_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
    const std::string source = (folder_ / "Blocks.java").string();
    std::ofstream(source) << kSource;
    const ProgramRun compiled =
        RunProgram({"javac", "-J-Xmx64m", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-d",
                    folder_.string(), source});
    ASSERT_EQ(0, compiled.status) << compiled.complaints;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void ExpectSame(const std::string& collector) const {
    const unsigned scale = ProgramsScale();
    const std::vector<std::string> idle = {
        "java", "-Xmx" + std::to_string(kHeapMiB * scale) + "m", collector,
        "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp", folder_.string(), "Blocks", "0"};
    std::vector<std::string> command = idle;
    command.back() = std::to_string(kBlocks * scale);
    ExpectSameInLessMemory({.command = command,
                            .idle = idle,
                            .memory_bytes = kHeapMiB * scale * kMiB / 4,
                            .unmanaged_bytes = 16 * kMiB});
  }

  std::filesystem::path folder_;
};

TEST_F(Java, SerialCollector) { ExpectSame("-XX:+UseSerialGC"); }
TEST_F(Java, G1Collector) { ExpectSame("-XX:+UseG1GC"); }

}  // namespace
}  // namespace userpager::programs
