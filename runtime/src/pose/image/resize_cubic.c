/* Cubic scaling. Products and sums across are whole numbers below 2^24, which float32 holds exactly; the sums down are
 * float32, added from the last row to the first and rounded to the nearest even, as OpenCV's vector code does. */
#include "pose/image/resize.h"
#include "pose/image/rows.h"

/* Columns that repeat the border on either side of a row. */
enum { FP_BORDER = 2, FP_UNIT = 2048 };

/* Of one pixel of the result: the first of four pixels it is made of, and their weights in units of 1 / 2048. */
typedef struct fp_cubic_taps {
  int32_t first;
  float weights[4];
} fp_cubic_taps;

void fp_resizer_free(fp_resizer* resizer) {
  fp_space_free(&resizer->source_row);
  fp_space_free(&resizer->rows);
  fp_space_free(&resizer->result);
  fp_space_free(&resizer->across);
  fp_space_free(&resizer->down);
}

static fp_cubic_taps* taps_of(fp_space* space, uint32_t from, uint32_t to) {
  fp_cubic_taps* taps = fp_space_for(space, to, sizeof(fp_cubic_taps));
  if (taps == NULL) return NULL;
  const double scale = 1.0 / ((double)to / (double)from);
  for (uint32_t at = 0; at < to; ++at) {
    const float centre = (float)((at + 0.5) * scale - 0.5);
    const int32_t cell = fp_floor(centre);
    fp_cubic(centre - (float)cell, taps[at].weights);
    for (int tap = 0; tap < 4; ++tap) taps[at].weights[tap] = fp_roundf(taps[at].weights[tap] * FP_UNIT);
    taps[at].first = cell - 1;
  }
  return taps;
}

/* Row `row` of the picture, scaled across. */
static void scale_across(const fp_image* image, uint32_t row, const fp_cubic_taps* taps, uint32_t width,
                         fp_four* source, fp_four* scaled) {
  const uint32_t source_width = fp_upright_size(image).width;
  fp_four* pixels = source + FP_BORDER;
  fp_upright_row(image, row, pixels);
  for (uint32_t at = 0; at < FP_BORDER; ++at) {
    source[at] = pixels[0];
    pixels[source_width + at] = pixels[source_width - 1];
  }
  for (uint32_t at = 0; at < width; ++at) {
    const fp_four* four = pixels + taps[at].first;
    const float* weights = taps[at].weights;
    scaled[at] = four[0] * weights[0] + four[1] * weights[1] + four[2] * weights[2] + four[3] * weights[3];
  }
}

static float clipped(float value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

static void add_down(const fp_four* const* rows, const float* taps, uint32_t width, fp_four* result) {
  const float unit = 1.0f / ((float)FP_UNIT * FP_UNIT);
  const float a = taps[0] * unit, b = taps[1] * unit, c = taps[2] * unit, d = taps[3] * unit;
  for (uint32_t at = 0; at < width; ++at) {
    const fp_four last = rows[2][at] * c + rows[3][at] * d;
    const fp_four sum = rows[0][at] * a + (rows[1][at] * b + last);
    result[at] = (fp_four){clipped(fp_roundf(sum[0])), clipped(fp_roundf(sum[1])), clipped(fp_roundf(sum[2])), 0};
  }
}

fp_status fp_resize_cubic(fp_resizer* resizer, const fp_image* image, fp_size size, fp_row_sink sink, fp_error* error) {
  const fp_size from = fp_upright_size(image);
  const fp_cubic_taps* across = taps_of(&resizer->across, from.width, size.width);
  const fp_cubic_taps* down = taps_of(&resizer->down, from.height, size.height);
  fp_four* source = fp_space_for(&resizer->source_row, (size_t)from.width + 2 * FP_BORDER, sizeof(fp_four));
  fp_four* scaled = fp_space_for(&resizer->rows, (size_t)size.width * 4, sizeof(fp_four));
  fp_four* result = fp_space_for(&resizer->result, size.width, sizeof(fp_four));
  if (across == NULL || down == NULL || source == NULL || scaled == NULL || result == NULL) return fp_no_room(error);
  int32_t held[4] = {-1, -1, -1, -1}; /* the rows that are scaled across, each at its number modulo 4 */
  for (uint32_t row = 0; row < size.height; ++row) {
    const fp_four* rows[4];
    for (int tap = 0; tap < 4; ++tap) {
      const int32_t bottom = (int32_t)from.height - 1, wanted = down[row].first + tap;
      const int32_t at = wanted < 0 ? 0 : wanted > bottom ? bottom : wanted;
      fp_four* place = scaled + (size_t)(at % 4) * size.width;
      if (held[at % 4] != at) scale_across(image, (uint32_t)at, across, size.width, source, place);
      held[at % 4] = at;
      rows[tap] = place;
    }
    add_down(rows, down[row].weights, size.width, result);
    sink.take(sink.context, row, result);
  }
  return FP_OK;
}
