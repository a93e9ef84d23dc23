/* Files of the kernel's below /sys and /proc: short texts, read at one go, of which many are not there or refuse. */
#include "agent/device/kernel_files.h"

size_t agent_read_text(const char* path, char* text, size_t size) {
  const int file = open(path, FP_O_RDONLY | FP_O_NONBLOCK | FP_O_CLOEXEC);
  if (file < 0) return 0;
  size_t length = 0;
  long count = 0;
  while (length + 1 < size && (count = read(file, text + length, size - 1 - length)) > 0) length += (size_t)count;
  close(file);
  text[length] = '\0';
  return length;
}

int agent_read_line(const char* path, char line[AGENT_LINE_BYTES]) {
  if (agent_read_text(path, line, AGENT_LINE_BYTES) == 0) return 0;
  size_t length = 0;
  while (line[length] != '\0' && line[length] != '\n') ++length;
  while (length > 0 && line[length - 1] == ' ') --length;
  line[length] = '\0';
  return length > 0;
}

int agent_read_number(const char* path, double* value) {
  char line[AGENT_LINE_BYTES], *end;
  if (!agent_read_line(path, line)) return 0;
  *value = strtod(line, &end);
  return end != line && *value - *value == 0;
}

int agent_find_number(const char* text, const char* word, double* value) {
  const size_t size = strlen(word);
  for (const char* line = text; *line != '\0';) {
    if (strncmp(line, word, size) == 0) {
      const char* at = line + size;
      while (*at == ' ' || *at == '\t' || *at == ':') ++at;
      *value = strtod(at, NULL);
      return 1;
    }
    while (*line != '\0' && *line != '\n') ++line;
    if (*line == '\n') ++line;
  }
  return 0;
}
