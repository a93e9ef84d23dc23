/* How alike two people's keypoints are. */
#ifndef FLEETPOSE_POSE_SIMILARITY_H
#define FLEETPOSE_POSE_SIMILARITY_H

#include "fleetpose.h"

/* Keypoints of a person; NaN where not found. area: of the box, but not less than a third of its longer side squared,
 * so that who is seen in a line has one; at least 1. */
typedef struct fp_pose_points {
  double x[FP_KEYPOINTS], y[FP_KEYPOINTS];
  double area;
} fp_pose_points;

void fp_measure_area(fp_pose_points* points);

/* How many keypoints are more alike than `similar`, and the sum of these similarities: exp(-d^2 / (2 area (2 sigma)^2))
 * with OKS's sigmas, `area` that of the larger of the two. */
uint32_t fp_similar_keypoints(const fp_pose_points* one, const fp_pose_points* other, double similar, double* sum);

#endif
