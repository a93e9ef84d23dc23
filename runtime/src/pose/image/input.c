#include "pose/image/input.h"

#include "pose/image/rows.h"

typedef struct fp_input_rows {
  const fp_placement* placement;
  const fp_preprocessing* preprocessing;
  float* input;
} fp_input_rows;

/* OpenCV's brightness of a pixel, in fixed point of 15 bits. */
static float brightness(fp_four pixel) {
  return (float)(((int32_t)pixel[0] * 3735 + (int32_t)pixel[1] * 19235 + (int32_t)pixel[2] * 9798 + (1 << 14)) >> 15);
}

static float level_of(fp_four pixel, int order, uint32_t channel) {
  if (order == FP_ORDER_GREY) return brightness(pixel);
  return pixel[order == FP_ORDER_RGB ? 2 - channel : channel];
}

static void take_row(void* context, uint32_t row, const fp_four* pixels) {
  const fp_input_rows* rows = context;
  const fp_preprocessing* preprocessing = rows->preprocessing;
  const fp_size input = rows->placement->input;
  const uint32_t covered = rows->placement->content.width;
  for (uint32_t channel = 0; channel < preprocessing->channels; ++channel) {
    float* to = rows->input + ((size_t)channel * input.height + row) * input.width;
    const float mean = preprocessing->mean[channel];
    for (uint32_t at = 0; at < covered; ++at) {
      to[at] = (level_of(pixels[at], preprocessing->order, channel) - mean) * preprocessing->scale;
    }
    for (uint32_t at = covered; at < input.width; ++at) to[at] = 0;
  }
}

fp_status fp_fill_input(fp_resizer* resizer, const fp_image* image, const fp_placement* placement,
                        const fp_preprocessing* preprocessing, float* input, fp_error* error) {
  const fp_size from = placement->image, to = placement->content, whole = placement->input;
  fp_input_rows rows = {placement, preprocessing, input};
  const fp_row_sink sink = {take_row, &rows};
  for (uint32_t channel = 0; channel < preprocessing->channels; ++channel) {
    float* below = input + ((size_t)channel * whole.height + to.height) * whole.width;
    for (size_t at = 0; at < (size_t)(whole.height - to.height) * whole.width; ++at) below[at] = 0;
  }
  /* Cubic aliases when it skips pixels; area averages them. */
  if (from.height > 2 * to.height || from.width > 2 * to.width) return fp_resize_area(resizer, image, to, sink, error);
  return fp_resize_cubic(resizer, image, to, sink, error);
}
