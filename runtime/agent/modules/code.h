/* Launches of a package on the device: a function, or a network at one input size, whose input and outputs are the
 * caller's memory, too.
 */
#ifndef FLEETPOSE_AGENT_MODULES_CODE_H
#define FLEETPOSE_AGENT_MODULES_CODE_H

#include "agent/device/memory.h"
#include "opencl/session.h"

typedef struct agent_code {
  char name[128];
  fp_session* session; /* of the package */
  agent_gpu* gpu;
  uint32_t first_buffer, buffer_count, parameter_count;
  uint64_t arena_bytes;
  uint32_t* launches; /* numbers of all launches, in order */
  uint32_t launch_count;
  uint32_t* parameters; /* of each buffer: the number of the parameter that it is, or AGENT_NO_PARAMETER */
  uint32_t* buffers;    /* of each parameter: its buffer */
  uint64_t* given;      /* of each parameter: the serial of the memory that the kernels have */
  cl_mem arena;         /* NULL: not made yet */
  cl_mem* parts;        /* of each buffer that is no parameter */
  cl_kernel* kernels;   /* of each launch; made at the first call */
  int is_ready;
} agent_code;

enum { AGENT_NO_PARAMETER = UINT32_MAX };

/* The code of function number `index` of the package, or of its entry. On failure nothing is kept. */
fp_status agent_code_open_function(agent_code* code, agent_gpu* gpu, fp_session* session, uint32_t index,
                                   fp_error* error);
fp_status agent_code_open_entry(agent_code* code, agent_gpu* gpu, fp_session* session, uint32_t index, fp_error* error);
void agent_code_close(agent_code* code);

/* Enqueues all launches; `given` has memory for each parameter. The first time it makes kernels and memory. */
fp_status agent_code_run(agent_code* code, agent_memory* const* given, fp_error* error);

#endif
