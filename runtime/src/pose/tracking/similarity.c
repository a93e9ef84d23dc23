#include "pose/tracking/similarity.h"

#include "core/libc.h"
#include "pose/numbers.h"

/* OKS's sigmas in the order of fleetpose.h; the neck has the shoulders'. */
static const double sigmas[FP_KEYPOINTS] = {0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107,
                                            0.087, 0.089, 0.107, 0.087, 0.089, 0.025, 0.025, 0.035, 0.035};

static double reach_of(const double* values) {
  double low = FP_INFINITY, high = -FP_INFINITY;
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
    low = values[at] < low ? values[at] : low; /* false for NaN */
    high = values[at] > high ? values[at] : high;
  }
  return high >= low ? high - low : 0;
}

void fp_measure_area(fp_pose_points* points) {
  const double across = reach_of(points->x), down = reach_of(points->y);
  const double longest = across > down ? across : down, shortest = across > down ? down : across;
  const double area = longest * (shortest > longest / 3 ? shortest : longest / 3);
  points->area = area > 1 ? area : 1;
}

uint32_t fp_similar_keypoints(const fp_pose_points* one, const fp_pose_points* other, double similar, double* sum) {
  const double area = one->area > other->area ? one->area : other->area;
  double similarities[FP_KEYPOINTS];
  uint32_t count = 0;
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
    const double x = one->x[at] - other->x[at], y = one->y[at] - other->y[at], wide = 2 * sigmas[at];
    const double distance = (x * x + y * y) / (2 * area * (wide * wide));
    /* 1 / (1 + d) is above exp(-d): what is far needs no exponential. A NaN is like nothing. */
    const int near = 1 > similar * (1 + distance);
    const double similarity = near ? exp(-distance) : 0;
    similarities[at] = similarity > similar ? similarity : 0;
    count += similarity > similar;
  }
  *sum = fp_sum(similarities, FP_KEYPOINTS);
  return count;
}
