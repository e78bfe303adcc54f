// The promises of IoEngine, held against each engine: over io_uring as on new and on older kernels,
// asleep and awake, and on threads.
#include "runtime/page_file/io_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/clock.h"
#include "runtime/page_file/thread_engine.h"
#include "runtime/page_file/uring_engine.h"
#include "tests/page_file/page_memory.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"
#include "tests/support/temp_directory.h"

namespace userpager {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
// Long enough for anything that is to come; nothing waits for it to pass.
constexpr uint64_t kPatience = 30 * kSecond;

enum class Kind { kUring, kUringAwake, kUringPoll, kUringPlain, kThreads };

std::unique_ptr<IoEngine> MakeEngine(Kind kind) {
  using MessageMode = UringEngine::MessageMode;
  switch (kind) {
    case Kind::kUring:
    case Kind::kUringAwake: return std::make_unique<UringEngine>();
    case Kind::kUringPoll: return std::make_unique<UringEngine>(MessageMode::kPoll);
    case Kind::kUringPlain:
      return std::make_unique<UringEngine>(MessageMode::kRead, IoRing::Mode::kPlain);
    case Kind::kThreads: return std::make_unique<ThreadEngine>();
  }
  return nullptr;
}

class IoEngineTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    engine_ = MakeEngine(GetParam());
    const Errno error = engine_->Open();
    if (GetParam() != Kind::kThreads && (error == EPERM || error == ENOSYS || error == EACCES)) {
      GTEST_SKIP() << "SKIPPED: io_uring is forbidden here: " << strerror(error);
    }
    ASSERT_EQ(error, 0);
    if (GetParam() == Kind::kUringAwake) engine_->StayAwake(NowNanoseconds() + kPatience);
    const std::string path = directory_ / "file";
    file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
    if (file_ < 0) file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(file_, 0);
  }
  void TearDown() override {
    engine_.reset();
    if (file_ >= 0) close(file_);
  }

  IoCompletion WaitForOne() {
    IoCompletion completion{};
    EXPECT_EQ(engine_->Wait({&completion, 1}, kPatience), 1u);
    return completion;
  }

  TempDirectory directory_;
  std::unique_ptr<IoEngine> engine_;
  int file_ = -1;
};

struct Transfer {
  uint64_t first_page;
  std::vector<iovec> parts;
  uint64_t bytes = 0;
  bool done = false;
};

// Cuts [0, pages) into transfers of up to 8 pages each, in a random order. The pages of a transfer
// lie in memory in the reverse order, so that they are parts of their own.
std::vector<Transfer> CutIntoTransfers(const PageMemory& memory, uint64_t pages,
                                       std::mt19937_64* random) {
  std::vector<Transfer> transfers;
  for (uint64_t at = 0; at < pages;) {
    const uint64_t count = std::min(1 + (*random)() % 8, pages - at);
    Transfer transfer{at, {}, count * kPageBytes};
    for (uint64_t i = 0; i < count; ++i) {
      transfer.parts.push_back({memory[pages - 1 - (at + i)], kPageBytes});
    }
    transfers.push_back(std::move(transfer));
    at += count;
  }
  std::shuffle(transfers.begin(), transfers.end(), *random);
  return transfers;
}

// Runs them with as many under way as the engine takes, and checks that each completes once, whole.
void RunAll(IoEngine* engine, IoDirection direction, int file, std::vector<Transfer>* transfers) {
  size_t submitted = 0;
  size_t completed = 0;
  while (completed < transfers->size()) {
    for (; submitted < transfers->size() && submitted - completed < engine->capacity();
         ++submitted) {
      const Transfer& transfer = (*transfers)[submitted];
      engine->Submit(
          {direction, file, transfer.parts, transfer.first_page * kPageBytes, submitted});
    }
    IoCompletion completions[16];
    const size_t count = engine->Wait(completions, kPatience);
    ASSERT_GT(count, 0u);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_LT(completions[i].tag, submitted);
      Transfer& transfer = (*transfers)[completions[i].tag];
      ASSERT_FALSE(std::exchange(transfer.done, true)) << "completed twice";
      ASSERT_EQ(completions[i].result, static_cast<int64_t>(transfer.bytes));
    }
    completed += count;
  }
  IoCompletion more;
  EXPECT_EQ(engine->Wait({&more, 1}, 0), 0u);
}

TEST_P(IoEngineTest, ManyTransfersReadAndWriteTheRightPlaces) {
  constexpr uint64_t kPages = 4096;
  std::mt19937_64 random(TestSeed());
  PageMemory memory(kPages);
  for (uint64_t page = 0; page < kPages; ++page) FillPage(memory[kPages - 1 - page], page);
  std::vector<Transfer> writes = CutIntoTransfers(memory, kPages, &random);
  ASSERT_GT(writes.size(), engine_->capacity());
  ASSERT_NO_FATAL_FAILURE(RunAll(engine_.get(), IoDirection::kWrite, file_, &writes));

  const std::string content = ContentOf(directory_ / "file");
  ASSERT_EQ(content.size(), kPages * kPageBytes);
  for (uint64_t page = 0; page < kPages; ++page) {
    ASSERT_TRUE(IsPageFilled(&content[page * kPageBytes], page)) << "page " << page << " in file";
    memset(memory[page], 0, kPageBytes);
  }
  std::vector<Transfer> reads = CutIntoTransfers(memory, kPages, &random);
  ASSERT_NO_FATAL_FAILURE(RunAll(engine_.get(), IoDirection::kRead, file_, &reads));
  for (uint64_t page = 0; page < kPages; ++page) {
    ASSERT_TRUE(IsPageFilled(memory[kPages - 1 - page], page)) << "page " << page << " in memory";
  }
}

TEST_P(IoEngineTest, ReadAtTheEndOfTheFileIsShort) {
  PageMemory memory(4);
  ASSERT_EQ(ftruncate(file_, 3 * kPageBytes), 0);
  const iovec parts[] = {{memory[0], kPageBytes}, {memory[2], 2 * kPageBytes}};
  engine_->Submit({IoDirection::kRead, file_, parts, 2 * kPageBytes, 7});
  IoCompletion completion = WaitForOne();
  EXPECT_EQ(completion.tag, 7u);
  EXPECT_EQ(completion.result, int64_t{kPageBytes});
  engine_->Submit({IoDirection::kRead, file_, {parts, 1}, 3 * kPageBytes, 8});
  completion = WaitForOne();
  EXPECT_EQ(completion.tag, 8u);
  EXPECT_EQ(completion.result, 0);
}

TEST_P(IoEngineTest, FailureOfATransferIsItsResult) {
  PageMemory memory(1);
  const iovec part = {memory[0], kPageBytes};
  const int read_only = open((directory_ / "file").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(read_only, 0);
  engine_->Submit({IoDirection::kWrite, read_only, {&part, 1}, 0, UINT64_MAX});
  const IoCompletion completion = WaitForOne();
  EXPECT_EQ(completion.tag, UINT64_MAX);
  EXPECT_EQ(completion.result, -EBADF);
  close(read_only);
}

TEST_P(IoEngineTest, WaitStoresNoMoreThanThereIsRoomFor) {
  PageMemory memory(10);
  std::vector<iovec> parts;
  for (uint64_t i = 0; i < 10; ++i) parts.push_back({memory[i], kPageBytes});
  for (uint64_t i = 0; i < 10; ++i) {
    engine_->Submit({IoDirection::kWrite, file_, {&parts[i], 1}, i * kPageBytes, i});
  }
  uint64_t seen = 0;
  for (unsigned i = 0; i < 10; ++i) seen |= uint64_t{1} << WaitForOne().tag;
  EXPECT_EQ(seen, 0x3ffu);
}

TEST_P(IoEngineTest, WaitEndsWhenItsTimeHasPassed) {
  IoCompletion completions[4];
  EXPECT_EQ(engine_->Wait(completions, 0), 0u);
  const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t value = 0;
  engine_->SubmitMessageRead(event, &value, sizeof value, 1);
  EXPECT_EQ(engine_->Wait(completions, 0), 0u);
  constexpr uint64_t kTimeout = 30'000'000;
  const uint64_t begin = NowNanoseconds();
  EXPECT_EQ(engine_->Wait(completions, kTimeout), 0u);
  EXPECT_GE(NowNanoseconds() - begin, kTimeout);
  engine_.reset();
  close(event);
}

TEST_P(IoEngineTest, MessageThatIsThereAndMessageThatComes) {
  const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t value = 0;
  ASSERT_EQ(eventfd_write(event, 5), 0);
  engine_->SubmitMessageRead(event, &value, sizeof value, 11);
  IoCompletion completion = WaitForOne();
  EXPECT_EQ(completion.tag, 11u);
  EXPECT_EQ(completion.result, 8);
  EXPECT_EQ(value, 5u);
  for (uint64_t i = 1; i <= 200; ++i) {
    engine_->SubmitMessageRead(event, &value, sizeof value, 100 + i);
    std::thread sender([&] { ASSERT_EQ(eventfd_write(event, i), 0); });
    completion = WaitForOne();
    sender.join();
    ASSERT_EQ(completion.tag, 100 + i);
    ASSERT_EQ(completion.result, 8);
    ASSERT_EQ(value, i);
  }
  close(event);
}

// A directory is always ready, and cannot be read.
TEST_P(IoEngineTest, ReadThatFailsIsOver) {
  const int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(directory, 0);
  uint64_t value = 7;
  engine_->SubmitMessageRead(directory, &value, sizeof value, 5);
  const IoCompletion completion = WaitForOne();
  EXPECT_EQ(completion.tag, 5u);
  EXPECT_LT(completion.result, 0);
  EXPECT_EQ(value, 7u);
  IoCompletion completions[4];
  EXPECT_EQ(engine_->Wait(completions, 0), 0u) << "it is not tried again";
  close(directory);
}

// Two reads wait for one message: one gets it, the other goes on waiting.
TEST_P(IoEngineTest, ReadWhoseMessageIsGoneStaysPending) {
  const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t values[2] = {};
  engine_->SubmitMessageRead(event, &values[0], sizeof values[0], 0);
  engine_->SubmitMessageRead(event, &values[1], sizeof values[1], 1);
  IoCompletion completions[4];
  ASSERT_EQ(engine_->Wait(completions, 0), 0u);
  ASSERT_EQ(eventfd_write(event, 3), 0);
  const uint64_t first = WaitForOne().tag;
  ASSERT_LT(first, 2u);
  EXPECT_EQ(engine_->Wait(completions, 0), 0u);
  ASSERT_EQ(eventfd_write(event, 4), 0);
  EXPECT_EQ(WaitForOne().tag, 1 - first);
  EXPECT_EQ(values[first], 3u);
  EXPECT_EQ(values[1 - first], 4u);
  close(event);
}

TEST_P(IoEngineTest, MessagesAndTransfersComeFromOneWait) {
  constexpr uint64_t kRounds = 300;
  constexpr uint64_t kMessageTag = 1'000'000;
  PageMemory memory(16);
  const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
  uint64_t value = 0;
  engine_->SubmitMessageRead(event, &value, sizeof value, kMessageTag);
  std::thread sender([&] {
    for (uint64_t i = 0; i < kRounds; ++i) ASSERT_EQ(eventfd_write(event, 1), 0);
  });
  std::vector<iovec> parts;
  for (uint64_t i = 0; i < 16; ++i) parts.push_back({memory[i], kPageBytes});
  uint64_t messages = 0;
  uint64_t transfers = 0;
  uint64_t submitted = 0;
  while (messages < kRounds || transfers < kRounds) {
    for (; submitted < kRounds && submitted - transfers < 16; ++submitted) {
      engine_->Submit({IoDirection::kWrite, file_, {&parts[submitted % 16], 1},
                       submitted % 64 * kPageBytes, submitted});
    }
    IoCompletion completions[8];
    const size_t count = engine_->Wait(completions, kPatience);
    ASSERT_GT(count, 0u);
    for (size_t i = 0; i < count; ++i) {
      if (completions[i].tag != kMessageTag) {
        ++transfers;
        continue;
      }
      ASSERT_EQ(value, 1u);
      if (++messages < kRounds) {
        engine_->SubmitMessageRead(event, &value, sizeof value, kMessageTag);
      }
    }
  }
  sender.join();
  EXPECT_EQ(messages, kRounds);
  EXPECT_EQ(transfers, kRounds);
  EXPECT_EQ(eventfd_read(event, &value), -1) << "each was read once";
  close(event);
}

TEST_P(IoEngineTest, SignalsDoNotEndAWait) {
  if (kThreadSanitizer && GetParam() != Kind::kThreads) {
    GTEST_SKIP() << "SKIPPED: ThreadSanitizer holds signals back while a thread waits in io_uring";
  }
  static std::atomic<int> caught{0};
  caught = 0;
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) { ++caught; };  // without SA_RESTART
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t value = 0;
  engine_->SubmitMessageRead(event, &value, sizeof value, 1);
  const pthread_t waiter = pthread_self();
  std::thread sender([&] {
    for (int i = 1; i <= 20; ++i) {
      pthread_kill(waiter, SIGUSR1);
      while (caught < i) std::this_thread::yield();
    }
    ASSERT_EQ(eventfd_write(event, 9), 0);
  });
  IoCompletion completion{};
  EXPECT_EQ(engine_->Wait({&completion, 1}, IoEngine::kNoTimeout), 1u);
  sender.join();
  EXPECT_EQ(value, 9u);
  EXPECT_EQ(caught, 20);
  EXPECT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
  close(event);
}

// A userfaultfd that has been set up; -1 where there is none to be had.
int OpenUserfaultfd(int flags) {
  const auto faults = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags));
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  EXPECT_TRUE(faults < 0 || ioctl(faults, UFFDIO_API, &api) == 0);
  return faults;
}

bool CatchMissing(int faults, const void* memory, uint64_t pages) {
  uffdio_register registration{
      .range = {reinterpret_cast<uint64_t>(memory), pages * kPageBytes},
      .mode = UFFDIO_REGISTER_MODE_MISSING,
      .ioctls = 0};
  return ioctl(faults, UFFDIO_REGISTER, &registration) == 0;
}

// One page of a real userfaultfd after the other: the message comes through the engine, the answer
// lets the thread go on.
TEST_P(IoEngineTest, MessagesOfAUserfaultfd) {
  constexpr uint64_t kPages = 100;
  const int faults = OpenUserfaultfd(UFFD_USER_MODE_ONLY);
  if (faults < 0) GTEST_SKIP() << "SKIPPED: no userfaultfd here: " << strerror(errno);
  PageMemory memory(kPages);
  ASSERT_TRUE(CatchMissing(faults, memory[0], kPages));
  const auto base = reinterpret_cast<uint64_t>(memory[0]);
  uffd_msg messages[8] = {};
  engine_->SubmitMessageRead(faults, messages, sizeof messages, 1);
  uint64_t sum = 0;
  std::thread toucher([&] {
    for (uint64_t i = 0; i < kPages; ++i) sum += static_cast<uint64_t>(*memory[i] == 0);
  });
  for (uint64_t i = 0; i < kPages; ++i) {
    const IoCompletion completion = WaitForOne();
    EXPECT_EQ(completion.result, int64_t{sizeof(uffd_msg)});
    EXPECT_EQ(messages[0].event, UFFD_EVENT_PAGEFAULT);
    EXPECT_EQ(messages[0].arg.pagefault.address, base + i * kPageBytes);
    engine_->SubmitMessageRead(faults, messages, sizeof messages, 1);
    uffdio_zeropage answer{.range = {base + i * kPageBytes, kPageBytes}, .mode = 0, .zeropage = 0};
    EXPECT_EQ(ioctl(faults, UFFDIO_ZEROPAGE, &answer), 0);
  }
  toucher.join();
  EXPECT_EQ(sum, kPages);
  engine_.reset();
  close(faults);
}

// The thread that waits for a write answers the fault that the write runs into.
TEST_P(IoEngineTest, WriteOfAPageThatIsMissing) {
  const int faults = OpenUserfaultfd(0);
  if (faults < 0) GTEST_SKIP() << "SKIPPED: no right to faults of the kernel: " << strerror(errno);
  PageMemory memory(1);
  ASSERT_TRUE(CatchMissing(faults, memory[0], 1));
  uffd_msg message{};
  engine_->SubmitMessageRead(faults, &message, sizeof message, 1);
  const iovec part = {memory[0], kPageBytes};
  engine_->Submit({.direction = IoDirection::kWrite, .descriptor = file_, .parts = {&part, 1},
                   .offset_bytes = 0, .tag = 2, .may_fault = true});
  ASSERT_EQ(WaitForOne().tag, 1u);
  PageMemory content(1);
  FillPage(content[0], 42);
  uffdio_copy answer{};
  answer.dst = reinterpret_cast<uint64_t>(memory[0]);
  answer.src = reinterpret_cast<uint64_t>(content[0]);
  answer.len = kPageBytes;
  ASSERT_EQ(ioctl(faults, UFFDIO_COPY, &answer), 0);
  const IoCompletion completion = WaitForOne();
  EXPECT_EQ(completion.tag, 2u);
  EXPECT_EQ(completion.result, int64_t{kPageBytes});
  EXPECT_TRUE(IsPageFilled(ContentOf(directory_ / "file").data(), 42));
  close(faults);
}

INSTANTIATE_TEST_SUITE_P(Engines, IoEngineTest,
                         testing::Values(Kind::kUring, Kind::kUringAwake, Kind::kUringPoll,
                                         Kind::kUringPlain, Kind::kThreads),
                         [](const auto& kind) {
                           switch (kind.param) {
                             case Kind::kUring: return "Uring";
                             case Kind::kUringAwake: return "UringAwake";
                             case Kind::kUringPoll: return "UringPoll";
                             case Kind::kUringPlain: return "UringPlain";
                             case Kind::kThreads: return "Threads";
                           }
                           return "";
                         });

}  // namespace
}  // namespace userpager
