/* One limb's part-affinity field, sampled by cubic interpolation where limbs pass. */
#ifndef FLEETPOSE_POSE_FIELD_H
#define FLEETPOSE_POSE_FIELD_H

#include "pose/decoding/maps.h"
#include "pose/decoding/peaks.h"
#include "pose/numbers.h"

/* x and y of a field, each with two cells more on each side, which repeat the border. `row`: the first row of this
 * field where all limbs' fields lie below each other; places are rounded to float32 there, as Python's are. */
typedef struct fp_field {
  const float *x, *y; /* of cell 0, 0 */
  ptrdiff_t stride;
  float row;
} fp_field;

/* From a peak on: places at fractions of the way are start + offset x fraction. direction: the unit vector. */
typedef struct fp_segment {
  float x, y, offset_x, offset_y, direction_x, direction_y;
} fp_segment;

/* float32 numbers that a padded field takes. */
size_t fp_field_floats(const fp_map* fields);

/* The field of a limb of skeleton.h, copied into `padded`. */
fp_field fp_pad_field(const fp_map* fields, uint32_t limb, float* padded);

fp_segment fp_segment_of(const fp_field* field, const fp_peak* start, const fp_peak* end);

/* The component of the field along the segment at a fraction of its way. */
static inline float fp_field_along(const fp_field* field, const fp_segment* segment, float fraction) {
  const float x = segment->x + segment->offset_x * fraction, y = segment->y + segment->offset_y * fraction;
  const int32_t column = fp_floor(x), row = fp_floor(y);
  float across[4], down[4];
  fp_cubic(x - (float)column, across);
  fp_cubic(y - (float)row, down);
  const ptrdiff_t at = (row - (int32_t)field->row - 1) * field->stride + column - 1;
  fp_four sum_x = *(const fp_four*)(field->x + at) * down[0], sum_y = *(const fp_four*)(field->y + at) * down[0];
  for (int tap = 1; tap < 4; ++tap) {
    sum_x += *(const fp_four*)(field->x + at + tap * field->stride) * down[tap];
    sum_y += *(const fp_four*)(field->y + at + tap * field->stride) * down[tap];
  }
  sum_x *= *(const fp_four*)across;
  sum_y *= *(const fp_four*)across;
  return (sum_x[0] + sum_x[1] + sum_x[2] + sum_x[3]) * segment->direction_x +
         (sum_y[0] + sum_y[1] + sum_y[2] + sum_y[3]) * segment->direction_y;
}

#endif
