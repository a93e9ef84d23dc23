/* Device memory: weights in a few buffers and images, and the arena of each entry, cut into its buffers. */
#ifndef FLEETPOSE_OPENCL_MEMORY_H
#define FLEETPOSE_OPENCL_MEMORY_H

#include "opencl/session.h"

/* Makes all constants and waits until their bytes are on the device. Constants that are buffers become parts of pools, as
 * large as the device allocates at once; where it refuses, buffers of their own. */
fp_status fp_memory_upload_constants(fp_session* session, fp_error* error);

/* Makes an entry's arena and its buffers, if they are not there yet. Buffers overlap as their offsets say, because tensors
 * that do not live at the same time share memory and those that are joined in place are parts of another. */
fp_status fp_memory_make_arena(fp_session* session, uint32_t entry, fp_error* error);

/* Releases all of both. */
void fp_memory_release(fp_session* session);

#endif
