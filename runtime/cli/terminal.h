// Terminal: a whole screen for a command that refreshes what it shows, given back as it was.
#ifndef USERPAGER_CLI_TERMINAL_H_
#define USERPAGER_CLI_TERMINAL_H_

#include <termios.h>

#include <chrono>
#include <string>
#include <vector>

namespace userpager::cli {

// Whether the file is a terminal that can do more than print letters (TERM=dumb: an editor's).
bool UnderstandsEscapes(int file);

// Whether text on standard output may have colours: it is such a terminal, and NO_COLOR is not
// set.
bool MayUseColour();

class Terminal {
 public:
  // Standard input and output are such a terminal.
  static bool IsThere();

  // Takes the screen; keys come one at a time.
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Shows lines in place of those before, cut to the size of the screen. `emphasised` is the one
  // that is a head (none: -1).
  void Show(const std::vector<std::string>& lines, int emphasised);

  enum class Event { kTime, kQuit, kResized };
  // Waits until the time, for the key q, or for a signal that ends the command or has changed the
  // size of the screen. While the command is stopped (SIGTSTP: Ctrl-Z) the screen is as it was
  // before; going on counts as a change of size.
  Event AwaitUntil(std::chrono::steady_clock::time_point when);

 private:
  void Take();
  void GiveBack();

  termios before_ = {};
};

// Waits until the time; false where a signal that ends the command came before. For commands
// without a screen.
bool SleepUntil(std::chrono::steady_clock::time_point when);

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_TERMINAL_H_
