// System calls that are given a buffer, each with the buffer in the page file alone at that moment.
// The test runs this program once more under the preload library, and there the disabled test.
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kBallastPages = 2048;  // twice the memory limit

TEST(SystemCalls, OnPagesThatAreOut) {
  if (const std::string why = WhyNotManaged(); !why.empty()) GTEST_SKIP() << why;
  const ProgramRun run = RunManagedTest("SystemCalls", {.memory = "4M"});
  EXPECT_EQ(0, run.status) << run.output << run.complaints;
  EXPECT_NE(std::string::npos, run.output.find("[  PASSED  ] 1 test")) << run.output;
}

char* MapPages(size_t pages) {
  void* got = mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
  EXPECT_NE(MAP_FAILED, got);
  return static_cast<char*>(got);
}

// One page, and what drives it out of memory.
class PageOut {
 public:
  PageOut() : page_(MapPages(1)), ballast_(MapPages(kBallastPages)) {
    std::memset(page_, 'a', kPage);
    page_[0] = '/';
    page_[1] = '\0';
  }
  ~PageOut() {
    munmap(page_, kPage);
    munmap(ballast_, kBallastPages * kPage);
  }

  // The page, which is in the page file alone.
  char* Out() {
    for (size_t i = 0; IsInMemory(); ++i) {
      EXPECT_EQ(0, madvise(page_, kPage, MADV_PAGEOUT));
      for (size_t j = 0; j < 64; ++j) ++ballast_[(i * 64 + j) % kBallastPages * kPage];
    }
    return page_;
  }

 private:
  bool IsInMemory() const {
    unsigned char there = 0;
    EXPECT_EQ(0, mincore(page_, kPage, &there));
    return (there & 1) != 0;
  }

  char* page_;
  char* ballast_;
};

void TransferOn(PageOut& page, int from, int to) {
  EXPECT_EQ(100, write(to, page.Out() + 8, 100));
  EXPECT_EQ(100, read(from, page.Out() + 1000, 100));
  EXPECT_EQ('a', page.Out()[1050]);
  // The vector itself is in the page as well.
  auto* parts = reinterpret_cast<iovec*>(page.Out() + 512);
  parts[0] = {page.Out() + 8, 50};
  parts[1] = {page.Out() + 2000, 50};
  (void)page.Out();
  EXPECT_EQ(100, writev(to, parts, 2));
  (void)page.Out();
  EXPECT_EQ(100, readv(from, parts, 2));
}

void MessagesOn(PageOut& page, int from, int to) {
  auto* part = reinterpret_cast<iovec*>(page.Out() + 512);
  *part = {page.Out() + 8, 50};
  auto* message = reinterpret_cast<msghdr*>(page.Out() + 256);
  *message = {};
  message->msg_iov = part;
  message->msg_iovlen = 1;
  (void)page.Out();
  EXPECT_EQ(50, sendmsg(to, message, 0));
  (void)page.Out();
  EXPECT_EQ(50, recvmsg(from, message, 0));
}

void FilesOn(PageOut& page) {
  const int self = open("/proc/self/exe", O_RDONLY);
  EXPECT_EQ(64, pread(self, page.Out() + 64, 64, 0));
  EXPECT_EQ(0, std::memcmp(page.Out() + 64, "\177ELF", 4));
  EXPECT_EQ(0, access(page.Out(), F_OK)) << "the path is in the page";
  const int folder = open(page.Out(), O_RDONLY | O_DIRECTORY);
  EXPECT_GT(syscall(SYS_getdents64, folder, page.Out() + 512, 1024), 0);
  close(folder);
  close(self);
}

void FutexOn(PageOut& page) {
  auto* word = reinterpret_cast<std::atomic<int>*>(page.Out() + 256);
  *word = 1;
  (void)page.Out();
  EXPECT_EQ(-1, syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 99, nullptr, nullptr, 0));
  EXPECT_EQ(EAGAIN, errno);
  (void)page.Out();
  std::atomic<bool> woken{false};
  std::thread waiter([&] {
    while (*word == 1) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 1, nullptr, nullptr, 0);
    woken = true;
  });
  *word = 2;
  while (!woken) {
    (void)page.Out();
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  waiter.join();
}

void WaitOn(PageOut& page, int from, int to) {
  auto* number = reinterpret_cast<int*>(page.Out() + 256);
  EXPECT_EQ(0, ioctl(from, FIONREAD, number));
  EXPECT_EQ(0, *number);
  auto* now = reinterpret_cast<timespec*>(page.Out() + 128);
  now->tv_nsec = -1;
  EXPECT_EQ(0, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, page.Out() + 128));
  EXPECT_GE(now->tv_nsec, 0);
  EXPECT_EQ(0, clock_gettime(CLOCK_REALTIME, reinterpret_cast<timespec*>(page.Out() + 128)));
  const int poller = epoll_create1(0);
  epoll_event wanted{EPOLLOUT, {.u64 = 5}};
  ASSERT_EQ(0, epoll_ctl(poller, EPOLL_CTL_ADD, to, &wanted));
  auto* events = reinterpret_cast<epoll_event*>(page.Out() + 2048);
  EXPECT_EQ(1, epoll_wait(poller, events, 4, -1));
  EXPECT_EQ(5u, events->data.u64);
  close(poller);
}

int Complete(io_uring& ring) {
  EXPECT_EQ(1, io_uring_submit(&ring));
  io_uring_cqe* done = nullptr;
  EXPECT_EQ(0, io_uring_wait_cqe(&ring, &done));
  const int result = done == nullptr ? -1 : done->res;
  if (done != nullptr) io_uring_cqe_seen(&ring, done);
  return result;
}

void RingOn(PageOut& page, int from, int to) {
  io_uring ring;
  ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
  std::memset(page.Out() + 8, 'r', 100);
  io_uring_prep_write(io_uring_get_sqe(&ring), to, page.Out() + 8, 100, 0);
  EXPECT_EQ(100, Complete(ring));
  io_uring_prep_read(io_uring_get_sqe(&ring), from, page.Out() + 3000, 100, 0);
  EXPECT_EQ(100, Complete(ring));
  EXPECT_EQ('r', page.Out()[3099]);
  io_uring_queue_exit(&ring);
}

TEST(Managed, DISABLED_SystemCalls) {
  int pipe_ends[2];
  int sockets[2];
  ASSERT_EQ(0, pipe(pipe_ends));
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
  PageOut page;
  TransferOn(page, pipe_ends[0], pipe_ends[1]);
  MessagesOn(page, sockets[0], sockets[1]);
  FilesOn(page);
  FutexOn(page);
  WaitOn(page, pipe_ends[0], pipe_ends[1]);
  RingOn(page, pipe_ends[0], pipe_ends[1]);
  for (const int fd : {pipe_ends[0], pipe_ends[1], sockets[0], sockets[1]}) close(fd);
}

}  // namespace
}  // namespace userpager::programs
