// TraceOfEvents: a trace file that a test fills by hand, by way of a Recording.
#ifndef USERPAGER_TESTS_CLI_TRACE_OF_EVENTS_H_
#define USERPAGER_TESTS_CLI_TRACE_OF_EVENTS_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/frames/frame_ledger.h"
#include "runtime/page_file/page_file.h"
#include "runtime/pager/recording.h"

namespace userpager::cli {

// Times of the events are nanoseconds since the recording began.
inline void WriteTrace(const std::string& path, std::vector<TraceEvent> events,
                       uint64_t limit_pages = 1024) {
  FrameLedger frames;
  frames.set_limit(PageCount(limit_pages));
  const PageFile page_file;
  Recording recording(frames, page_file);
  LogLine error;
  const uint64_t began_ns = NowNanoseconds();
  ASSERT_EQ(0, recording.Start(path.c_str(), 1, false, &error)) << error.c_str();
  for (TraceEvent& event : events) {
    event.time_ns += began_ns;
    recording.ring(0)->Add(event);
  }
  recording.Finish();
}

}  // namespace userpager::cli

#endif  // USERPAGER_TESTS_CLI_TRACE_OF_EVENTS_H_
