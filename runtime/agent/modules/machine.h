/* A package's networks by the functions of TVM's virtual machine, so that `tvm.runtime.vm.VirtualMachine` runs them as
 * those of a module that TVM compiled: set_input, invoke_stateful, get_output, save_function.
 */
#ifndef FLEETPOSE_AGENT_MODULES_MACHINE_H
#define FLEETPOSE_AGENT_MODULES_MACHINE_H

#include "agent/modules/package_module.h"

/* A machine that holds the package, held once by the caller; NULL where memory runs out. */
agent_module* agent_machine_make(agent_package* package);

#endif
