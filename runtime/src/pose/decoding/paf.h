/* Part-affinity-field grouping, heatmaps and fields to people: models/pose/decoding/paf.py in C. */
#ifndef FLEETPOSE_POSE_PAF_H
#define FLEETPOSE_POSE_PAF_H

#include "pose/bodies.h"
#include "pose/decoding/limbs.h"
#include "pose/image/placement.h"

/* Constants, as PafSettings has them. */
typedef struct fp_paf_settings {
  double peak_threshold, radius, sample_threshold, counted_share, least_score;
  uint32_t samples, least_keypoints, most_peaks;
} fp_paf_settings;

/* What decoding keeps from frame to frame; zeros at first. */
typedef struct fp_paf {
  fp_peaks peaks;
  fp_limbs limbs;
  fp_space groups, owners;
} fp_paf;

extern const fp_paf_settings fp_paf_defaults;

void fp_paf_free(fp_paf* paf);

/* People, best first, in the picture's pixels. heatmaps: 19 channels; fields: 38, as fp_bones has them. */
fp_status fp_paf_decode(fp_paf* paf, const fp_paf_settings* settings, const fp_map* heatmaps, const fp_map* fields,
                        const fp_placement* placement, fp_bodies* bodies, fp_error* error);

#endif
