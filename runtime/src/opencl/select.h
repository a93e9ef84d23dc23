/* Which device of those that OpenCL lists a network runs on: the rule of devices/runtime/src/select.cc. */
#ifndef FLEETPOSE_OPENCL_SELECT_H
#define FLEETPOSE_OPENCL_SELECT_H

#include <stddef.h>
#include <stdint.h>

typedef struct fp_listed {
  uint32_t platform_index, device_index; /* as OpenCL lists them; devices within their platform */
  char platform[128], device[128];       /* names */
  int is_gpu;
} fp_listed;

/* The number of the device that `selection` names, or -1. "" stands for the first GPU, else the first device. It is
 * PLATFORM[:DEVICE]; each part is an index (all digits) or a part of the name in letters of any size; an empty part
 * matches anything. Of several that match, a GPU goes first. */
int fp_select_device(const fp_listed* listed, size_t count, const char* selection);

#endif
