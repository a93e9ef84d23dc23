#include "pose/image/placement.h"

#include "pose/numbers.h"

/* A side that keeps its proportion: `side` x `wanted` / `given`, rounded, of two halves to the even one. */
static uint32_t scaled(uint32_t side, uint32_t wanted, uint32_t given) {
  return (uint32_t)fp_round((double)((uint64_t)side * wanted) / given);
}

static uint32_t at_least_one(uint32_t side) { return side > 0 ? side : 1; }

fp_size fp_contained_size(fp_size image, fp_size size) {
  const uint32_t width = scaled(image.width, size.height, image.height);
  if (width <= size.width) return (fp_size){size.height, at_least_one(width)};
  return (fp_size){at_least_one(scaled(image.height, size.width, image.width)), size.width};
}

static uint64_t area(fp_size size) { return (uint64_t)size.height * size.width; }

uint32_t fp_choose_size(fp_size image, const fp_size* sizes, uint32_t count) {
  uint32_t best = 0;
  uint64_t best_content = 0;
  for (uint32_t at = 0; at < count; ++at) {
    const uint64_t content = area(fp_contained_size(image, sizes[at]));
    if (content > best_content || (content == best_content && area(sizes[at]) < area(sizes[best]))) {
      best = at;
      best_content = content;
    }
  }
  return best;
}

fp_placement fp_place(fp_size image, fp_size input) {
  return (fp_placement){image, input, fp_contained_size(image, input)};
}

/* `at` pixels of a side `from` long, in pixels of the same side `to` long; whole numbers are pixels' centres. */
static double rescaled(double at, uint32_t from, uint32_t to) { return (at + 0.5) * ((double)to / (double)from) - 0.5; }

void fp_to_image(const fp_placement* placement, fp_size map, double* x, double* y) {
  *x = rescaled(rescaled(*x, map.width, placement->input.width), placement->content.width, placement->image.width);
  *y = rescaled(rescaled(*y, map.height, placement->input.height), placement->content.height, placement->image.height);
}
