/* Local maxima by max pooling: models/pose/decoding/maxima.py in C. */
#ifndef FLEETPOSE_POSE_MAXIMA_H
#define FLEETPOSE_POSE_MAXIMA_H

#include "fleetpose.h"
#include "pose/workspace.h"

typedef struct fp_maximum {
  uint32_t row, column;
  float score;
} fp_maximum;

/* Maxima of one map, best first; zeros at first. */
typedef struct fp_maxima {
  fp_space items; /* fp_maximum */
  uint32_t count;
  fp_space cells, roots, blocks, keys, order, spare;
} fp_maxima;

void fp_maxima_free(fp_maxima* maxima);

/* The best `most` cells of (height, width) finite values that are above `threshold` and the highest of the `kernel` x
 * `kernel` around them. Of a plateau only its first cell counts, and a map of one value has no maximum. */
fp_status fp_find_maxima(fp_maxima* maxima, const float* values, fp_size size, uint32_t kernel, float threshold,
                         uint32_t most, fp_error* error);

static inline const fp_maximum* fp_maxima_items(const fp_maxima* maxima) { return maxima->items.data; }

#endif
