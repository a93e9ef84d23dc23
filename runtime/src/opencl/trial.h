/* A note beside the cache's file of the step that is being checked.
 *
 * A driver may end the process, or not return from a call, where nothing here can help. The note stays then. Where two
 * starts ended at the same step, its spare launches run from the third on; one may have been ended by its user.
 */
#ifndef FLEETPOSE_OPENCL_TRIAL_H
#define FLEETPOSE_OPENCL_TRIAL_H

#include "opencl/cache.h"

/* Reads the note of the last start, and replaces the step that it blames. */
void fp_trial_read(fp_cache* cache, const fp_package* package);
void fp_trial_begin(fp_cache* cache, uint32_t step);
/* The check has come to an end, whatever it found. */
void fp_trial_end(fp_cache* cache);

#endif
