/* A network at one input size, at work: its kernels with their arguments, launches, input and outputs. */
#ifndef FLEETPOSE_OPENCL_ENTRY_H
#define FLEETPOSE_OPENCL_ENTRY_H

#include "opencl/session.h"

typedef struct fp_launch_size {
  cl_uint dimensions;
  size_t global[3], local[3];
} fp_launch_size;

static inline fp_launch_size fp_entry_launch_size(const fpk_launch* launch) {
  return (fp_launch_size){launch->dimensions,
                          {launch->global[0], launch->global[1], launch->global[2]},
                          {launch->local[0], launch->local[1], launch->local[2]}};
}

/* Makes what a step launches, if it is not there yet: programs, and kernels with their arguments. */
fp_status fp_entry_make_step(fp_session* session, uint32_t entry, uint32_t step, fp_error* error);

/* Enqueues a step's launches. `events`, where it is not NULL, gets an event for each. */
cl_int fp_entry_enqueue_step(const fp_session* session, uint32_t step, cl_event* events);

/* One inference: the input in, all launches, the outputs out (those that are not NULL). Waits for all of it. */
fp_status fp_entry_run(fp_session* session, uint32_t entry, const float* input, float* const* outputs, fp_error* error);

#endif
