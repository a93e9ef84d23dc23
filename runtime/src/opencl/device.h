/* The device that a network runs on: found once, with the facts that the runtime goes by. */
#ifndef FLEETPOSE_OPENCL_DEVICE_H
#define FLEETPOSE_OPENCL_DEVICE_H

#include "core/package.h"
#include "opencl/api.h"

typedef struct fp_opencl_device {
  fp_api api;
  cl_platform_id platform;
  cl_device_id id;
  char platform_name[128], platform_version[128], name[128], vendor[128], driver[128];
  char line[400];                   /* name and driver, for fp_device */
  uint64_t most_bytes;              /* of one allocation */
  size_t image_width, image_height; /* the largest; 0 where there are no images */
  uint32_t alignment;               /* of sub-buffers, in bytes */
  int is_cpu, has_half, has_command_buffers, has_qcom_recordings;
} fp_opencl_device;

/* Finds the device: the library and the device that the options name, or the environment, or the usual ones. */
fp_status fp_device_find(fp_opencl_device* device, const fp_options* options, fp_error* error);

/* Whether the device has what the package needs and is of the kind that it was built for; FP_WRONG_DEVICE says what is
 * missing and the mend. */
fp_status fp_device_check(const fp_opencl_device* device, const fp_package* package, uint32_t flags, fp_error* error);

#endif
