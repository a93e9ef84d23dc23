/* Limbs between peaks: which pairs the fields join, and how surely; models/pose/decoding/limbs.py in C. */
#ifndef FLEETPOSE_POSE_LIMBS_H
#define FLEETPOSE_POSE_LIMBS_H

#include "pose/decoding/peaks.h"

/* The most samples along a limb. */
#define FP_MOST_SAMPLES 64

/* Peaks by their numbers among all. */
typedef struct fp_limb {
  uint32_t limb, start, end;
  double score;
} fp_limb;

/* Limbs in order of kind, then best first; zeros at first. */
typedef struct fp_limbs {
  fp_space items; /* fp_limb */
  uint32_t count;
  fp_space field, candidates, keys, order, spare, taken;
} fp_limbs;

/* How limbs are judged: samples along them count above `threshold`, and more than `share` of them must. */
typedef struct fp_limb_rule {
  uint32_t samples;
  double threshold, share;
} fp_limb_rule;

void fp_limbs_free(fp_limbs* limbs);

/* The valid limbs, each peak the start, and the end, of at most one limb of a kind; the best limb chooses first. The
 * score is the mean of the samples that count. `most`: the peaks of a part are not more. */
fp_status fp_find_limbs(fp_limbs* limbs, const fp_peaks* peaks, const fp_map* fields, const fp_limb_rule* rule,
                        uint32_t most, fp_error* error);

#endif
