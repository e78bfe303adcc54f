#include "runtime/preload/statistics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <userpager/userpager.h>

#include <string_view>

#include "runtime/api/statistics_fields.h"
#include "runtime/base/log_line.h"
#include "runtime/platform/descriptors.h"
#include "runtime/preload/environment.h"
#include "runtime/preload/preload.h"

namespace userpager {
namespace {

constexpr const char* kVariable = "USERPAGER_STATS";
constinit int file = -1;

bool WriteAll(std::string_view text) {
  return write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void WriteFile() {
  userpager_stats stats = {};
  stats.struct_bytes = sizeof stats;
  if (file < 0 || Preload::Active() == nullptr || userpager_get_stats(&stats) != 0) return;
  bool complete = WriteAll("{");
  std::string_view before = "\n";
  for (const StatisticsField& field : kStatisticsFields) {
    LogLine line;
    line << before << "  \"" << field.name << "\": " << stats.*field.value;
    complete = complete && WriteAll(line.text());
    before = ",\n";
  }
  if (complete && WriteAll("\n}\n")) return;
  LogLine line;
  line << "the file for the statistics could not be written: " << ErrnoText{errno};
  line.Write();
}

}  // namespace

void StatisticsFile::ForgetInChild() { file = -1; }

void StatisticsFile::Begin() {
  const char* path = secure_getenv(kVariable);
  if (path == nullptr) return;
  file = Descriptors::Keep(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file < 0) {
    LogLine line;
    line << "the file for the statistics, " << path << ", could not be made: "
         << ErrnoText{errno};
    line.Write();
  }
  ForgetVariable(kVariable);
  atexit(&WriteFile);
}

}  // namespace userpager
