/* Kernels' programs: from the cache's binaries, else compiled from the package's sources. */
#ifndef FLEETPOSE_OPENCL_PROGRAMS_H
#define FLEETPOSE_OPENCL_PROGRAMS_H

#include "opencl/session.h"

/* Makes the program of kernel number `kernel`, if it is not there yet. The error has the compiler's first words. */
fp_status fp_programs_make(fp_session* session, uint32_t kernel, fp_error* error);

/* Puts the binaries of what was compiled from source into the cache. Best after a run: then some drivers have compiled
 * more of a program than before. */
void fp_programs_keep(fp_session* session);

#endif
