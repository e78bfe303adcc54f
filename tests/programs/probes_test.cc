// The probes of runtime/observe/probes.h are in what is shipped, where <sys/sdt.h> was there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/programs/program_run.h"

namespace userpager::programs {
namespace {

using testing::HasSubstr;

TEST(Probes, AreInTheLibraries) {
#if !__has_include(<sys/sdt.h>)
  GTEST_SKIP() << "built without <sys/sdt.h>: needs the package systemtap-sdt-dev";
#endif
  for (const char* library : {USERPAGER_PRELOAD_LIBRARY, USERPAGER_LIBRARY}) {
    const ProgramRun notes = RunProgram({"readelf", "--notes", "--wide", library});
    ASSERT_EQ(0, notes.status) << notes.complaints;
    EXPECT_THAT(notes.output, HasSubstr("Provider: userpager"));
    for (const char* name : {"fault_begin", "fault_end", "page_in", "page_out"}) {
      EXPECT_THAT(notes.output, HasSubstr(std::string("Name: ") + name)) << library;
    }
  }
}

}  // namespace
}  // namespace userpager::programs
