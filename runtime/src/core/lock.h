/* A mutex of four bytes. pthread's differs in size between libcs, so that a library built for one cannot hold it. */
#ifndef FLEETPOSE_CORE_LOCK_H
#define FLEETPOSE_CORE_LOCK_H

#include <stdint.h>

typedef struct fp_lock {
  uint32_t state; /* zeros: nobody holds it */
} fp_lock;

void fp_lock_take(fp_lock* lock);
void fp_lock_release(fp_lock* lock);

#endif
