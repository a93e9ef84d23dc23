/* Keypoints of a video made steady by One-Euro filters: models/pose/tracking/smooth.py in C. */
#ifndef FLEETPOSE_POSE_SMOOTHING_H
#define FLEETPOSE_POSE_SMOOTHING_H

#include "pose/bodies.h"

/* Constants, as OneEuroSettings has them, and how long a filter is kept that is not used. */
typedef struct fp_smoothing_settings {
  double freq, min_cutoff, beta, derivative_cutoff, forget_secs;
} fp_smoothing_settings;

/* Filters by identity; zeros at first. */
typedef struct fp_smoother {
  fp_space items;
  uint32_t count;
} fp_smoother;

extern const fp_smoothing_settings fp_smoothing_defaults;

void fp_smoother_free(fp_smoother* smoother);

/* Filters the keypoints of people who have identities; who has none is left alone. scale: pixels of the network's input
 * per pixel of the picture, which speeds are measured in. */
fp_status fp_smooth(fp_smoother* smoother, const fp_smoothing_settings* settings, double scale, fp_bodies* bodies,
                    double secs, fp_error* error);

#endif
