#include "pose/tracking/smoothing.h"

#include "core/error.h"
#include "pose/numbers.h"

enum { FP_USUAL_FILTERS = 256 };

const fp_smoothing_settings fp_smoothing_defaults = {
    .freq = 15.0, .min_cutoff = 1.0, .beta = 0.05, .derivative_cutoff = 1.0, .forget_secs = 2.0};

/* A number filtered; value NaN: not seen yet. */
typedef struct fp_one_euro {
  double value, speed, secs;
} fp_one_euro;

/* A person's coordinates, x and y of each keypoint. last: when it was used. */
typedef struct fp_filter {
  fp_one_euro numbers[FP_KEYPOINTS][2];
  double last;
  int32_t identity;
} fp_filter;

void fp_smoother_free(fp_smoother* smoother) { fp_space_free(&smoother->items); }

/* Of the new value in a first-order low-pass. */
static double weight_of(double cutoff, double step) {
  const double pi = 3.141592653589793;
  return 1 / (1 + 1 / (2 * pi * cutoff * step));
}

static double filtered(fp_one_euro* number, const fp_smoothing_settings* settings, double beta, double value,
                       double secs) {
  if (fp_missing(value)) return value;
  if (!fp_missing(number->value)) {
    const double step = secs > number->secs ? secs - number->secs : 1 / settings->freq;
    const double speed = (value - number->value) / step;
    number->speed += weight_of(settings->derivative_cutoff, step) * (speed - number->speed);
    const double weight = weight_of(settings->min_cutoff + beta * fp_magnitude(number->speed), step);
    value = number->value + weight * (value - number->value);
  }
  number->value = value;
  number->secs = secs;
  return value;
}

static void forget(fp_smoother* smoother, double secs, double forget_secs) {
  fp_filter* filters = smoother->items.data;
  uint32_t kept = 0;
  for (uint32_t at = 0; at < smoother->count; ++at) {
    if (secs - filters[at].last <= forget_secs) filters[kept++] = filters[at];
  }
  smoother->count = kept;
}

/* The filter of an identity, a new one where there is none; NULL: no memory. */
static fp_filter* filter_of(fp_smoother* smoother, int32_t identity) {
  fp_filter* filters = smoother->items.data;
  for (uint32_t at = 0; at < smoother->count; ++at) {
    if (filters[at].identity == identity) return &filters[at];
  }
  const size_t room = smoother->items.bytes / sizeof(fp_filter);
  if (smoother->count == room) {
    filters = fp_space_for(&smoother->items, 2 * room, sizeof(fp_filter));
    if (filters == NULL) return NULL;
  }
  fp_filter* filter = &filters[smoother->count++];
  *filter = (fp_filter){.identity = identity};
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) filter->numbers[at][0].value = filter->numbers[at][1].value = FP_NAN;
  return filter;
}

fp_status fp_smooth(fp_smoother* smoother, const fp_smoothing_settings* settings, double scale, fp_bodies* bodies,
                    double secs, fp_error* error) {
  const double beta = settings->beta * scale;
  if (fp_space_for(&smoother->items, FP_USUAL_FILTERS, sizeof(fp_filter)) == NULL) return fp_no_room(error);
  forget(smoother, secs, settings->forget_secs);
  for (fp_body* body = fp_bodies_items(bodies); body < fp_bodies_items(bodies) + bodies->count; ++body) {
    if (body->identity == 0) continue;
    fp_filter* filter = filter_of(smoother, body->identity);
    if (filter == NULL) return fp_no_room(error);
    filter->last = secs;
    for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
      body->x[at] = filtered(&filter->numbers[at][0], settings, beta, body->x[at], secs);
      body->y[at] = filtered(&filter->numbers[at][1], settings, beta, body->y[at], secs);
    }
  }
  return FP_OK;
}
