/* Memory that is kept from frame to frame and only grows. */
#ifndef FLEETPOSE_POSE_WORKSPACE_H
#define FLEETPOSE_POSE_WORKSPACE_H

#include <stddef.h>

#include "fleetpose.h"

typedef struct fp_space {
  void* data; /* aligned as malloc aligns */
  size_t bytes;
} fp_space;

/* Room for `count` items of `item_bytes` each; what was in it is kept. NULL: no memory, and it is as before. */
void* fp_space_for(fp_space* space, size_t count, size_t item_bytes);
void fp_space_free(fp_space* space);

/* Says that there is no memory. */
fp_status fp_no_room(fp_error* error);

#endif
