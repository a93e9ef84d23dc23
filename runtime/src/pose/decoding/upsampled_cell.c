#include "pose/decoding/upsampled_cell.h"

#include "pose/numbers.h"

/* FP_SIDE: pixels of an upsampled cell and one around. FP_ACROSS: the same, rounded up to whole vectors. */
enum { FP_FACTOR = 8, FP_SIDE = FP_FACTOR + 2, FP_ACROSS = 12, FP_TAPS = 2 * FP_MARGIN + 1 };

/* Differences below this are rounding. */
#define FP_ROUNDING 1e-5f

/* Keys' cubic convolution with a = -0.75, as OpenCV's INTER_CUBIC takes it. */
static double weight_at(double distance) {
  const double a = -0.75;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a : 0;
}

void fp_make_weights(fp_peaks* peaks) {
  if (peaks->has_weights) return;
  for (int pixel = 0; pixel < FP_SIDE; ++pixel) {
    const double at = (pixel - 1 + 0.5) / FP_FACTOR - 0.5;
    for (int tap = 0; tap < FP_TAPS; ++tap) {
      const float weight = (float)weight_at(fp_magnitude(at - (tap - FP_MARGIN)));
      peaks->across[tap][pixel] = weight;
      peaks->down[pixel][tap] = weight;
    }
  }
  peaks->has_weights = 1;
}

/* The upsampled cell, relative to the cell itself: what is flat is exactly 0 then. Answers 0 where it is flat. */
static int upsample(const fp_peaks* peaks, const float* padded, size_t stride, float block[FP_SIDE][FP_ACROSS]) {
  const float base = padded[FP_MARGIN * stride + FP_MARGIN];
  fp_four low[FP_TAPS];
  float high[FP_TAPS], largest = 0;
  for (int row = 0; row < FP_TAPS; ++row) {
    const float* values = padded + (size_t)row * stride;
    low[row] = *(const fp_four*)values - base;
    high[row] = values[4] - base;
    for (int at = 0; at < FP_TAPS; ++at) {
      const float gap = __builtin_fabsf(values[at] - base);
      largest = gap > largest ? gap : largest;
    }
  }
  if (!(largest > FP_ROUNDING)) return 0;
  for (int pixel = 0; pixel < FP_SIDE; ++pixel) {
    const float* down = peaks->down[pixel];
    const fp_four sum = low[0] * down[0] + low[1] * down[1] + low[2] * down[2] + low[3] * down[3] + low[4] * down[4];
    const float last =
        high[0] * down[0] + high[1] * down[1] + high[2] * down[2] + high[3] * down[3] + high[4] * down[4];
    for (int at = 0; at < FP_ACROSS; at += 4) {
      const fp_four result =
          *(const fp_four*)&peaks->across[0][at] * sum[0] + *(const fp_four*)&peaks->across[1][at] * sum[1] +
          *(const fp_four*)&peaks->across[2][at] * sum[2] + *(const fp_four*)&peaks->across[3][at] * sum[3] +
          *(const fp_four*)&peaks->across[4][at] * last;
      *(fp_four*)&block[pixel][at] = result;
    }
  }
  return 1;
}

/* The first of the highest pixels inside, by rows: its row and column in the block. */
static void find_highest(float block[FP_SIDE][FP_ACROSS], int* y, int* x) {
  fp_four left = *(const fp_four*)&block[1][1], right = *(const fp_four*)&block[1][5];
  for (int row = 2; row <= FP_FACTOR; ++row) {
    left = fp_larger(*(const fp_four*)&block[row][1], left);
    right = fp_larger(*(const fp_four*)&block[row][5], right);
  }
  const fp_four both = fp_larger(left, right);
  const float one = both[0] > both[1] ? both[0] : both[1], other = both[2] > both[3] ? both[2] : both[3];
  const float best = one > other ? one : other;
  for (int row = 1; row <= FP_FACTOR; ++row) {
    for (int at = 1; at <= FP_FACTOR; ++at) {
      if (block[row][at] == best) {
        *y = row;
        *x = at;
        return;
      }
    }
  }
}

/* Offset, within half a pixel, of the top of the parabola through three neighbouring values; 0 at an edge. */
static float vertex(float before, float centre, float after) {
  if (before == -FP_INFINITY || after == -FP_INFINITY) return 0;
  const float bend = 2.0f * centre - before - after;
  if (!(bend > FP_ROUNDING)) return 0;
  const float at = (after - before) / (2 * bend);
  return at < -0.5f ? -0.5f : at > 0.5f ? 0.5f : at;
}

uint32_t fp_peak_in_cell(const fp_peaks* peaks, const fp_cell* cell, fp_peak* peak) {
  const size_t stride = (size_t)cell->width + 2 * FP_MARGIN;
  const float* padded = (const float*)peaks->padded.data + cell->row * stride + cell->column;
  float block[FP_SIDE][FP_ACROSS];
  if (!upsample(peaks, padded, stride, block)) return 0;
  int y = 1, x = 1;
  find_highest(block, &y, &x);
  const float centre = block[y][x];
  /* Beyond the map's edge there is nothing to be lower than. */
  const float left = cell->column == 0 && x == 1 ? -FP_INFINITY : block[y][x - 1];
  const float right = cell->column == cell->width - 1 && x == FP_FACTOR ? -FP_INFINITY : block[y][x + 1];
  const float above = cell->row == 0 && y == 1 ? -FP_INFINITY : block[y - 1][x];
  const float below = cell->row == cell->height - 1 && y == FP_FACTOR ? -FP_INFINITY : block[y + 1][x];
  const float beside = left > right ? left : right, over = above > below ? above : below;
  /* Ties count, or a peak halfway between two pixels would be lost. */
  if (!(centre >= (beside > over ? beside : over) - FP_ROUNDING)) return 0;
  const double fine_x = x - 1 + (double)vertex(left, centre, right);
  const double fine_y = y - 1 + (double)vertex(above, centre, below);
  peak->x = cell->column + (fine_x + 0.5) / FP_FACTOR - 0.5;
  peak->y = cell->row + (fine_y + 0.5) / FP_FACTOR - 0.5;
  peak->score = (double)(padded[FP_MARGIN * stride + FP_MARGIN] + centre);
  return 1;
}
