#include "pose/decoding/maxima.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/numbers.h"

/* Room that is made at once, which maps of networks stay within. */
enum { FP_USUAL_CELLS = 4096 };

void fp_maxima_free(fp_maxima* maxima) {
  fp_space_free(&maxima->items);
  fp_space_free(&maxima->cells);
  fp_space_free(&maxima->roots);
  fp_space_free(&maxima->blocks);
  fp_space_free(&maxima->keys);
  fp_space_free(&maxima->order);
  fp_space_free(&maxima->spare);
}

/* Whether one of the four cells beside it is higher, which decides for most. */
static int is_below_neighbour(const float* values, fp_size size, uint32_t row, uint32_t column) {
  const float* cell = values + (size_t)row * size.width + column;
  return (column > 0 && cell[-1] > *cell) || (column + 1 < size.width && cell[1] > *cell) ||
         (row > 0 && cell[-(ptrdiff_t)size.width] > *cell) || (row + 1 < size.height && cell[size.width] > *cell);
}

static int is_highest(const float* values, fp_size size, uint32_t row, uint32_t column, uint32_t reach) {
  const float value = values[(size_t)row * size.width + column];
  const uint32_t top = row < reach ? 0 : row - reach, bottom = fp_least(row + reach, size.height - 1);
  const uint32_t left = column < reach ? 0 : column - reach, right = fp_least(column + reach, size.width - 1);
  for (uint32_t y = top; y <= bottom; ++y) {
    const float* line = values + (size_t)y * size.width;
    for (uint32_t x = left; x <= right; ++x) {
      if (line[x] > value) return 0;
    }
  }
  return 1;
}

/* Cells that are maxima, by rows. Answers 0 where there is no memory. */
static int find_cells(fp_maxima* maxima, const float* values, fp_size size, uint32_t kernel, float threshold) {
  uint32_t count = 0;
  uint32_t* cells = fp_space_for(&maxima->cells, FP_USUAL_CELLS, sizeof(uint32_t));
  if (cells == NULL) return 0;
  size_t room = maxima->cells.bytes / sizeof(uint32_t);
  for (uint32_t row = 0; row < size.height; ++row) {
    const float* line = values + (size_t)row * size.width;
    if (!(fp_highest(line, size.width) > threshold)) continue;
    for (uint32_t column = 0; column < size.width; ++column) {
      if (!(line[column] > threshold)) continue;
      if (kernel > 1 && is_below_neighbour(values, size, row, column)) continue;
      if (!is_highest(values, size, row, column, kernel / 2)) continue;
      if (count == room) {
        cells = fp_space_for(&maxima->cells, 2 * room, sizeof(uint32_t));
        if (cells == NULL) return 0;
        room = maxima->cells.bytes / sizeof(uint32_t);
      }
      cells[count++] = row * size.width + column;
    }
  }
  maxima->count = count;
  return 1;
}

static uint32_t root_of(uint32_t* roots, uint32_t cell) {
  while (roots[cell] != cell) cell = roots[cell] = roots[roots[cell]];
  return cell;
}

/* Joins neighbouring cells, diagonal ones too: the root of each is the first of its plateau. */
static void join_plateaus(const uint32_t* cells, uint32_t count, uint32_t width, uint32_t* roots) {
  uint32_t above = 0;
  for (uint32_t at = 0; at < count; ++at) {
    const uint32_t cell = cells[at], column = cell % width;
    roots[at] = at;
    if (column > 0 && at > 0 && cells[at - 1] == cell - 1) roots[at] = root_of(roots, at - 1);
    if (cell < width) continue;
    const uint32_t first = cell - width - (column > 0), last = cell - width + (column + 1 < width);
    while (cells[above] < first) ++above;
    for (uint32_t next = above; cells[next] <= last; ++next) {
      const uint32_t one = root_of(roots, at), other = root_of(roots, next);
      roots[one > other ? one : other] = one > other ? other : one;
    }
  }
}

/* Plateaus in the order in which OpenCV numbers them: by the first block of 2 x 2 cells. Leaves one cell of each. */
static void keep_plateaus(fp_maxima* maxima, uint32_t width) {
  uint32_t *cells = maxima->cells.data, *roots = maxima->roots.data, *order = maxima->order.data;
  uint32_t* blocks = maxima->blocks.data;
  double* keys = maxima->keys.data;
  join_plateaus(cells, maxima->count, width, roots);
  const uint32_t across = (width + 1) / 2;
  for (uint32_t at = 0; at < maxima->count; ++at) {
    const uint32_t block = cells[at] / width / 2 * across + cells[at] % width / 2, root = root_of(roots, at);
    blocks[at] = root == at ? block : UINT32_MAX;
    blocks[root] = fp_least(blocks[root], block);
  }
  uint32_t count = 0;
  for (uint32_t at = 0; at < maxima->count; ++at) {
    if (roots[at] == at) order[count++] = at;
    keys[at] = -(double)blocks[at];
  }
  fp_sort_falling(keys, order, maxima->spare.data, count);
  for (uint32_t at = 0; at < count; ++at) blocks[at] = cells[order[at]];
  memcpy(cells, blocks, count * sizeof(uint32_t));
  maxima->count = count;
}

/* Sorts the cells' values; answers whether two are equal. */
static int sort_cells(fp_maxima* maxima, const float* values) {
  const uint32_t* cells = maxima->cells.data;
  uint32_t* order = maxima->order.data;
  double* keys = maxima->keys.data;
  for (uint32_t at = 0; at < maxima->count; ++at) keys[at] = values[cells[at]];
  fp_rank_falling(keys, order, maxima->spare.data, maxima->count);
  int equal = 0;
  for (uint32_t at = 1; at < maxima->count; ++at) equal |= keys[order[at]] == keys[order[at - 1]];
  return equal;
}

static int is_flat(const float* values, fp_size size) {
  for (size_t at = 1; at < (size_t)size.height * size.width; ++at) {
    if (values[at] < values[0]) return 0;
  }
  return 1;
}

fp_status fp_find_maxima(fp_maxima* maxima, const float* values, fp_size size, uint32_t kernel, float threshold,
                         uint32_t most, fp_error* error) {
  if (!find_cells(maxima, values, size, kernel, threshold)) return fp_no_room(error);
  const uint32_t room = maxima->count > FP_USUAL_CELLS ? maxima->count : FP_USUAL_CELLS;
  fp_maximum* items = fp_space_for(&maxima->items, most, sizeof(fp_maximum));
  if (items == NULL || fp_space_for(&maxima->keys, room, sizeof(double)) == NULL ||
      fp_space_for(&maxima->order, room, sizeof(uint32_t)) == NULL ||
      fp_space_for(&maxima->spare, room, sizeof(uint32_t)) == NULL ||
      fp_space_for(&maxima->roots, room, sizeof(uint32_t)) == NULL ||
      fp_space_for(&maxima->blocks, room, sizeof(uint32_t)) == NULL) {
    return fp_no_room(error);
  }
  if (sort_cells(maxima, values)) {
    keep_plateaus(maxima, size.width);
    sort_cells(maxima, values);
  }
  const uint32_t* cells = maxima->cells.data;
  const uint32_t* order = maxima->order.data;
  if (maxima->count == 1 && cells[0] == 0 && is_flat(values, size)) maxima->count = 0;
  maxima->count = fp_least(maxima->count, most);
  for (uint32_t at = 0; at < maxima->count; ++at) {
    const uint32_t cell = cells[order[at]];
    items[at] = (fp_maximum){cell / size.width, cell % size.width, values[cell]};
  }
  return FP_OK;
}
