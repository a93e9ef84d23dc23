#include "agent/core/log.h"

#include "agent/core/clock.h"

enum { LINE_BYTES = 700, STDOUT = 1, STDERR = 2 };

static void write_line(int file, char* line, size_t length, const char* format, va_list arguments) {
  const int more = vsnprintf(line + length, LINE_BYTES - length, format, arguments);
  if (more > 0) length += (size_t)more < LINE_BYTES - length - 1 ? (size_t)more : LINE_BYTES - length - 1;
  line[length++] = '\n';
  /* A pipe that nobody reads is full some day: then the line is lost, and the agent goes on. A pipe that takes any byte
   * takes a page, which is more than a line. */
  agent_poll taking = {.file = file, .wanted = AGENT_POLL_OUT};
  if (poll(&taking, 1, 0) != 1 || (taking.came & AGENT_POLL_OUT) == 0) return;
  if (write(file, line, length) < 0) return; /* nobody reads it */
}

void agent_log(const char* format, ...) {
  char line[LINE_BYTES + 1];
  /* The time of the day, as UTC has it. */
  const long secs = (long)agent_clock_secs(AGENT_CLOCK_REALTIME) % 86400;
  const int length =
      snprintf(line, LINE_BYTES, "%02ld:%02ld:%02ld fleetpose-agent: ", secs / 3600, secs / 60 % 60, secs % 60);
  va_list arguments;
  va_start(arguments, format);
  write_line(STDERR, line, (size_t)length, format, arguments);
  va_end(arguments);
}

void agent_say(const char* format, ...) {
  char line[LINE_BYTES + 1];
  va_list arguments;
  va_start(arguments, format);
  write_line(STDOUT, line, 0, format, arguments);
  va_end(arguments);
}
