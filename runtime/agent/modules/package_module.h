/* A package that is loaded: its functions by name, and its networks, as functions (input, outputs) by their input size,
 * run_HxW, or through TVM's virtual machine ("vm_load_executable", see machine.h).
 */
#ifndef FLEETPOSE_AGENT_MODULES_PACKAGE_MODULE_H
#define FLEETPOSE_AGENT_MODULES_PACKAGE_MODULE_H

#include "agent/modules/code.h"
#include "agent/modules/module.h"

typedef struct agent_package {
  agent_module module;
  agent_gpu* gpu;
  fp_package package;
  fp_cache cache; /* of nothing but what is in memory */
  fp_session session;
  agent_code* codes; /* the functions, and then the entries */
  uint32_t code_count;
} agent_package;

/* Loads a package from a file, which may be removed afterwards. */
fp_status agent_package_load(agent_gpu* gpu, const char* path, agent_package** package, fp_error* error);

#endif
