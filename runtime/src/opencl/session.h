/* A network on a device: context, queue, weights, and for each entry in use its memory, kernels and recording.
 *
 * Everything that a driver can spoil is in here, so that after a kernel that never ends all of it is left behind and made
 * anew. Not safe for several threads: the network's lock is around it.
 */
#ifndef FLEETPOSE_OPENCL_SESSION_H
#define FLEETPOSE_OPENCL_SESSION_H

#include "opencl/cache.h"
#include "opencl/device.h"
#include "opencl/recording.h"

struct fp_session {
  const fp_package* package;
  const fp_opencl_device* device;
  fp_cache* cache;
  uint32_t flags; /* of the options */
  int is_guest;   /* context and queue are another's */
  cl_context context;
  cl_command_queue queue;
  cl_mem* pools;            /* buffers of weights, of which constants are parts */
  cl_mem* constants;        /* of each constant */
  cl_mem* arenas;           /* of each entry in use */
  cl_mem* buffers;          /* of each buffer of entries in use */
  cl_program* programs;     /* of each kernel that an entry in use launches */
  uint8_t* is_compiled;     /* of each kernel: from source, by this session */
  cl_kernel* kernels;       /* of each launch of entries in use, with its arguments */
  fp_recording* recordings; /* of each entry */
  cl_event* events;         /* of the launches of an inference, or of a step in the self-check; NULL elsewhere */
  double* secs;             /* with FP_FLAG_EVENTS: of each step, in its last inference */
};

/* Opens context and queue and uploads the weights. On failure nothing is kept. */
fp_status fp_session_open(fp_session* session, const fp_package* package, const fp_opencl_device* device,
                          fp_cache* cache, uint32_t flags, fp_error* error);
/* Likewise on a context and a queue of the caller's, which stay open. */
fp_status fp_session_open_in(fp_session* session, const fp_package* package, const fp_opencl_device* device,
                             fp_cache* cache, cl_context context, cl_command_queue queue, fp_error* error);
void fp_session_close(fp_session* session);
/* Forgets a session whose queue never gets empty: what the driver still uses is never released. */
void fp_session_abandon(fp_session* session);

/* The launches that a step runs: its first ones, or the spare ones. */
typedef struct fp_range {
  uint32_t first, count;
} fp_range;

static inline fp_range fp_session_launches(const fp_session* session, uint32_t step) {
  const fpk_step* record = &session->package->steps[step];
  if (session->cache->steps[step] == FP_STEP_REPLACED) return (fp_range){record->first_spare, record->spare_count};
  return (fp_range){record->first_launch, record->launch_count};
}

#endif
