#include "pose/decoding/assignment.h"

#include "core/libc.h"
#include "pose/numbers.h"

/* The shorter side's items are `givers`, the longer side's `takers`. */
typedef struct fp_duals {
  const double* costs;
  uint32_t givers, takers;
  uint32_t giver_step, taker_step;              /* of costs, from item to item */
  double *giver_price, *taker_price, *shortest; /* shortest: path to each taker */
  int32_t *taker_of, *giver_of, *from;          /* from: the giver before each taker on its path */
  int32_t* open;                                /* takers not reached yet */
  int32_t* reached;                             /* takers reached, in order */
} fp_duals;

void fp_assigner_free(fp_assigner* assigner) {
  fp_space_free(&assigner->numbers);
  fp_space_free(&assigner->indices);
}

int fp_assigner_reserve(fp_assigner* assigner, uint32_t most) {
  return fp_space_for(&assigner->numbers, 3 * (size_t)most, sizeof(double)) != NULL &&
         fp_space_for(&assigner->indices, 5 * (size_t)most, sizeof(int32_t)) != NULL;
}

/* Lengthens paths from a giver by one; answers the place in `open` of the nearest taker. Of equally near ones a free
 * one ends the search. */
static uint32_t look_around(fp_duals* duals, int32_t giver, double length, uint32_t open_count) {
  uint32_t nearest = 0;
  double least = FP_INFINITY;
  const double* costs = duals->costs + (size_t)giver * duals->giver_step;
  for (uint32_t at = 0; at < open_count; ++at) {
    const int32_t taker = duals->open[at];
    const double cost = costs[(size_t)taker * duals->taker_step];
    const double path = length + cost - duals->giver_price[giver] - duals->taker_price[taker];
    if (path < duals->shortest[taker]) {
      duals->shortest[taker] = path;
      duals->from[taker] = giver;
    }
    const double shortest = duals->shortest[taker];
    if (shortest < least || (shortest == least && duals->giver_of[taker] < 0)) {
      least = shortest;
      nearest = at;
    }
  }
  return nearest;
}

/* The shortest path from a giver to a free taker, which it answers; prices are adjusted along the way. */
static int32_t find_path(fp_duals* duals, int32_t start) {
  uint32_t open_count = duals->takers, reached_count = 0;
  for (uint32_t at = 0; at < duals->takers; ++at) {
    duals->open[at] = (int32_t)(duals->takers - at - 1);
    duals->shortest[at] = FP_INFINITY;
  }
  double length = 0;
  int32_t giver = start;
  for (;;) {
    const uint32_t nearest = look_around(duals, giver, length, open_count);
    const int32_t taker = duals->open[nearest];
    length = duals->shortest[taker];
    duals->open[nearest] = duals->open[--open_count];
    duals->reached[reached_count++] = taker;
    if (duals->giver_of[taker] < 0) break;
    giver = duals->giver_of[taker];
  }
  duals->giver_price[start] += length;
  for (uint32_t at = 0; at < reached_count; ++at) {
    const int32_t taker = duals->reached[at], owner = duals->giver_of[taker];
    const double gap = length - duals->shortest[taker];
    if (owner >= 0) duals->giver_price[owner] += gap;
    duals->taker_price[taker] -= gap;
  }
  return duals->reached[reached_count - 1];
}

static void augment(fp_duals* duals, int32_t start, int32_t taker) {
  for (int32_t giver = -1; giver != start;) {
    giver = duals->from[taker];
    const int32_t before = duals->taker_of[giver];
    duals->giver_of[taker] = giver;
    duals->taker_of[giver] = taker;
    taker = before;
  }
}

int fp_assign(fp_assigner* assigner, const double* costs, uint32_t rows, uint32_t columns, int32_t* column_of) {
  const int turned = rows > columns;
  const uint32_t givers = turned ? columns : rows, takers = turned ? rows : columns;
  double* numbers = fp_space_for(&assigner->numbers, (size_t)givers + 2 * (size_t)takers, sizeof(double));
  int32_t* indices = fp_space_for(&assigner->indices, (size_t)givers + 4 * (size_t)takers, sizeof(int32_t));
  if (numbers == NULL || indices == NULL) return 0;
  fp_duals duals = {.costs = costs, .givers = givers, .takers = takers};
  duals.giver_step = turned ? 1 : columns;
  duals.taker_step = turned ? columns : 1;
  duals.giver_price = numbers;
  duals.taker_price = numbers + givers;
  duals.shortest = duals.taker_price + takers;
  duals.taker_of = indices;
  duals.giver_of = indices + givers;
  duals.from = duals.giver_of + takers;
  duals.open = duals.from + takers;
  duals.reached = duals.open + takers;
  for (uint32_t at = 0; at < givers + takers; ++at) numbers[at] = 0;
  for (uint32_t at = 0; at < givers + takers; ++at) indices[at] = -1;
  for (uint32_t giver = 0; giver < givers; ++giver) {
    augment(&duals, (int32_t)giver, find_path(&duals, (int32_t)giver));
  }
  for (uint32_t row = 0; row < rows; ++row) column_of[row] = turned ? duals.giver_of[row] : duals.taker_of[row];
  return 1;
}
