// The smallest test frame that does the job: CHECK counts, prints what failed and where; main returns Failures().
#pragma once

#include <cstdio>

namespace check {

inline int& FailureCount() {
  static int count = 0;
  return count;
}
inline int& CheckCount() {
  static int count = 0;
  return count;
}

inline void Report(bool good, const char* text, const char* file, int line) {
  ++CheckCount();
  if (good) return;
  ++FailureCount();
  std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
}

// Also fails when nothing was checked.
inline int Finish() {
  std::printf("%d checks, %d failures\n", CheckCount(), FailureCount());
  return CheckCount() > 0 && FailureCount() == 0 ? 0 : 1;
}

}  // namespace check

#define CHECK(...) ::check::Report(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

#define CHECK_THROWS(exception, ...)                                      \
  do {                                                                    \
    bool thrown = false;                                                  \
    try {                                                                 \
      static_cast<void>(__VA_ARGS__);                                     \
    } catch (const exception&) {                                          \
      thrown = true;                                                      \
    }                                                                     \
    ::check::Report(thrown, "throws: " #__VA_ARGS__, __FILE__, __LINE__); \
  } while (0)
