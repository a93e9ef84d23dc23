#include "pose/decoding/field.h"

#include "core/libc.h"
#include "pose/decoding/skeleton.h"

size_t fp_field_floats(const fp_map* fields) { return 2 * fp_padded_cells(fields); }

fp_field fp_pad_field(const fp_map* fields, uint32_t limb, float* padded) {
  float* y = padded + fp_padded_cells(fields);
  fp_pad_channel(fields, fp_bones[limb].x_channel, padded);
  fp_pad_channel(fields, fp_bones[limb].y_channel, y);
  const ptrdiff_t stride = (ptrdiff_t)fields->width + 2 * FP_MARGIN, first = FP_MARGIN * stride + FP_MARGIN;
  const float row = (float)(limb * (fields->height + 2 * FP_MARGIN) + FP_MARGIN);
  return (fp_field){padded + first, y + first, stride, row};
}

fp_segment fp_segment_of(const fp_field* field, const fp_peak* start, const fp_peak* end) {
  const float across = (float)(end->x - start->x), down = (float)(end->y - start->y);
  float length = (float)sqrt((double)across * across + (double)down * down);
  if (length < 1e-6f) length = 1e-6f;
  const float y = (float)(start->y + (double)field->row);
  return (fp_segment){(float)start->x, y, across, down, across / length, down / length};
}
