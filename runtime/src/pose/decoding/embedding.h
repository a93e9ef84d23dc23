/* Associative Embedding grouping, heatmaps and tags to people: models/pose/decoding/embedding.py in C. */
#ifndef FLEETPOSE_POSE_EMBEDDING_H
#define FLEETPOSE_POSE_EMBEDDING_H

#include "pose/bodies.h"
#include "pose/decoding/maps.h"
#include "pose/decoding/maxima.h"
#include "pose/decoding/tags.h"
#include "pose/decoding/upscale.h"
#include "pose/image/placement.h"

/* Constants, as EmbeddingSettings has them. */
typedef struct fp_embedding_settings {
  double peak_threshold, tag_threshold;
  uint32_t kernel, most_people, least_keypoints, refine;
} fp_embedding_settings;

/* What decoding keeps from frame to frame; zeros at first. */
typedef struct fp_embedding {
  fp_upscale heat_scale, tag_scale;
  fp_maxima maxima;
  fp_joints joints;
  fp_groups groups;
  fp_space heat;                                          /* a heatmap at the maps' common size */
  fp_space keypoints;                                     /* x, y and score of each person's joints */
  fp_space tag_rows, values, matches, keys, order, spare; /* of refinement */
} fp_embedding;

/* x, y and scores of a person in COCO's order; NaN where not found. */
typedef struct fp_coco_body {
  double x[FP_COCO_KEYPOINTS], y[FP_COCO_KEYPOINTS], scores[FP_COCO_KEYPOINTS];
} fp_coco_body;

extern const fp_embedding_settings fp_embedding_defaults;

void fp_embedding_free(fp_embedding* embedding);

/* People, best first, in the picture's pixels. heatmaps: 17 channels in COCO's order; tags: 17, or a multiple of it for
 * tags of several numbers. */
fp_status fp_embedding_decode(fp_embedding* embedding, const fp_embedding_settings* settings, const fp_map* heatmaps,
                              const fp_map* tags, const fp_placement* placement, fp_bodies* bodies, fp_error* error);

/* A place a quarter of a pixel from (row, column) towards the higher of the neighbours on either side. */
void fp_adjust(const float* heat, fp_size size, uint32_t row, uint32_t column, double* x, double* y);

/* Gives every person every joint it lacks, from the whole map, unless the heatmap is not above 0 there. `people` has as
 * many as groups; the scales are set. Answers 0 where there is no memory. */
int fp_fill_joints(fp_embedding* embedding, const fp_map* heatmaps, const fp_map* tags, fp_coco_body* people);

#endif
