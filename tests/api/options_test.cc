#include "runtime/api/options.h"

#include <gtest/gtest.h>
#include <sys/statvfs.h>

#include <cstring>
#include <string>

#include "runtime/page_file/page_file.h"
#include "runtime/pager/pager.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr MachineMemory kMachine{8 * kGiB, 4 * kGiB};

userpager_options Defaults() {
  userpager_options options;
  SetDefaults(&options);
  return options;
}

userpager_options Parsed(const char* text) {
  userpager_options options = Defaults();
  LogLine error;
  EXPECT_EQ(ParseOptions(text, "test", kMachine, &options, &error), 0) << error.text();
  return options;
}

// The message of text that must be refused; the options must be as before.
std::string Refusal(const std::string& text) {
  userpager_options options = Defaults();
  const userpager_options before = options;
  LogLine error;
  EXPECT_EQ(ParseOptions(text, "test", kMachine, &options, &error),
            USERPAGER_ERROR_INVALID_OPTION)
      << text;
  EXPECT_EQ(memcmp(&options, &before, sizeof options), 0) << text;
  return std::string(error.text());
}

bool Names(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

TEST(OptionsTest, Defaults) {
  const userpager_options options = Defaults();
  EXPECT_EQ(options.struct_bytes, sizeof options);
  EXPECT_EQ(options.memory_limit_bytes, 0u);
  EXPECT_EQ(options.page_file_max_bytes, 0u);
  EXPECT_STREQ(options.page_file, "/var/tmp");
  EXPECT_EQ(options.shards, 1u);
  EXPECT_EQ(options.commit, USERPAGER_COMMIT_STRICT);
  EXPECT_EQ(options.io, USERPAGER_IO_AUTO);
  EXPECT_EQ(options.move, USERPAGER_MOVE_AUTO);
  EXPECT_EQ(options.faults, USERPAGER_FAULTS_THREAD);
  EXPECT_EQ(options.polling, USERPAGER_POLLING_AUTO);
  EXPECT_EQ(options.stats_page, USERPAGER_STATS_PAGE_ON);
  EXPECT_EQ(options.discard, USERPAGER_DISCARD_OFF);
  LogLine error;
  EXPECT_EQ(CheckOptions(options, &error), 0) << error.text();
}

TEST(OptionsTest, AllKeys) {
  const userpager_options options = Parsed(
      "memory:256M,page_file:/dir/with:colon and space,page_file_max:8G,shards:3,commit:lazy,"
      "io:threads,move:off,faults:inline,policy:clock,polling:off,stats_page:off");
  EXPECT_EQ(options.memory_limit_bytes, 256 * kMiB);
  EXPECT_STREQ(options.page_file, "/dir/with:colon and space");
  EXPECT_EQ(options.page_file_max_bytes, 8 * kGiB);
  EXPECT_EQ(options.shards, 3u);
  EXPECT_EQ(options.commit, USERPAGER_COMMIT_LAZY);
  EXPECT_EQ(options.io, USERPAGER_IO_THREADS);
  EXPECT_EQ(options.move, USERPAGER_MOVE_OFF);
  EXPECT_EQ(options.faults, USERPAGER_FAULTS_INLINE);
  EXPECT_EQ(options.policy, USERPAGER_POLICY_CLOCK);
  EXPECT_EQ(options.polling, USERPAGER_POLLING_OFF);
  EXPECT_EQ(options.stats_page, USERPAGER_STATS_PAGE_OFF);
  EXPECT_EQ(Parsed("io:auto").io, USERPAGER_IO_AUTO);
  EXPECT_EQ(Parsed("io:uring").io, USERPAGER_IO_URING);
  EXPECT_EQ(Parsed("policy:fifo").policy, USERPAGER_POLICY_FIFO);
  EXPECT_EQ(Parsed("encrypt:aes-xts").encrypt, USERPAGER_ENCRYPT_AES_XTS);
  EXPECT_EQ(Parsed("encrypt:off").encrypt, USERPAGER_ENCRYPT_OFF);
  EXPECT_EQ(Parsed("discard:on").discard, USERPAGER_DISCARD_ON);
  EXPECT_EQ(Parsed("discard:off").discard, USERPAGER_DISCARD_OFF);
  EXPECT_EQ(Parsed("without:poison+guard").without,
            uint64_t{USERPAGER_FEATURE_POISON | USERPAGER_FEATURE_GUARD});
  EXPECT_EQ(Parsed("without:all").without, uint64_t{USERPAGER_FEATURE_ALL});
  EXPECT_EQ(Parsed("without:none").without, 0u);
  EXPECT_EQ(Parsed("policy:adaptive").policy, USERPAGER_POLICY_ADAPTIVE);
}

TEST(OptionsTest, EmptyTextNamesNothing) {
  const userpager_options options = Parsed("");
  const userpager_options defaults = Defaults();
  EXPECT_EQ(memcmp(&options, &defaults, sizeof options), 0);
}

TEST(OptionsTest, WhatIsNotNamedStays) {
  userpager_options options = Defaults();
  options.shards = 7;
  LogLine error;
  ASSERT_EQ(ParseOptions("memory:1G", "test", kMachine, &options, &error), 0);
  EXPECT_EQ(options.shards, 7u);
}

TEST(OptionsTest, Sizes) {
  EXPECT_EQ(Parsed("memory:1").memory_limit_bytes, 1u);
  EXPECT_EQ(Parsed("memory:3K").memory_limit_bytes, 3072u);
  EXPECT_EQ(Parsed("memory:3k").memory_limit_bytes, 3072u);
  EXPECT_EQ(Parsed("memory:5m").memory_limit_bytes, 5 * kMiB);
  EXPECT_EQ(Parsed("memory:2T").memory_limit_bytes, 2048 * kGiB);
  EXPECT_EQ(Parsed("memory:25%").memory_limit_bytes, kGiB);
  EXPECT_EQ(Parsed("memory:100%").memory_limit_bytes, 4 * kGiB);
  EXPECT_EQ(Parsed("page_file_max:400%").page_file_max_bytes, 16 * kGiB);
  EXPECT_EQ(Parsed("memory:18446744073709551615").memory_limit_bytes, UINT64_MAX);
}

TEST(OptionsTest, SizesThatAreNone) {
  for (const char* value : {"", "0", "0%", "-1", "+1", "1.5G", "12Q", "1GB", "G", "%", " 1M", "1M ",
                            "0x10", "101%", "18446744073709551616", "16777216T", "1MM"}) {
    for (const char* key : {"memory", "page_file_max"}) {
      // A page file may be larger than memory.
      if (strcmp(value, "101%") == 0 && strcmp(key, "page_file_max") == 0) continue;
      const std::string message = Refusal(std::string(key) + ":" + value);
      EXPECT_TRUE(Names(message, std::string("\"") + key + "\"")) << message;
      EXPECT_TRUE(Names(message, std::string("\"") + value + "\"")) << message;
    }
  }
}

TEST(OptionsTest, BadValuesAreNamed) {
  for (const char* text : {"shards:0", "shards:65", "shards:two", "shards:1M", "shards:",
                           "commit:maybe", "commit:STRICT", "io:aio", "move:on", "faults:signal",
                           "policy:lru", "page_file:", "encrypt:on", "discard:yes",
                           "without:", "without:move+", "without:Move",
                           "without:move+uring"}) {
    const std::string item = text;
    const size_t colon = item.find(':');
    const std::string message = Refusal(item);
    EXPECT_TRUE(Names(message, "\"" + item.substr(0, colon) + "\"")) << message;
    EXPECT_TRUE(Names(message, "\"" + item.substr(colon + 1) + "\"")) << message;
  }
  EXPECT_NE(Refusal("page_file:/" + std::string(5000, 'x')), "");
}

TEST(OptionsTest, UnknownKeysAreNamedTogetherWithTheKnown) {
  const std::string message = Refusal("memory:1G,memori:2G");
  EXPECT_TRUE(Names(message, "test: unknown option \"memori\"")) << message;
  EXPECT_TRUE(Names(message,
                    "memory, page_file, page_file_max, shards, commit, io, move, faults, policy, "
                    "polling, stats_page, encrypt, discard and without"));
  EXPECT_TRUE(Names(Refusal("memory:1G,"), "unknown option \"\""));
  EXPECT_TRUE(Names(Refusal(",memory:1G"), "unknown option \"\""));
  EXPECT_TRUE(Names(Refusal("memory:1G,,shards:1"), "unknown option \"\""));
  EXPECT_TRUE(Names(Refusal("strict"), "unknown option \"strict\""));
  EXPECT_TRUE(Names(Refusal("memory"), "option \"memory\": \"\" is not"));
}

TEST(OptionsTest, MemoryMayFollowTheMachine) {
  userpager_options options = Parsed("memory:auto");
  EXPECT_EQ(options.memory_mode, USERPAGER_MEMORY_AUTO);
  EXPECT_EQ(options.memory_limit_bytes, 0u);
  LogLine error;
  EXPECT_EQ(ParseOptions("memory:1G", "test", kMachine, &options, &error), 0);
  EXPECT_EQ(options.memory_mode, USERPAGER_MEMORY_FIXED);
  EXPECT_EQ(Defaults().memory_mode, USERPAGER_MEMORY_FIXED);
}

TEST(OptionsTest, AKeyGivenTwiceIsAnError) {
  EXPECT_TRUE(Names(Refusal("memory:1G,memory:1G"), "\"memory\" is given twice"));
}

TEST(OptionsTest, ShareOfUnknownMemoryIsAnError) {
  userpager_options options = Defaults();
  LogLine error;
  EXPECT_EQ(ParseOptions("memory:50%", "test", MachineMemory{}, &options, &error),
            USERPAGER_ERROR_INVALID_OPTION);
}

TEST(OptionsTest, CheckFindsEachBadField) {
  const auto broken = [](auto change) {
    userpager_options options = Defaults();
    change(&options);
    LogLine error;
    const int result = CheckOptions(options, &error);
    EXPECT_NE(error.text(), "");
    return result == USERPAGER_ERROR_INVALID_OPTION;
  };
  EXPECT_TRUE(broken([](userpager_options* o) { o->struct_bytes = 8; }));
  EXPECT_TRUE(broken([](userpager_options* o) { o->shards = 0; }));
  EXPECT_TRUE(broken([](userpager_options* o) { o->shards = Pager::kMaxShards + 1; }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->stats_page, 7, 4); }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->polling, 7, 4); }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->discard, 7, 4); }));
  EXPECT_TRUE(broken([](userpager_options* o) { o->reserved[11] = 1; }));
  EXPECT_TRUE(broken([](userpager_options* o) { o->without = USERPAGER_FEATURE_ALL + 1; }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->encrypt, 7, sizeof o->encrypt); }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->memory_mode, 7, 4); }));
  EXPECT_TRUE(broken([](userpager_options* o) { o->page_file[0] = '\0'; }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(o->page_file, 'x', 4096); }));
  // As C would store them: no enumerator of C++ has these values.
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->commit, 7, sizeof o->commit); }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->io, 7, sizeof o->io); }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->move, 7, sizeof o->move); }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->faults, 7, sizeof o->faults); }));
  EXPECT_TRUE(broken([](userpager_options* o) { memset(&o->policy, 7, sizeof o->policy); }));
}

TEST(OptionsTest, CompletionTakesHalfOfWhatIsAllowed) {
  userpager_options options = Defaults();
  CompleteOptions(kMachine, &options);
  EXPECT_EQ(options.memory_limit_bytes, 2 * kGiB);
}

TEST(OptionsTest, CompletionOfThePageFileFitsMemoryAndDisk) {
  const TempDirectory directory;
  struct statvfs system;
  ASSERT_EQ(statvfs(directory.path().c_str(), &system), 0);
  WriteFile(directory / "file", "");
  for (const std::string& place : {directory.path(), directory / "file"}) {
    userpager_options options = Defaults();
    options.memory_limit_bytes = kMiB + 5;
    strcpy(options.page_file, place.c_str());
    CompleteOptions(kMachine, &options);
    EXPECT_EQ(options.memory_limit_bytes, kMiB);
    if (uint64_t{system.f_bavail} * system.f_frsize < 64 * kMiB) {
      GTEST_SKIP() << "the disk is too full to tell which of the two rules was used";
    }
    EXPECT_EQ(options.page_file_max_bytes, 4 * kMiB);
    options.page_file_max_bytes = 0;
    options.memory_limit_bytes = UINT64_MAX;
    CompleteOptions(kMachine, &options);
    EXPECT_LE(options.page_file_max_bytes, uint64_t{system.f_blocks} * system.f_frsize);
    EXPECT_GE(options.page_file_max_bytes, PageFile::kSmallestBytes);
  }
}

TEST(OptionsTest, CompletionWithoutSuchAPlaceGoesByMemory) {
  userpager_options options = Parsed("memory:1M,page_file:/no/such/place");
  CompleteOptions(kMachine, &options);
  EXPECT_EQ(options.page_file_max_bytes, 4 * kMiB);
}

TEST(OptionsTest, CompletionKeepsWhatIsGiven) {
  userpager_options options = Parsed("memory:5000,page_file_max:9000");
  CompleteOptions(kMachine, &options);
  EXPECT_EQ(options.memory_limit_bytes, 4096u);
  EXPECT_EQ(options.page_file_max_bytes, 8192u);
  options.page_file_max_bytes = UINT64_MAX;
  CompleteOptions(kMachine, &options);
  EXPECT_EQ(options.page_file_max_bytes, PageFile::kLargestBytes);
}

TEST(OptionsTest, MemoryLimitMustBePossible) {
  LogLine error;
  const uint64_t smallest = BytesOf(Pager::SmallestMemoryLimit(2));
  EXPECT_EQ(CheckMemoryLimit(smallest, 2, kMachine, &error), 0);
  EXPECT_EQ(CheckMemoryLimit(kMachine.total_bytes, 2, kMachine, &error), 0);
  EXPECT_EQ(error.text(), "");
  EXPECT_EQ(CheckMemoryLimit(smallest - 1, 2, kMachine, &error), USERPAGER_ERROR_MEMORY_LIMIT);
  EXPECT_TRUE(Names(std::string(error.text()), std::to_string(smallest)));
  LogLine above;
  EXPECT_EQ(CheckMemoryLimit(kMachine.total_bytes + 1, 2, kMachine, &above),
            USERPAGER_ERROR_MEMORY_LIMIT);
  EXPECT_TRUE(Names(std::string(above.text()), std::to_string(kMachine.total_bytes)));
}

}  // namespace
}  // namespace userpager
