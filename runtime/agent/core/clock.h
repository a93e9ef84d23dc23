/* Clocks in seconds. */
#ifndef FLEETPOSE_AGENT_CORE_CLOCK_H
#define FLEETPOSE_AGENT_CORE_CLOCK_H

#include "agent/core/libc.h"

static inline double agent_clock_secs(int clock) {
  agent_time now = {0, 0};
  clock_gettime(clock, &now);
  return (double)now.secs + (double)now.nanos * 1e-9;
}

/* Never goes back; its zero means nothing. */
static inline double agent_now(void) { return agent_clock_secs(AGENT_CLOCK_MONOTONIC); }

#endif
