#include "bench/support/out_of_core_options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace userpager::bench {
namespace {

std::string Parse(std::vector<std::string> words, OutOfCoreOptions* options) {
  words.insert(words.begin(), "out_of_core_bench");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return ParseOutOfCoreOptions(static_cast<int>(argv.size()), argv.data(), options);
}

TEST(OutOfCoreOptions, TablesAreInTheOrderOfTheirEnums) {
  for (const WorkloadTraits& traits : kWorkloads) {
    EXPECT_STREQ(traits.name, TraitsOf(traits.workload).name);
  }
  for (const BackendTraits& traits : kBackends) {
    EXPECT_STREQ(traits.name, TraitsOf(traits.backend).name);
  }
}

TEST(OutOfCoreOptions, NamesAndSizes) {
  OutOfCoreOptions options;
  ASSERT_EQ(
      "", Parse({"--backend=swap,disk", "--workload=zipf", "--data=64M", "--limit=16M"}, &options));
  EXPECT_EQ((std::vector<Backend>{Backend::kSwap, Backend::kDisk}), options.backends);
  EXPECT_EQ((std::vector<Workload>{Workload::kZipf}), options.workloads);
  EXPECT_EQ(uint64_t{64} << 20, options.data_bytes);
  EXPECT_EQ(4096u, options.limits().memory_pages);
}

TEST(OutOfCoreOptions, AllIsTheDefault) {
  OutOfCoreOptions options;
  ASSERT_EQ("", Parse({}, &options));
  EXPECT_EQ(kBackends.size(), options.backends.size());
  EXPECT_EQ(kWorkloads.size(), options.workloads.size());
}

TEST(OutOfCoreOptions, BadValuesAreNamed) {
  for (const char* bad : {"--backend=nobody", "--backend=", "--workload=swap", "--data=4G",
                          "--data=99999999999999999999", "--data=1X", "--limit=1M", "--rounds=0",
                          "--seconds=61", "--nothing=1", "data=1G", "--data"}) {
    OutOfCoreOptions options;
    EXPECT_NE(std::string::npos, Parse({bad}, &options).find(bad)) << bad;
  }
  OutOfCoreOptions options;
  EXPECT_NE("", Parse({"--data=64M", "--limit=64M"}, &options));
}

TEST(OutOfCoreOptions, AChildHasTheSameOptions) {
  OutOfCoreOptions options;
  ASSERT_EQ("", Parse({"--data=64M", "--limit=16M", "--seconds=3", "--accesses=7",
                       "--directory=/some", "--conf=shards:2", "--cgroup=/one"},
                      &options));
  OutOfCoreOptions child;
  ASSERT_EQ("", Parse(ArgumentsForChild(options, Backend::kDisk, Workload::kFill), &child));
  EXPECT_TRUE(child.child);
  EXPECT_EQ(std::vector<Backend>{Backend::kDisk}, child.backends);
  EXPECT_EQ(std::vector<Workload>{Workload::kFill}, child.workloads);
  EXPECT_EQ(options.data_bytes, child.data_bytes);
  EXPECT_EQ(options.limit_bytes, child.limit_bytes);
  EXPECT_EQ(3u, child.seconds);
  EXPECT_EQ(7u, child.accesses);
  EXPECT_EQ("/some", child.directory);
  EXPECT_EQ("shards:2", child.conf);
  EXPECT_EQ("/one", child.cgroup);
}

}  // namespace
}  // namespace userpager::bench
