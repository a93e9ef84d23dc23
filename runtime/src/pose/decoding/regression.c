#include "pose/decoding/regression.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/numbers.h"

const fp_regression_settings fp_regression_defaults = {.kernels = {{300, 7}, {200, 5}, {0, 3}},
                                                       .kernel_count = 3,
                                                       .centre_threshold = 0.01,
                                                       .most_people = 30,
                                                       .near = 0.15,
                                                       .same_joints = 10};

/* A pose in cells of the maps. diagonal: of its box. */
typedef struct fp_regressed {
  double x[FP_COCO_KEYPOINTS], y[FP_COCO_KEYPOINTS], scores[FP_COCO_KEYPOINTS];
  double score, diagonal;
} fp_regressed;

void fp_regression_free(fp_regression* regression) {
  fp_maxima_free(&regression->maxima);
  fp_space_free(&regression->poses);
  fp_space_free(&regression->order);
  fp_space_free(&regression->spare);
  fp_space_free(&regression->keys);
}

/* A joint's heatmap at the cell nearest to it; not below 0, and 0 beyond the map. */
static double sample_heat(const fp_map* heatmaps, uint32_t joint, double x, double y) {
  const double column = fp_round(x), row = fp_round(y);
  if (!(column >= 0 && column < heatmaps->width && row >= 0 && row < heatmaps->height)) return 0;
  const float heat = fp_channel(heatmaps, joint)[(size_t)row * heatmaps->width + (size_t)column];
  return heat > 0 ? (double)heat : 0;
}

static double reach_of(const double* values) {
  double low = values[0], high = values[0];
  for (uint32_t at = 1; at < FP_COCO_KEYPOINTS; ++at) {
    low = values[at] < low ? values[at] : low;
    high = values[at] > high ? values[at] : high;
  }
  return high - low;
}

static void read_pose(const fp_maximum* centre, const fp_map* offsets, const fp_map* heatmaps, fp_regressed* pose) {
  const size_t cell = (size_t)centre->row * offsets->width + centre->column;
  for (uint32_t joint = 0; joint < FP_COCO_KEYPOINTS; ++joint) {
    pose->x[joint] = (double)centre->column - (double)fp_channel(offsets, 2 * joint)[cell];
    pose->y[joint] = (double)centre->row - (double)fp_channel(offsets, 2 * joint + 1)[cell];
    pose->scores[joint] = (double)centre->score;
    if (heatmaps != NULL) pose->scores[joint] *= sample_heat(heatmaps, joint, pose->x[joint], pose->y[joint]);
  }
  const double across = reach_of(pose->x), down = reach_of(pose->y);
  pose->score = fp_sum(pose->scores, FP_COCO_KEYPOINTS) / FP_COCO_KEYPOINTS;
  pose->diagonal = sqrt(across * across + down * down);
}

/* Whether more joints than settings->same_joints are where a better pose's are. */
static int is_same(const fp_regression_settings* settings, const fp_regressed* better, const fp_regressed* pose) {
  uint32_t same = 0;
  for (uint32_t joint = 0; joint < FP_COCO_KEYPOINTS; ++joint) {
    const double x = better->x[joint] - pose->x[joint], y = better->y[joint] - pose->y[joint];
    same += sqrt(x * x + y * y) < settings->near * better->diagonal;
  }
  return same > settings->same_joints;
}

static fp_status check(const fp_map* centres, const fp_map* offsets, const fp_map* heatmaps, fp_error* error) {
  fp_status status = fp_check_map(centres, 1, error);
  if (status == FP_OK) status = fp_check_map(offsets, 2 * FP_COCO_KEYPOINTS, error);
  if (status == FP_OK && heatmaps != NULL) status = fp_check_map(heatmaps, FP_COCO_KEYPOINTS, error);
  if (status == FP_OK) status = fp_check_same_size(centres, offsets, error);
  if (status == FP_OK && heatmaps != NULL) status = fp_check_same_size(centres, heatmaps, error);
  return status;
}

/* The side of pooling for maps of this size. */
static uint32_t kernel_for(const fp_regression_settings* settings, fp_size size) {
  for (uint32_t at = 0; at < settings->kernel_count; ++at) {
    if ((size.height + size.width) / 2.0 > settings->kernels[at].cells) return settings->kernels[at].side;
  }
  return 3;
}

/* Poses, best first, each compared with the better ones kept; those kept become people. */
static void keep_distinct(fp_regression* regression, const fp_regression_settings* settings, fp_size cells,
                          const fp_placement* placement, fp_bodies* bodies) {
  const fp_regressed* poses = regression->poses.data;
  uint32_t* order = regression->order.data;
  double* keys = regression->keys.data;
  const uint32_t count = regression->maxima.count;
  for (uint32_t at = 0; at < count; ++at) keys[at] = poses[at].score;
  fp_rank_falling(keys, order, regression->spare.data, count);
  uint32_t kept = 0;
  for (uint32_t rank = 0; rank < count; ++rank) {
    uint32_t better = 0;
    while (better < kept && !is_same(settings, &poses[order[better]], &poses[order[rank]])) ++better;
    if (better == kept) order[kept++] = order[rank];
  }
  for (uint32_t at = 0; at < kept; ++at) {
    fp_regressed pose = poses[order[at]];
    for (uint32_t joint = 0; joint < FP_COCO_KEYPOINTS; ++joint) {
      fp_to_image(placement, cells, &pose.x[joint], &pose.y[joint]);
    }
    fp_body_from_coco(fp_bodies_items(bodies) + bodies->count++, pose.x, pose.y, pose.scores, pose.score);
  }
}

fp_status fp_regression_decode(fp_regression* regression, const fp_regression_settings* settings, const fp_map* centres,
                               const fp_map* offsets, const fp_map* heatmaps, const fp_placement* placement,
                               fp_bodies* bodies, fp_error* error) {
  fp_status status = check(centres, offsets, heatmaps, error);
  if (status != FP_OK) return status;
  const fp_size size = {centres->height, centres->width};
  const uint32_t most = settings->most_people;
  status = fp_find_maxima(&regression->maxima, centres->data, size, kernel_for(settings, size),
                          (float)settings->centre_threshold, most, error);
  if (status != FP_OK) return status;
  fp_regressed* poses = fp_space_for(&regression->poses, most, sizeof(fp_regressed));
  if (poses == NULL || fp_bodies_start(bodies, most) == NULL ||
      fp_space_for(&regression->order, most, sizeof(uint32_t)) == NULL ||
      fp_space_for(&regression->spare, most, sizeof(uint32_t)) == NULL ||
      fp_space_for(&regression->keys, most, sizeof(double)) == NULL) {
    return fp_no_room(error);
  }
  for (uint32_t at = 0; at < regression->maxima.count; ++at) {
    read_pose(fp_maxima_items(&regression->maxima) + at, offsets, heatmaps, &poses[at]);
  }
  keep_distinct(regression, settings, size, placement, bodies);
  return FP_OK;
}
