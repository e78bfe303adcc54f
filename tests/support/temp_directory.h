// A directory for one test, made where page files live by default and removed with all that is in
// it.
#ifndef USERPAGER_TESTS_SUPPORT_TEMP_DIRECTORY_H_
#define USERPAGER_TESTS_SUPPORT_TEMP_DIRECTORY_H_

#include <string>

namespace userpager {

class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // How many names are in it.
  size_t entries() const;

 private:
  std::string path_;
};

// The whole content of a file; a test failure where it cannot be read.
std::string ContentOf(const std::string& path);
void WriteFile(const std::string& path, const std::string& content);

}  // namespace userpager

#endif  // USERPAGER_TESTS_SUPPORT_TEMP_DIRECTORY_H_
