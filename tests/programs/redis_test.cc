// redis-server with a quarter of the memory that its values take: filled by its own client, saved
// by a forked child while others go on writing, and compared key by key.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr unsigned kMemoryMiB = 7;   // at scale 1
constexpr unsigned kKeys = 28'000;   // at scale 1, of about 1 KiB
constexpr unsigned kGetsAtOnce = 20'000;
// Beside the limit and what an idle server takes: what the C library allocates for itself, the
// runtime's own data.
constexpr uint64_t kUnmanagedBytes = 10 * kMiB;
constexpr std::chrono::minutes kPatience{10};

// No value is like another, and none is compressible by half.
std::string ValueOf(unsigned key, unsigned version) {
  std::string value;
  uint64_t word = (uint64_t{version} << 32 | key) * 0x9e37'79b9'7f4a'7c15 + 1;
  const size_t bytes = 600 + word % 900;
  value.reserve(bytes + 12);
  while (value.size() < bytes) {
    word = word * 6364136223846793005u + 1442695040888963407u;
    for (unsigned i = 0; i < 12; ++i) value += static_cast<char>('0' + (word >> (5 * i) & 31));
  }
  return value;
}

class Redis : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"redis-server", "redis-cli"}) {
      if (!IsThere(program)) GTEST_SKIP() << program << " is not installed";
    }
    if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("userpager_redis_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  std::vector<std::string> ServerCommand(const std::string& name) const {
    return {"redis-server", "--port", "0", "--unixsocket", Path(name + ".socket"), "--dir",
            folder_.string(), "--save", "", "--appendonly", "no", "--loglevel", "warning",
            "--dbfilename", "saved.rdb"};
  }

  std::string Ask(const std::string& server, std::vector<std::string> words) const {
    words.insert(words.begin(), {"redis-cli", "-s", Path(server + ".socket")});
    return RunProgram(words).output;
  }

  // Asks until the answer has the text. False: the server ended, or took too long.
  bool Await(RunningProgram& server, const std::string& name,
             const std::vector<std::string>& words, const std::string& text) const {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end && !server.HasEnded()) {
      if (Ask(name, words).find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

  // The most that a child of the server's has had resident until now; 0: it has none.
  static uint64_t MostBytesOfChild(const RunningProgram& server) {
    const std::string process = "/proc/" + std::to_string(server.id());
    std::ifstream children(process + "/task/" + std::to_string(server.id()) + "/children");
    std::string child;
    if (!(children >> child)) return 0;
    std::ifstream status("/proc/" + child + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.compare(0, 6, "VmHWM:") == 0) return std::stoull(line.substr(6)) * 1024;
    }
    return 0;
  }

  // Waits until the server has saved, and says what its child had resident at most.
  uint64_t AwaitSaved(RunningProgram& server, const std::string& name) const {
    uint64_t most = 0;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end && !server.HasEnded()) {
      const uint64_t now = MostBytesOfChild(server);
      most = std::max(most, now);
      if (now == 0 && Ask(name, {"INFO", "persistence"}).find("rdb_bgsave_in_progress:0") !=
                          std::string::npos) {
        return most;
      }
    }
    ADD_FAILURE() << "the server does not come to the end of saving";
    return most;
  }

  // By one client, which takes in no answers before the end.
  bool Fill(const std::string& server, unsigned begin, unsigned end, unsigned version) const {
    const std::string commands = Path("commands");
    {
      std::ofstream file(commands);
      for (unsigned key = begin; key < end; ++key) {
        file << "SET key:" << key << ' ' << ValueOf(key, version) << "\r\n";
      }
    }
    const ProgramRun run = RunProgram(
        {"redis-cli", "-s", Path(server + ".socket"), "--pipe"}, {.input = commands});
    const std::string wanted =
        "errors: 0, replies: " + std::to_string(end - begin) + "\n";
    EXPECT_NE(std::string::npos, run.output.find(wanted)) << run.output << run.complaints;
    return run.output.find(wanted) != std::string::npos;
  }

  // Every key from `begin` to `end` must have its value of that version.
  void ExpectValues(const std::string& server, unsigned begin, unsigned end,
                    unsigned version) const {
    for (unsigned first = begin; first < end; first += kGetsAtOnce) {
      const unsigned last = std::min(end, first + kGetsAtOnce);
      const std::string commands = Path("questions");
      std::string wanted;
      {
        std::ofstream file(commands);
        for (unsigned key = first; key < last; ++key) {
          file << "GET key:" << key << '\n';
          wanted += ValueOf(key, version) + '\n';
        }
      }
      const ProgramRun run =
          RunProgram({"redis-cli", "-s", Path(server + ".socket")}, {.input = commands});
      ASSERT_EQ(0, run.status) << run.complaints;
      if (wanted == run.output) continue;
      const auto differs =
          std::mismatch(wanted.begin(), wanted.end(), run.output.begin(), run.output.end());
      const auto at = differs.first - wanted.begin();
      FAIL() << "values from key " << first << " on differ at byte " << at << ": "
             << run.output.substr(static_cast<size_t>(at), 100);
    }
  }

  std::filesystem::path folder_;
};

TEST_F(Redis, SavesUnderLoadAndIsFilledAgain) {
  const unsigned scale = ProgramsScale();
  const unsigned keys = kKeys * scale;
  const uint64_t memory = uint64_t{kMemoryMiB} * scale * kMiB;
  uint64_t idle_bytes = 0;
  {
    RunningProgram idle(ServerCommand("idle"));
    ASSERT_TRUE(Await(idle, "idle", {"PING"}, "PONG")) << idle.Wait().output;
    idle_bytes = idle.MostBytes();
  }
  RunningProgram server(ServerCommand("managed"),
                        {.memory = std::to_string(memory), .configuration = "page_file_max:4G"});
  ASSERT_TRUE(Await(server, "managed", {"PING"}, "PONG")) << server.Wait().complaints;
  ASSERT_TRUE(Fill("managed", 0, keys, 1));
  ASSERT_EQ("Background saving started\n", Ask("managed", {"BGSAVE"}));
  uint64_t child_bytes = 0;
  std::jthread watcher([&] { child_bytes = AwaitSaved(server, "managed"); });
  // What is written from here on is not in the file: a quarter gets new values, some keys are new.
  ASSERT_TRUE(Fill("managed", keys / 2, keys / 2 + keys / 4, 2));
  ASSERT_TRUE(Fill("managed", keys, keys + 1000, 2));
  watcher.join();
  EXPECT_GT(child_bytes, 0u) << "the child was not seen";
  EXPECT_LE(child_bytes, idle_bytes + memory + kUnmanagedBytes);
  EXPECT_NE(std::string::npos,
            Ask("managed", {"INFO", "persistence"}).find("rdb_last_bgsave_status:ok"));
  const std::string used = Ask("managed", {"INFO", "memory"});
  const size_t at = used.find("used_memory:");
  ASSERT_NE(std::string::npos, at) << used;
  EXPECT_GE(std::stoull(used.substr(at + 12)), 4 * memory) << "the limit is no quarter of this";
  {
    RunningProgram plain(ServerCommand("plain"));
    ASSERT_TRUE(Await(plain, "plain", {"DBSIZE"}, std::to_string(keys) + "\n"))
        << plain.Wait().output;
    ExpectValues("plain", 0, keys, 1);
  }
  ExpectValues("managed", 0, keys / 2, 1);
  ExpectValues("managed", keys / 2, keys / 2 + keys / 4, 2);
  ExpectValues("managed", keys, keys + 1000, 2);
  ASSERT_EQ("OK\n", Ask("managed", {"FLUSHALL"}));
  ASSERT_EQ("0\n", Ask("managed", {"DBSIZE"}));
  ASSERT_TRUE(Fill("managed", 0, keys, 3));
  ExpectValues("managed", 0, keys, 3);
  EXPECT_LE(server.MostBytes(), idle_bytes + memory + kUnmanagedBytes);
  (void)Ask("managed", {"SHUTDOWN", "NOSAVE"});
  const ProgramRun run = server.Wait();
  EXPECT_EQ(0, run.status);
  EXPECT_EQ("", run.complaints);
}

}  // namespace
}  // namespace userpager::programs
