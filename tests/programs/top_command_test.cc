// userpager top: as text, and on a terminal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/programs/program_run.h"
#include "tests/programs/talking_program.h"

extern char** environ;

namespace userpager::programs {
namespace {

ProgramRun Top(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {USERPAGER_TOOL, "top"});
  return RunProgram(arguments);
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::unique_ptr<TalkingProgram> RunSomething() {
  auto program = std::make_unique<TalkingProgram>(
      std::vector<std::string>{"/bin/cat"},
      RunOptions{.memory = "8M", .input = {}, .environment = {}});
  program->WriteLine("here");
  EXPECT_EQ("here", program->ReadLine());
  return program;
}

TEST(TopCommandTest, OneProcessAsText) {
  const auto program = RunSomething();
  const std::string pid = std::to_string(program->number());
  const ProgramRun run = Top({"-b", "-n", "2", "-d", "0.1", pid});
  EXPECT_EQ(0, run.status) << run.complaints;
  EXPECT_EQ("", run.complaints);
  EXPECT_EQ(2u, CountOf(run.output, "process     " + pid + " (cat), 1 shard\n")) << run.output;
  EXPECT_EQ(2u, CountOf(run.output, " of     8.0M ")) << run.output;
  for (const char* line : {"\nresident ", "\npage file ", "\nin ", "\nout ", "\nreadahead ",
                           "\nfirst touch ", "\nsoft ", "\nhard ", "\nwrite-protect "}) {
    EXPECT_EQ(2u, CountOf(run.output, line)) << line;
  }
  EXPECT_EQ(0u, CountOf(run.output, "\x1b"));
  EXPECT_EQ(0, program->Finish());
}

// All its faults are in one mapping, which the kernel knows by the same address.
TEST(TopCommandTest, TheRegionsThatFaultMost) {
  if (!IsThere("python3")) GTEST_SKIP() << "needs the package python3";
  TalkingProgram program(
      {"/usr/bin/python3", "-uc",
       "import mmap\n"
       "m = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
       "while True:\n"
       "    for i in range(0, len(m), 4096): m[i] = 1\n"
       "    print('round')\n"},
      RunOptions{.memory = "16M", .input = {}, .environment = {}});
  EXPECT_EQ("round", program.ReadLine());
  const std::string pid = std::to_string(program.number());
  for (bool shown = false; !shown;) {
    const ProgramRun run = Top({"-b", "-n", "1", "-d", "0.3", pid});
    ASSERT_EQ(0, run.status) << run.complaints;
    const size_t at = run.output.find("\nREGIONS ");
    // The machine may give it no time between two looks.
    if (at == std::string::npos) continue;
    shown = true;
    std::istringstream lines(run.output.substr(at + 1));
    std::string line;
    std::getline(lines, line);
    std::getline(lines, line);
    EXPECT_NE(std::string::npos, line.find("32.0M")) << run.output;
    std::istringstream words(line);
    std::string address;
    double rate = 0;
    double percent = 0;
    words >> address >> rate >> percent;
    EXPECT_GT(rate, 0) << run.output;
    EXPECT_GT(percent, 50) << run.output;
  }
}

TEST(TopCommandTest, AllProcessesAsText) {
  const auto program = RunSomething();
  const ProgramRun run = Top({"-b", "-n", "1", "-d", "0.1"});
  EXPECT_EQ(0, run.status) << run.complaints;
  EXPECT_EQ(1u, CountOf(run.output, "     PID NAME"));
  EXPECT_EQ(1u, CountOf(run.output, " " + std::to_string(program->number()) + " cat "))
      << run.output;
  EXPECT_EQ(0, program->Finish());
}

TEST(TopCommandTest, TheEndOfTheProcessIsTheEnd) {
  const auto program = RunSomething();
  TalkingProgram top(
      {USERPAGER_TOOL, "top", "-b", "-d", "0.1", std::to_string(program->number())});
  EXPECT_EQ(0u, top.ReadLine().find("userpager top, "));
  EXPECT_EQ(0, program->Finish());
  while (!top.ReadLine().empty() || !top.ReadLine().empty()) {
  }
  EXPECT_EQ(0, top.Finish());
}

TEST(TopCommandTest, WrongArguments) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"-x"}, {"-n"}, {"-b", "-n", "0"}, {"-b", "-n", "many"}, {"-b", "-d", "0"},
           {"-b", "-d", "1e9"}, {"-b", "1", "2"}, {""}, {"-b", "-n", "-1"}}) {
    const ProgramRun run = Top(arguments);
    EXPECT_EQ(2, run.status) << testing::PrintToString(arguments);
    EXPECT_EQ(1, std::count(run.complaints.begin(), run.complaints.end(), '\n'));
  }
  // Without a terminal.
  EXPECT_EQ(2, Top({}).status);
  EXPECT_EQ(1, Top({"-b", "-n", "1", "1999999999"}).status);
}

// The tool on a terminal of its own.
class OnTerminal {
 public:
  explicit OnTerminal(std::vector<std::string> environment = {}, unsigned short rows = 24,
                      unsigned short columns = 100) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    EXPECT_EQ(0, openpty(&ours_, &theirs_, nullptr, nullptr, &size));
    fcntl(ours_, F_SETFD, FD_CLOEXEC);
    tcgetattr(theirs_, &before_);
    std::vector<std::string> arguments = {USERPAGER_TOOL, "top", "-d", "0.1"};
    for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    for (int file = 0; file < 3; ++file) posix_spawn_file_actions_adddup2(&files, theirs_, file);
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> all;
      for (std::string& text : texts) all.push_back(text.data());
      all.push_back(nullptr);
      return all;
    };
    EXPECT_EQ(0, posix_spawn(&number_, USERPAGER_TOOL, &files, nullptr,
                             pointers(arguments).data(), pointers(environment).data()));
    posix_spawn_file_actions_destroy(&files);
  }
  ~OnTerminal() {
    if (number_ > 0) {
      kill(number_, SIGKILL);
      (void)Wait();
    }
    close(ours_);
    close(theirs_);
  }

  // Reads what comes next.
  void AwaitMore() {
    constexpr int kPatienceMs = 60'000;
    pollfd ready{ours_, POLLIN, 0};
    ASSERT_EQ(1, poll(&ready, 1, kPatienceMs)) << seen_;
    char part[4096];
    const ssize_t got = read(ours_, part, sizeof part);
    ASSERT_GT(got, 0) << seen_;
    seen_.append(part, static_cast<size_t>(got));
  }
  // Reads until the text is there.
  void Await(const std::string& text) {
    while (!testing::Test::HasFatalFailure() && seen_.find(text) == std::string::npos) {
      AwaitMore();
    }
  }
  void Press(char key) { EXPECT_EQ(1, write(ours_, &key, 1)); }
  void Signal(int signal) const { kill(number_, signal); }
  bool AwaitStop() const {
    int status = 0;
    return waitpid(number_, &status, WUNTRACED) == number_ && WIFSTOPPED(status);
  }
  int Wait() {
    int status = 0;
    waitpid(number_, &status, 0);
    number_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool IsAsBefore() const {
    termios now{};
    tcgetattr(theirs_, &now);
    return now.c_lflag == before_.c_lflag;
  }
  const std::string& seen() const { return seen_; }

 private:
  int ours_ = -1;
  int theirs_ = -1;
  pid_t number_ = 0;
  termios before_{};
  std::string seen_;
};

TEST(TopCommandTest, OnATerminalUntilQIsPressed) {
  const auto program = RunSomething();
  OnTerminal top({"NO_COLOR="});
  top.Await("RESIDENT");
  top.Await(std::to_string(program->number()) + " cat ");
  EXPECT_EQ(1u, CountOf(top.seen(), "\x1b[?1049h"));
  EXPECT_LT(0u, CountOf(top.seen(), "\x1b[1m"));
  EXPECT_FALSE(top.IsAsBefore());
  top.Press('q');
  top.Await("\x1b[?1049l");
  EXPECT_EQ(0, top.Wait());
  EXPECT_TRUE(top.IsAsBefore());
  EXPECT_EQ(0, program->Finish());
}

// What is shown is what has room, each line up to the last column, and the screen stays in its
// place: there is no end of line behind the last row.
TEST(TopCommandTest, OnATerminalOfAnySize) {
  const std::pair<unsigned short, unsigned short> sizes[] = {{1, 80}, {3, 20}, {2, 1}};
  for (const auto& [rows, columns] : sizes) {
    OnTerminal top({"NO_COLOR=1"}, rows, columns);
    const std::string head = "\x1b[H\x1b[K" + std::string("userpager top, ").substr(0, columns);
    while (!HasFatalFailure() && CountOf(top.seen(), head) < 3) top.AwaitMore();
    const size_t begin = top.seen().find(head);
    const std::string picture =
        top.seen().substr(begin, top.seen().find(head, begin + 1) - begin);
    EXPECT_EQ(size_t{rows} - 1, CountOf(picture, "\r\n")) << picture;
    if (rows == 3) {
      EXPECT_LT(0u, CountOf(top.seen(), "\r\n\x1b[K     PID NAME       \x1b[H"));
    }
    top.Press('q');
    top.Await("\x1b[?1049l");
    EXPECT_EQ(0, top.Wait());
  }
}

TEST(TopCommandTest, ATerminalThatPrintsLettersAloneIsRefused) {
  OnTerminal top({"TERM=dumb"});
  top.Await("-b writes text");
  EXPECT_EQ(2, top.Wait());
  EXPECT_EQ(0u, CountOf(top.seen(), "\x1b"));
}

// Ctrl-Z: the shell has the screen as it was, and finds it taken again when the command goes on.
TEST(TopCommandTest, StoppedItGivesTheScreenBack) {
  OnTerminal top({"NO_COLOR=1"});
  top.Await("RESIDENT");
  top.Signal(SIGTSTP);
  top.Await("\x1b[?1049l");
  EXPECT_TRUE(top.AwaitStop());
  EXPECT_TRUE(top.IsAsBefore());
  top.Signal(SIGCONT);
  while (!HasFatalFailure() && CountOf(top.seen(), "\x1b[?1049h") < 2) top.AwaitMore();
  top.Await("\x1b[?1049h\x1b[?25l\x1b[H");
  EXPECT_FALSE(top.IsAsBefore());
  top.Press('q');
  EXPECT_EQ(0, top.Wait());
  EXPECT_TRUE(top.IsAsBefore());
}

TEST(TopCommandTest, AsTextItStopsToo) {
  TalkingProgram top({USERPAGER_TOOL, "top", "-b", "-d", "0.1"});
  EXPECT_EQ(0u, top.ReadLine().find("userpager top, "));
  kill(top.number(), SIGTSTP);
  int status = 0;
  EXPECT_EQ(top.number(), waitpid(top.number(), &status, WUNTRACED));
  EXPECT_TRUE(WIFSTOPPED(status));
  kill(top.number(), SIGCONT);
  kill(top.number(), SIGTERM);
  EXPECT_EQ(0, top.Finish());
}

TEST(TopCommandTest, WithoutColourAndEndedBySignals) {
  for (const int signal : {SIGINT, SIGTERM}) {
    OnTerminal top({"NO_COLOR=1"});
    top.Await("RESIDENT");
    EXPECT_EQ(0u, CountOf(top.seen(), "\x1b[1m"));
    top.Signal(signal);
    top.Await("\x1b[?1049l");
    EXPECT_EQ(0, top.Wait());
    EXPECT_TRUE(top.IsAsBefore());
  }
}

}  // namespace
}  // namespace userpager::programs
