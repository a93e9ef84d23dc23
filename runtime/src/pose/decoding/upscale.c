#include "pose/decoding/upscale.h"

#include "core/libc.h"
#include "pose/numbers.h"

void fp_upscale_free(fp_upscale* scale) {
  fp_space_free(&scale->across);
  fp_space_free(&scale->down);
  fp_space_free(&scale->rows);
}

static float place_of(uint32_t at, uint32_t from, uint32_t to) {
  return (float)((at + 0.5) * (1.0 / ((double)to / (double)from)) - 0.5);
}

static int cubic_cells(fp_space* space, uint32_t from, uint32_t to) {
  fp_cubic_cells* cells = fp_space_for(space, to, sizeof(fp_cubic_cells));
  if (cells == NULL) return 0;
  for (uint32_t at = 0; at < to; ++at) {
    const float place = place_of(at, from, to);
    const int32_t cell = fp_floor(place);
    fp_cubic(place - (float)cell, cells[at].weights);
    for (int tap = 0; tap < 4; ++tap) {
      const int32_t wanted = cell - 1 + tap;
      cells[at].cells[tap] = wanted < 0 ? 0 : fp_least((uint32_t)wanted, from - 1);
    }
  }
  return 1;
}

static int linear_cells(fp_space* space, uint32_t from, uint32_t to) {
  fp_linear_cells* cells = fp_space_for(space, to, sizeof(fp_linear_cells));
  if (cells == NULL) return 0;
  for (uint32_t at = 0; at < to; ++at) {
    const float place = place_of(at, from, to);
    const int32_t cell = fp_floor(place);
    const int beyond = cell < 0 || (uint32_t)cell >= from - 1;
    const float part = beyond ? 0 : place - (float)cell;
    const uint32_t first = cell < 0 ? 0 : fp_least((uint32_t)cell, from - 1);
    cells[at] = (fp_linear_cells){{first, fp_least(first + 1, from - 1)}, {1.0f - part, part}};
  }
  return 1;
}

int fp_upscale_cubic(fp_upscale* scale, fp_size from, fp_size to) {
  scale->from = from;
  scale->to = to;
  return cubic_cells(&scale->across, from.width, to.width) && cubic_cells(&scale->down, from.height, to.height) &&
         fp_space_for(&scale->rows, (size_t)to.width * 4, sizeof(float)) != NULL;
}

int fp_upscale_linear(fp_upscale* scale, fp_size from, fp_size to) {
  scale->from = from;
  scale->to = to;
  return linear_cells(&scale->across, from.width, to.width) && linear_cells(&scale->down, from.height, to.height);
}

static void scale_across(const fp_cubic_cells* across, const float* row, uint32_t width, float* result) {
  for (uint32_t at = 0; at < width; ++at) {
    const fp_cubic_cells* taps = &across[at];
    float sum = row[taps->cells[0]] * taps->weights[0];
    for (int tap = 1; tap < 4; ++tap) sum += row[taps->cells[tap]] * taps->weights[tap];
    result[at] = sum;
  }
}

/* Added from the last row to the first, as OpenCV's vector code does. */
static void add_down(const float* const* rows, const float* weights, uint32_t width, float* restrict result) {
  const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
  const float wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
  uint32_t at = 0;
  for (; at + 4 <= width; at += 4) {
    const fp_four last = *(const fp_four*)(c + at) * wc + *(const fp_four*)(d + at) * wd;
    *(fp_four*)(result + at) = *(const fp_four*)(a + at) * wa + (*(const fp_four*)(b + at) * wb + last);
  }
  for (; at < width; ++at) result[at] = a[at] * wa + (b[at] * wb + (c[at] * wc + d[at] * wd));
}

static int is_flat(const float* values, size_t count) {
  for (size_t at = 1; at < count; ++at) {
    if (values[at] != values[0]) return 0;
  }
  return 1;
}

void fp_upscaled_map(fp_upscale* scale, const float* map, float* result) {
  const fp_size from = scale->from, to = scale->to;
  const fp_cubic_cells *across = scale->across.data, *down = scale->down.data;
  if (is_flat(map, (size_t)from.height * from.width)) {
    for (size_t at = 0; at < (size_t)to.height * to.width; ++at) result[at] = map[0];
    return;
  }
  float* scaled = scale->rows.data;
  uint32_t held[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX,
                      UINT32_MAX}; /* rows scaled across, at their number modulo 4 */
  for (uint32_t row = 0; row < to.height; ++row) {
    const float* rows[4];
    for (int tap = 0; tap < 4; ++tap) {
      const uint32_t at = down[row].cells[tap];
      float* place = scaled + (size_t)(at % 4) * to.width;
      if (held[at % 4] != at) scale_across(across, map + (size_t)at * from.width, to.width, place);
      held[at % 4] = at;
      rows[tap] = place;
    }
    add_down(rows, down[row].weights, to.width, result + (size_t)row * to.width);
  }
}

float fp_upscaled_cell(const fp_upscale* scale, const float* map, uint32_t row, uint32_t column) {
  const fp_linear_cells* across = (const fp_linear_cells*)scale->across.data + column;
  const fp_linear_cells* down = (const fp_linear_cells*)scale->down.data + row;
  const float* above = map + (size_t)down->cells[0] * scale->from.width;
  const float* below = map + (size_t)down->cells[1] * scale->from.width;
  const float top = above[across->cells[0]] * across->weights[0] + above[across->cells[1]] * across->weights[1];
  const float bottom = below[across->cells[0]] * across->weights[0] + below[across->cells[1]] * across->weights[1];
  return top * down->weights[0] + bottom * down->weights[1];
}

void fp_upscaled_row(const fp_upscale* scale, const float* map, uint32_t row, float* result) {
  for (uint32_t column = 0; column < scale->to.width; ++column) {
    result[column] = fp_upscaled_cell(scale, map, row, column);
  }
}
