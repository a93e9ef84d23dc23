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
  const float* loudest; /* of the cells a place is interpolated from, the largest squared length; of cell 0, 0 */
  float quiet;          /* up to it no component is above the threshold; -infinity where that is not known */
} fp_field;

/* From a peak on: places at fractions of the way are start + offset x fraction. */
typedef struct fp_segment {
  float x, y, offset_x, offset_y;
} fp_segment;

/* A unit vector. */
typedef struct fp_direction {
  float x, y;
} fp_direction;

/* float32 numbers that a padded field takes. */
size_t fp_field_floats(const fp_map* fields);

/* The field of a limb of skeleton.h, copied into `padded`. */
fp_field fp_pad_field(const fp_map* fields, uint32_t limb, float* padded);

/* Finds where no component of the field is above `threshold`, so that fp_field_is_quiet can tell. */
void fp_find_quiet(fp_field* field, const fp_map* fields, float threshold, float* padded);

fp_segment fp_segment_of(const fp_field* field, const fp_peak* start, const fp_peak* end);
fp_direction fp_direction_of(const fp_segment* segment);

/* A place at a fraction of a segment's way: its cell, in numbers of the padded field, and where in the cell it is. */
typedef struct fp_spot {
  ptrdiff_t cell;
  float x, y;
} fp_spot;

static inline fp_spot fp_spot_at(const fp_field* field, const fp_segment* segment, float fraction) {
  const float x = segment->x + segment->offset_x * fraction, y = segment->y + segment->offset_y * fraction;
  const int32_t column = fp_floorf(x), row = fp_floorf(y);
  return (fp_spot){(row - (int32_t)field->row) * field->stride + column, x - (float)column, y - (float)row};
}

/* Whether the component at a place is surely not above the threshold, in any direction. */
static inline int fp_field_is_quiet(const fp_field* field, const fp_spot* spot) {
  return field->loudest[spot->cell] <= field->quiet;
}

/* The component of the field along a direction. */
static inline float fp_field_along(const fp_field* field, const fp_spot* spot, fp_direction direction) {
  float across[4], down[4];
  fp_cubic(spot->x, across);
  fp_cubic(spot->y, down);
  const ptrdiff_t at = spot->cell - field->stride - 1;
  fp_four sum_x = *(const fp_four*)(field->x + at) * down[0], sum_y = *(const fp_four*)(field->y + at) * down[0];
  for (int tap = 1; tap < 4; ++tap) {
    sum_x += *(const fp_four*)(field->x + at + tap * field->stride) * down[tap];
    sum_y += *(const fp_four*)(field->y + at + tap * field->stride) * down[tap];
  }
  sum_x *= *(const fp_four*)across;
  sum_y *= *(const fp_four*)across;
  return (sum_x[0] + sum_x[1] + sum_x[2] + sum_x[3]) * direction.x +
         (sum_y[0] + sum_y[1] + sum_y[2] + sum_y[3]) * direction.y;
}

#endif
