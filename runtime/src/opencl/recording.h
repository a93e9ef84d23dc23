/* Launches that a driver records once and runs as one command: cl_khr_command_buffer, or cl_qcom_recordable_queues.
 *
 * Where a driver has neither, or refuses, launches are enqueued one by one.
 */
#ifndef FLEETPOSE_OPENCL_RECORDING_H
#define FLEETPOSE_OPENCL_RECORDING_H

#include "opencl/device.h"

typedef struct _cl_command_buffer_khr* cl_command_buffer_khr;
typedef struct _cl_recording_qcom* cl_recording_qcom;

typedef struct fp_recording {
  cl_command_buffer_khr buffer; /* by cl_khr_command_buffer */
  cl_recording_qcom recording;  /* by cl_qcom_recordable_queues */
  cl_command_queue recorder;    /* the queue that it was recorded on */
  void *enqueue, *release;      /* the extension's functions */
} fp_recording;

typedef struct fp_session fp_session;

/* Records all launches of an entry, whose kernels are made. Answers whether that worked. */
int fp_recording_make(fp_recording* recording, const fp_session* session, uint32_t entry);

static inline int fp_recording_is_made(const fp_recording* recording) {
  return recording->buffer != NULL || recording->recording != NULL;
}

/* Enqueues what was recorded. */
cl_int fp_recording_enqueue(const fp_recording* recording, const fp_session* session);
void fp_recording_release(fp_recording* recording, const fp_opencl_device* device);

#endif
