#include "pose/workspace.h"

#include "core/error.h"
#include "core/libc.h"

void* fp_space_for(fp_space* space, size_t count, size_t item_bytes) {
  if (item_bytes != 0 && count > SIZE_MAX / item_bytes) return NULL;
  const size_t needed = count * item_bytes == 0 ? 1 : count * item_bytes;
  if (needed > space->bytes) {
    void* data = realloc(space->data, needed);
    if (data == NULL) return NULL;
    space->data = data;
    space->bytes = needed;
  }
  return space->data;
}

void fp_space_free(fp_space* space) {
  free(space->data);
  space->data = NULL;
  space->bytes = 0;
}

fp_status fp_no_room(fp_error* error) { return fp_fail(error, FP_NO_MEMORY, "no memory for finding people"); }
