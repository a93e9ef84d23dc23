#include "pose/bodies.h"

#include "core/libc.h"
#include "pose/numbers.h"

enum { FP_NECK = 1, FP_RIGHT_SHOULDER = 2, FP_LEFT_SHOULDER = 5 };

static const uint32_t from_coco[FP_COCO_KEYPOINTS] = {0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10};

void fp_bodies_free(fp_bodies* bodies) {
  fp_space_free(&bodies->items);
  fp_space_free(&bodies->spare);
  fp_space_free(&bodies->keys);
  fp_space_free(&bodies->order);
  fp_space_free(&bodies->spare_order);
}

fp_body* fp_bodies_start(fp_bodies* bodies, uint32_t most) {
  bodies->count = 0;
  if (fp_space_for(&bodies->spare, most, sizeof(fp_body)) == NULL ||
      fp_space_for(&bodies->keys, most, sizeof(double)) == NULL ||
      fp_space_for(&bodies->order, most, sizeof(uint32_t)) == NULL ||
      fp_space_for(&bodies->spare_order, most, sizeof(uint32_t)) == NULL) {
    return NULL;
  }
  return fp_space_for(&bodies->items, most, sizeof(fp_body));
}

void fp_bodies_sort(fp_bodies* bodies) {
  const uint32_t count = bodies->count;
  const fp_body* items = fp_bodies_items(bodies);
  fp_body* sorted = bodies->spare.data;
  double* keys = bodies->keys.data;
  uint32_t* order = bodies->order.data;
  for (uint32_t at = 0; at < count; ++at) keys[at] = items[at].score;
  fp_rank_falling(keys, order, bodies->spare_order.data, count);
  for (uint32_t at = 0; at < count; ++at) sorted[at] = items[order[at]];
  const fp_space swap = bodies->items;
  bodies->items = bodies->spare;
  bodies->spare = swap;
}

uint32_t fp_from_coco(uint32_t keypoint) { return from_coco[keypoint]; }

static void set_keypoint(fp_body* body, uint32_t keypoint, double x, double y, double score) {
  const int missing = fp_missing(x);
  body->x[keypoint] = missing ? FP_NAN : x;
  body->y[keypoint] = missing ? FP_NAN : y;
  body->scores[keypoint] = missing ? 0 : score;
}

void fp_body_from_coco(fp_body* body, const double* x, const double* y, const double* scores, double score) {
  for (uint32_t at = 0; at < FP_COCO_KEYPOINTS; ++at) set_keypoint(body, from_coco[at], x[at], y[at], scores[at]);
  const double right = body->scores[FP_RIGHT_SHOULDER], left = body->scores[FP_LEFT_SHOULDER];
  set_keypoint(body, FP_NECK, (body->x[FP_RIGHT_SHOULDER] + body->x[FP_LEFT_SHOULDER]) / 2,
               (body->y[FP_RIGHT_SHOULDER] + body->y[FP_LEFT_SHOULDER]) / 2, right < left ? right : left);
  body->score = score;
  body->identity = 0;
}

void fp_body_to_person(const fp_body* body, fp_person* person) {
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
    person->keypoints[at] = (fp_keypoint){(float)body->x[at], (float)body->y[at], (float)body->scores[at]};
  }
  person->score = (float)body->score;
  person->identity = body->identity;
}

uint32_t fp_body_count(const fp_body* body) {
  uint32_t count = 0;
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) count += !fp_missing(body->x[at]);
  return count;
}
