// AccessTrace: the pages that a program touches, one after another. Some are made here, as the
// literature on replacement makes them; any other can be read from a file.
//
// A trace file is text: one access a line, the page's number in decimal, or in hexadecimal after
// 0x; empty lines and lines that begin with # mean nothing. For example the loads and stores of a
// real run, by way of Valgrind; accesses in a row to one page need one line only:
//
//   valgrind --tool=lackey --trace-mem=yes --log-fd=9 PROGRAM 9>&1 >/dev/null |
//     awk '$1 ~ /^[LSM]$/ { sub(/,.*/, "", $2); page = substr($2, 1, length($2) - 3)
//                           if (page != last) print "0x" page
//                           last = page }' > TRACE
#ifndef USERPAGER_BENCH_SUPPORT_ACCESS_TRACE_H_
#define USERPAGER_BENCH_SUPPORT_ACCESS_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace userpager::bench {

struct AccessTrace {
  std::string name;
  // Page numbers below page_count. Neighbours in memory have numbers that follow one another.
  std::vector<uint32_t> pages;
  uint32_t page_count = 0;
  uint32_t touched = 0;  // different pages among them
  // The first accesses bring the data into being; misses count from here on.
  size_t counted_from = 0;
};

struct TraceSize {
  uint32_t pages = 0;       // of data
  uint32_t memory = 0;      // pages of it that fit in memory: hot sets are made to fit or not
  uint64_t accesses = 0;
  bool with_fill = false;   // every page is touched once, in order, before the counted accesses
};

// The names of all that MakeTrace makes.
const std::vector<std::string>& TraceNames();
// The same every time. "" as its name where there is none of the name.
AccessTrace MakeTrace(const std::string& name, const TraceSize& size);
// Returns "" or a line that says what is wrong with the file.
std::string ReadTrace(const std::string& path, AccessTrace* trace);

}  // namespace userpager::bench

#endif  // USERPAGER_BENCH_SUPPORT_ACCESS_TRACE_H_
