/* Tensors' memory: buffers and images of the device, and memory of the processor. */
#ifndef FLEETPOSE_AGENT_DEVICE_MEMORY_H
#define FLEETPOSE_AGENT_DEVICE_MEMORY_H

#include "agent/device/gpu.h"
#include "agent/rpc/objects.h"
#include "agent/rpc/values.h"

typedef struct agent_memory {
  agent_object object;
  agent_gpu* gpu;
  uint64_t serial; /* no other memory of the session has it */
  uint64_t bytes;
  cl_mem memory; /* NULL: of the processor */
  uint8_t* host;
  size_t width, height; /* of an image, in texels of four values; 0: a buffer */
} agent_memory;

/* Memory of so many bytes, held once by the caller; at least one byte is allocated. */
fp_status agent_memory_make(agent_gpu* gpu, int32_t device_type, uint64_t bytes, agent_memory** memory,
                            fp_error* error);
/* An image for a tensor in one of TVM's texture scopes: the last axis are the four values of a texel, those before it
 * rows and columns as the scope says. They are arrays of one image, as TVM's compiler declares textures. */
fp_status agent_memory_make_image(agent_gpu* gpu, const agent_tensor* tensor, const char* scope, agent_memory** memory,
                                  fp_error* error);

/* Copies bytes to and from memory, from `offset` on; an image is copied whole. Waits for it. */
fp_status agent_memory_write(agent_memory* memory, uint64_t offset, const void* bytes, uint64_t size, fp_error* error);
fp_status agent_memory_read(agent_memory* memory, uint64_t offset, void* bytes, uint64_t size, fp_error* error);
/* From memory to memory. Between buffers it is only enqueued. */
fp_status agent_memory_copy(agent_memory* from, uint64_t from_offset, agent_memory* to, uint64_t to_offset,
                            uint64_t size, fp_error* error);

#endif
