/* A module of TVM's: something that functions are asked of by name. */
#ifndef FLEETPOSE_AGENT_MODULES_MODULE_H
#define FLEETPOSE_AGENT_MODULES_MODULE_H

#include "agent/modules/session.h"

typedef struct agent_module {
  agent_object object;
  /* A function of that name, held once by the caller; NULL where the module has none. */
  agent_function* (*find)(struct agent_module* module, const char* name);
} agent_module;

#endif
