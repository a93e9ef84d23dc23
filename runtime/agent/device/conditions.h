/* The state of this machine that moves timings: clocks, temperatures, load, battery, what throttles. */
#ifndef FLEETPOSE_AGENT_DEVICE_CONDITIONS_H
#define FLEETPOSE_AGENT_DEVICE_CONDITIONS_H

#include "agent/core/bytes.h"

/* As devices/conditions.py answers them: what cannot be read is left out. */
void agent_describe_conditions(agent_bytes* json);

#endif
