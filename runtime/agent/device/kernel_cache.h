/* Compiled kernels from session to session: a file for each, by its text, device and driver.
 *
 * A kernel that is built for the first time leaves a note, and its program is kept from the second time on, so that the
 * thousands of kernels that are timed once and thrown away do not fill a phone. PoCL keeps programs itself, and takes
 * long to hand one out: there nothing is kept. A file that is used is touched, so that its time says when it was last
 * of use: what the folder may not hold goes by that (cache_limit.h).
 */
#ifndef FLEETPOSE_AGENT_DEVICE_KERNEL_CACHE_H
#define FLEETPOSE_AGENT_DEVICE_KERNEL_CACHE_H

#include "agent/device/gpu.h"
#include "opencl/session.h"

/* Makes the program of a kernel of a package, unless it is there. */
fp_status agent_kernel_make(agent_gpu* gpu, fp_session* session, uint32_t kernel, fp_error* error);

/* Where programs are kept: FLEETPOSE_CACHE_DIR, else a folder in `folder`; "" where FLEETPOSE_CACHE is 0. And how much of
 * them: FLEETPOSE_CACHE_BYTES. */
void agent_kernel_cache_find(agent_gpu* gpu, const char* folder);

#endif
