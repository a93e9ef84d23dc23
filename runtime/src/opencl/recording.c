#include "opencl/recording.h"

#include "core/libc.h"
#include "opencl/entry.h"
#include "opencl/session.h"

/* cl_khr_command_buffer: https://registry.khronos.org/OpenCL/specs/3.0-unified/html/OpenCL_Ext.html */
typedef cl_command_buffer_khr (*create_command_buffer)(cl_uint, const cl_command_queue*, const cl_properties*, cl_int*);
typedef cl_int (*on_command_buffer)(cl_command_buffer_khr);
typedef cl_int (*command_ndrange)(cl_command_buffer_khr, cl_command_queue, const void*, cl_kernel, cl_uint,
                                  const size_t*, const size_t*, const size_t*, cl_uint, const cl_uint*, cl_uint*,
                                  void*);
typedef cl_int (*enqueue_command_buffer)(cl_uint, cl_command_queue*, cl_command_buffer_khr, cl_uint, const cl_event*,
                                         cl_event*);

/* cl_qcom_recordable_queues: names and values of Qualcomm's CL/cl_ext_qcom.h. A recordable queue has this property alone;
 * what is enqueued on it is recorded, not run. */
enum { CL_QUEUE_RECORDABLE_QCOM = 1 << 30 };
typedef cl_recording_qcom (*new_recording)(cl_command_queue, cl_int*);
typedef cl_int (*on_recording)(cl_recording_qcom);
typedef cl_int (*enqueue_recording)(cl_command_queue, cl_recording_qcom, size_t, const void*, size_t, const void*,
                                    size_t, const void*, size_t, const void*, cl_uint, const cl_event*, cl_event*);

static void* entry_point(const fp_opencl_device* device, const char* name) {
  if (device->api.clGetExtensionFunctionAddressForPlatform == NULL) return NULL;
  return device->api.clGetExtensionFunctionAddressForPlatform(device->platform, name);
}

/* Calls back for each launch of the entry, in order, until one fails. */
typedef cl_int (*on_launch)(void* context, cl_kernel kernel, const fp_launch_size* size);

static cl_int for_each_launch(const fp_session* session, uint32_t entry, on_launch call, void* context) {
  const fpk_entry* record = &session->package->entries[entry];
  cl_int code = CL_SUCCESS;
  for (uint32_t step = record->first_step; step < record->first_step + record->step_count; ++step) {
    const fp_range range = fp_session_launches(session, step);
    for (uint32_t i = range.first; i < range.first + range.count && code == CL_SUCCESS; ++i) {
      const fp_launch_size size = fp_entry_launch_size(&session->package->launches[i]);
      code = call(context, session->kernels[i], &size);
    }
  }
  return code;
}

typedef struct command_recorder {
  command_ndrange record;
  cl_command_buffer_khr buffer;
} command_recorder;

/* The queue runs in order, so the commands of its buffer do, without points of synchronisation. */
static cl_int record_command(void* context, cl_kernel kernel, const fp_launch_size* size) {
  const command_recorder* recorder = context;
  return recorder->record(recorder->buffer, NULL, NULL, kernel, size->dimensions, NULL, size->global, size->local, 0,
                          NULL, NULL, NULL);
}

static int record_commands(fp_recording* recording, const fp_session* session, uint32_t entry) {
  const fp_opencl_device* device = session->device;
  const create_command_buffer create = (create_command_buffer)entry_point(device, "clCreateCommandBufferKHR");
  const on_command_buffer finalize = (on_command_buffer)entry_point(device, "clFinalizeCommandBufferKHR");
  const command_ndrange record = (command_ndrange)entry_point(device, "clCommandNDRangeKernelKHR");
  recording->enqueue = entry_point(device, "clEnqueueCommandBufferKHR");
  recording->release = entry_point(device, "clReleaseCommandBufferKHR");
  if (create == NULL || finalize == NULL || record == NULL || recording->enqueue == NULL ||
      recording->release == NULL) {
    return 0;
  }
  cl_int code = CL_SUCCESS;
  recording->buffer = create(1, &session->queue, NULL, &code);
  if (recording->buffer == NULL) return 0;
  command_recorder recorder = {record, recording->buffer};
  code = for_each_launch(session, entry, record_command, &recorder);
  if (code == CL_SUCCESS) code = finalize(recording->buffer);
  if (code != CL_SUCCESS) fp_recording_release(recording, device);
  return code == CL_SUCCESS;
}

typedef struct queue_recorder {
  const fp_api* api;
  cl_command_queue queue;
} queue_recorder;

static cl_int record_on_queue(void* context, cl_kernel kernel, const fp_launch_size* size) {
  const queue_recorder* recorder = context;
  return recorder->api->clEnqueueNDRangeKernel(recorder->queue, kernel, size->dimensions, NULL, size->global,
                                               size->local, 0, NULL, NULL);
}

static int record_qcom(fp_recording* recording, const fp_session* session, uint32_t entry) {
  const fp_opencl_device* device = session->device;
  const new_recording create = (new_recording)entry_point(device, "clNewRecordingQCOM");
  const on_recording end = (on_recording)entry_point(device, "clEndRecordingQCOM");
  recording->enqueue = entry_point(device, "clEnqueueRecordingQCOM");
  recording->release = entry_point(device, "clReleaseRecordingQCOM");
  if (create == NULL || end == NULL || recording->enqueue == NULL || recording->release == NULL) {
    return 0;
  }
  cl_int code = CL_SUCCESS;
  recording->recorder = device->api.clCreateCommandQueue(session->context, device->id, CL_QUEUE_RECORDABLE_QCOM, &code);
  if (code != CL_SUCCESS) recording->recorder = NULL;
  if (recording->recorder == NULL) return 0;
  recording->recording = create(recording->recorder, &code);
  if (recording->recording == NULL) {
    fp_recording_release(recording, device);
    return 0;
  }
  queue_recorder recorder = {&device->api, recording->recorder};
  code = for_each_launch(session, entry, record_on_queue, &recorder);
  const cl_int ended = end(recording->recording);
  if (code == CL_SUCCESS && ended == CL_SUCCESS) return 1;
  fp_recording_release(recording, device);
  return 0;
}

int fp_recording_make(fp_recording* recording, const fp_session* session, uint32_t entry) {
  memset(recording, 0, sizeof(*recording));
  if (session->device->has_command_buffers && record_commands(recording, session, entry)) return 1;
  return session->device->has_qcom_recordings && record_qcom(recording, session, entry);
}

cl_int fp_recording_enqueue(const fp_recording* recording, const fp_session* session) {
  if (recording->buffer != NULL) {
    return ((enqueue_command_buffer)recording->enqueue)(0, NULL, recording->buffer, 0, NULL, NULL);
  }
  return ((enqueue_recording)recording->enqueue)(session->queue, recording->recording, 0, NULL, 0, NULL, 0, NULL, 0,
                                                 NULL, 0, NULL, NULL);
}

void fp_recording_release(fp_recording* recording, const fp_opencl_device* device) {
  if (recording->buffer != NULL) ((on_command_buffer)recording->release)(recording->buffer);
  if (recording->recording != NULL) ((on_recording)recording->release)(recording->recording);
  if (recording->recorder != NULL) device->api.clReleaseCommandQueue(recording->recorder);
  memset(recording, 0, sizeof(*recording));
}
