/* Keypoint regression, centres and offsets to people: models/pose/decoding/regression.py in C. */
#ifndef FLEETPOSE_POSE_REGRESSION_H
#define FLEETPOSE_POSE_REGRESSION_H

#include "pose/bodies.h"
#include "pose/decoding/maps.h"
#include "pose/decoding/maxima.h"
#include "pose/image/placement.h"

#define FP_MOST_KERNELS 8

/* Max pooling of this side picks centres on maps whose mean side is more than so many cells. */
typedef struct fp_pooling {
  double cells;
  uint32_t side;
} fp_pooling;

/* Constants, as RegressionSettings has them. */
typedef struct fp_regression_settings {
  fp_pooling kernels[FP_MOST_KERNELS];
  uint32_t kernel_count;
  double centre_threshold, near;
  uint32_t most_people, same_joints;
} fp_regression_settings;

/* What decoding keeps from frame to frame; zeros at first. */
typedef struct fp_regression {
  fp_maxima maxima;
  fp_space poses, order, spare, keys;
} fp_regression;

extern const fp_regression_settings fp_regression_defaults;

void fp_regression_free(fp_regression* regression);

/* People, best first, in the picture's pixels. centres: 1 channel; offsets: 34, x and y of each of COCO's keypoints;
 * heatmaps: NULL, or 17 channels. */
fp_status fp_regression_decode(fp_regression* regression, const fp_regression_settings* settings, const fp_map* centres,
                               const fp_map* offsets, const fp_map* heatmaps, const fp_placement* placement,
                               fp_bodies* bodies, fp_error* error);

#endif
