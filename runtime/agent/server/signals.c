#include "agent/server/signals.h"

#include "agent/core/libc.h"

enum { SET_MASK = 2, INFO_BYTES = 128, MASK_BYTES = 8 };

static uint64_t bit(int signal) { return (uint64_t)1 << (signal - 1); }

static long hold_back(uint64_t mask) {
  return syscall(AGENT_SYS_SIGNAL_MASK, (long)SET_MASK, &mask, NULL, (long)MASK_BYTES);
}

/* A log that nobody reads any more ends nothing: there the signal of a broken pipe is held back for good. */
int agent_signals_open(void) {
  const uint64_t mask = bit(AGENT_SIGNAL_INTERRUPT) | bit(AGENT_SIGNAL_TERMINATE) | bit(AGENT_SIGNAL_CHILD);
  if (hold_back(mask | bit(AGENT_SIGNAL_PIPE)) != 0) return -1;
  return (int)syscall(AGENT_SYS_SIGNAL_FILE, -1L, &mask, (long)MASK_BYTES,
                      (long)(AGENT_NONBLOCKING | AGENT_CLOSE_ON_EXEC));
}

int agent_signals_end(int file) {
  uint8_t info[INFO_BYTES];
  int ends = 0;
  while (read(file, info, sizeof(info)) == (long)sizeof(info)) {
    uint32_t signal;
    memcpy(&signal, info, sizeof(signal));
    if (signal != AGENT_SIGNAL_CHILD) ends = 1;
  }
  return ends;
}

void agent_signals_restore(void) { hold_back(bit(AGENT_SIGNAL_PIPE)); }
