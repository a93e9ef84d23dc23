#include "pose/decoding/field.h"

#include "core/libc.h"
#include "pose/decoding/skeleton.h"

/* x, y, two of lengths, and three more at the end, which vectors reach over. */
size_t fp_field_floats(const fp_map* fields) { return 4 * fp_padded_cells(fields) + 3; }

fp_field fp_pad_field(const fp_map* fields, uint32_t limb, float* padded) {
  float* y = padded + fp_padded_cells(fields);
  fp_pad_channel(fields, fp_bones[limb].x_channel, padded);
  fp_pad_channel(fields, fp_bones[limb].y_channel, y);
  const ptrdiff_t stride = (ptrdiff_t)fields->width + 2 * FP_MARGIN, first = FP_MARGIN * stride + FP_MARGIN;
  const float row = (float)(limb * (fields->height + 2 * FP_MARGIN) + FP_MARGIN);
  return (fp_field){padded + first, y + first, stride, row, padded + first, -FP_INFINITY};
}

/* The weights of cubic interpolation, signs aside, add up to at most 1.375 squared, so a component is at most 1.891
 * times the longest vector; 1.9 leaves room for rounding. */
void fp_find_quiet(fp_field* field, const fp_map* fields, float threshold, float* padded) {
  if (!(threshold > 0)) return;
  const size_t cells = fp_padded_cells(fields), stride = (size_t)field->stride;
  const float *x = padded, *y = padded + cells;
  float *squared = padded + 2 * cells, *loudest = padded + 3 * cells;
  for (size_t at = 0; at < cells; ++at) squared[at] = x[at] * x[at] + y[at] * y[at];
  for (size_t at = 0; at < 3; ++at) loudest[cells + at] = 0;
  /* Of four rows; then of four columns. Rows and columns on the far margin are never asked for. */
  for (size_t at = 0; at + 3 * stride < cells; at += 4) {
    const float* above = squared + at;
    const fp_four upper = fp_larger(*(const fp_four*)above, *(const fp_four*)(above + stride));
    const fp_four lower = fp_larger(*(const fp_four*)(above + 2 * stride), *(const fp_four*)(above + 3 * stride));
    *(fp_four*)(loudest + at) = fp_larger(upper, lower);
  }
  for (size_t at = 0; at + 3 * stride < cells; at += 4) {
    const float* first = loudest + at;
    const fp_four left = fp_larger(*(const fp_four*)first, *(const fp_four*)(first + 1));
    const fp_four right = fp_larger(*(const fp_four*)(first + 2), *(const fp_four*)(first + 3));
    *(fp_four*)(squared + at) = fp_larger(left, right);
  }
  /* A place's cells begin a row and a column before its own. */
  field->loudest = squared + (FP_MARGIN - 1) * stride + FP_MARGIN - 1;
  field->quiet = (threshold / 1.9f) * (threshold / 1.9f);
}

fp_segment fp_segment_of(const fp_field* field, const fp_peak* start, const fp_peak* end) {
  return (fp_segment){(float)start->x, (float)(start->y + (double)field->row), (float)(end->x - start->x),
                      (float)(end->y - start->y)};
}

fp_direction fp_direction_of(const fp_segment* segment) {
  const double across = segment->offset_x, down = segment->offset_y;
  float length = (float)sqrt(across * across + down * down);
  if (length < 1e-6f) length = 1e-6f;
  return (fp_direction){segment->offset_x / length, segment->offset_y / length};
}
