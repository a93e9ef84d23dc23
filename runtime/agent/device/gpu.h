/* The OpenCL device of a session: opened when it is first needed, with one context for all that is on it.
 *
 * Two queues, one of which takes times of kernels: it is used while somebody listens, and the other is empty then.
 */
#ifndef FLEETPOSE_AGENT_DEVICE_GPU_H
#define FLEETPOSE_AGENT_DEVICE_GPU_H

#include "agent/core/bytes.h"
#include "opencl/device.h"

typedef struct agent_event {
  cl_event event;
  const char* kernel; /* of a module that is there until it is asked for all times */
} agent_event;

/* What was timed at one go, and is not asked for yet. */
typedef struct agent_sample {
  double event_secs, wall_secs;
  long long kernels;
} agent_sample;

/* Counts of what became of kernels' compiled programs, as devices/runtime has them. */
typedef struct agent_cache_stats {
  long long hits, misses, rejected, noted, stored, not_stored;
  double build_secs;
} agent_cache_stats;

typedef struct agent_gpu {
  int is_open;
  fp_opencl_device device;
  cl_context context;
  cl_command_queue queues[2]; /* without times of kernels, and with them */
  int listeners;              /* timers and profiles that run */
  agent_event* events;        /* of launches whose times were not taken yet, from `first_event` on */
  size_t first_event, event_count, event_room;
  int is_profiling;
  double nanos; /* of the timer that runs */
  long long kernels;
  uint64_t first_queued; /* of the profile that runs; 0: nothing was launched yet */
  agent_bytes profile;   /* JSON */
  agent_sample* samples; /* a ring of the latest */
  size_t first_sample, sample_count;
  uint64_t serial;         /* of the last memory */
  char cache_folder[1024]; /* "": nothing is kept */
  uint64_t cache_most;     /* bytes in that folder, of all sessions (cache_limit.h) */
  uint64_t cache_left;     /* bytes that may be written before the folder is looked at */
  agent_cache_stats cache_stats;
} agent_gpu;

fp_status agent_gpu_open(agent_gpu* gpu, fp_error* error);
/* The queue to use now. */
static inline cl_command_queue agent_gpu_queue(const agent_gpu* gpu) { return gpu->queues[gpu->listeners > 0]; }
fp_status agent_gpu_finish(agent_gpu* gpu, const char* doing, fp_error* error);

/* From now on launches leave events, or no longer. */
fp_status agent_gpu_listen(agent_gpu* gpu, fp_error* error);
void agent_gpu_stop_listening(agent_gpu* gpu);
/* Takes an event of a launch. */
fp_status agent_gpu_note(agent_gpu* gpu, cl_event event, const char* kernel, fp_error* error);
/* Takes the times of all launches, for which it waits. Where a kernel has failed the error has its name. */
fp_status agent_gpu_take_times(agent_gpu* gpu, fp_error* error);

#endif
