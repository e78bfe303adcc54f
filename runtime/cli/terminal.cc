#include "runtime/cli/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>

namespace userpager::cli {
namespace {

constexpr const char* kTakeScreen = "\x1b[?1049h\x1b[?25l";
constexpr const char* kGiveScreenBack = "\x1b[?25h\x1b[?1049l";
constexpr const char* kHome = "\x1b[H";
constexpr const char* kClearLine = "\x1b[K";
constexpr const char* kRestOfScreen = "\x1b[J";
constexpr const char* kEmphasis = "\x1b[1m";
constexpr const char* kPlain = "\x1b[0m";
constexpr int kEndingSignals[] = {SIGINT, SIGTERM, SIGHUP};

volatile sig_atomic_t ended = 0;
volatile sig_atomic_t resized = 0;
volatile sig_atomic_t stopped = 0;

void NoteEnd(int) { ended = 1; }
void NoteSize(int) { resized = 1; }
void NoteStop(int) { stopped = 1; }

// Until somebody lets the process go on (SIGCONT).
void Stop() {
  stopped = 0;
  raise(SIGSTOP);
}

// The signals are let in only while the command waits, so none is missed.
class WaitingSignals {
 public:
  WaitingSignals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : kEndingSignals) Handle(signal, &NoteEnd, &held);
    Handle(SIGWINCH, &NoteSize, &held);
    Handle(SIGTSTP, &NoteStop, &held);
    sigprocmask(SIG_BLOCK, &held, &let_in_);
  }
  const sigset_t* let_in() const { return &let_in_; }

 private:
  static void Handle(int signal, void (*handler)(int), sigset_t* held) {
    struct sigaction action {};
    action.sa_handler = handler;
    sigaction(signal, &action, nullptr);
    sigaddset(held, signal);
  }

  sigset_t let_in_;
};

const WaitingSignals& Signals() {
  static const WaitingSignals signals;
  return signals;
}

// Waits for input, if `input` is to be looked at, until the time or a signal. Whether input came.
bool Wait(bool input, std::chrono::steady_clock::time_point when) {
  const auto left = std::max(std::chrono::nanoseconds(0),
                             std::chrono::nanoseconds(when - std::chrono::steady_clock::now()));
  const timespec timeout{static_cast<time_t>(left.count() / 1'000'000'000),
                         static_cast<long>(left.count() % 1'000'000'000)};
  pollfd keys{STDIN_FILENO, POLLIN, 0};
  return ppoll(&keys, input ? 1 : 0, &timeout, Signals().let_in()) > 0;
}

}  // namespace

bool UnderstandsEscapes(int file) {
  const char* kind = std::getenv("TERM");
  return isatty(file) == 1 && (kind == nullptr || std::strcmp(kind, "dumb") != 0);
}

bool MayUseColour() {
  const char* refused = std::getenv("NO_COLOR");
  return UnderstandsEscapes(STDOUT_FILENO) && (refused == nullptr || *refused == '\0');
}

bool Terminal::IsThere() {
  return isatty(STDIN_FILENO) == 1 && UnderstandsEscapes(STDOUT_FILENO);
}

Terminal::Terminal() {
  (void)Signals();
  Take();
}

Terminal::~Terminal() { GiveBack(); }

void Terminal::Take() {
  tcgetattr(STDIN_FILENO, &before_);
  termios changed = before_;
  changed.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  changed.c_cc[VMIN] = 1;
  changed.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &changed);
  std::cout << kTakeScreen << std::flush;
}

void Terminal::GiveBack() {
  std::cout << kGiveScreenBack << std::flush;
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void Terminal::Show(const std::vector<std::string>& lines, int emphasised) {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 &&
                     size.ws_row > 0;
  const size_t columns = known ? size.ws_col : 80;
  const size_t rows = known ? size.ws_row : 24;
  std::string screen = kHome;
  for (size_t i = 0; i < std::min(lines.size(), rows); ++i) {
    // Behind the last row the screen would move. A line is cleared before it is written: behind a
    // full one the cursor still stands on its last letter.
    screen += i == 0 ? kClearLine : std::string("\r\n") + kClearLine;
    const bool bold = static_cast<int>(i) == emphasised && MayUseColour();
    if (bold) screen += kEmphasis;
    screen += lines[i].substr(0, columns);
    if (bold) screen += kPlain;
  }
  if (lines.size() < rows) screen += std::string("\r\n") + kRestOfScreen;
  std::cout << screen << std::flush;
}

Terminal::Event Terminal::AwaitUntil(std::chrono::steady_clock::time_point when) {
  while (ended == 0 && std::chrono::steady_clock::now() < when) {
    if (stopped != 0) {
      GiveBack();
      Stop();
      Take();
      resized = 1;
    }
    if (resized != 0) {
      resized = 0;
      return Event::kResized;
    }
    if (!Wait(true, when)) continue;
    char key = 0;
    const ssize_t got = read(STDIN_FILENO, &key, 1);
    // A terminal that is gone gives nothing any more.
    if (got <= 0 || key == 'q' || key == 'Q') return Event::kQuit;
  }
  return ended != 0 ? Event::kQuit : Event::kTime;
}

bool SleepUntil(std::chrono::steady_clock::time_point when) {
  while (ended == 0 && std::chrono::steady_clock::now() < when) {
    if (stopped != 0) Stop();
    (void)Wait(false, when);
  }
  return ended == 0;
}

}  // namespace userpager::cli
