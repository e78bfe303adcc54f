// StatisticsFile: the pager's statistics as JSON, written when the process ends, into the file that
// USERPAGER_STATS names.
#ifndef USERPAGER_PRELOAD_STATISTICS_FILE_H_
#define USERPAGER_PRELOAD_STATISTICS_FILE_H_

namespace userpager {

class StatisticsFile {
 public:
  // Looks whether statistics are wanted, and takes the name out of the environment: programs that
  // this one starts write none. Once, at the start.
  static void Begin();
  // In a forked child: the file is its parent's.
  static void ForgetInChild();
};

}  // namespace userpager

#endif  // USERPAGER_PRELOAD_STATISTICS_FILE_H_
