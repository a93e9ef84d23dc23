#include "pose/tracking/motion.h"

#include "pose/numbers.h"

/* Share of the newest frame in a velocity: a confusion in one frame does not turn people round. */
#define FP_NEWEST 0.3

void fp_track_start(fp_track* track, const fp_body* body, double secs) {
  *track = (fp_track){.secs = secs, .seen = 1};
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
    track->x[at] = body->x[at];
    track->y[at] = body->y[at];
  }
}

static double median_of(double* values, uint32_t count) {
  for (uint32_t next = 1; next < count; ++next) {
    const double value = values[next];
    uint32_t at = next;
    for (; at > 0 && values[at - 1] > value; --at) values[at] = values[at - 1];
    values[at] = value;
  }
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* A median over keypoints makes light of those that jump. */
static void see_velocity(fp_track* track, const fp_body* body, double secs) {
  double moved_x[FP_KEYPOINTS], moved_y[FP_KEYPOINTS];
  uint32_t count = 0;
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
    if (fp_missing(body->x[at]) || fp_missing(track->x[at])) continue;
    moved_x[count] = body->x[at] - track->x[at];
    moved_y[count++] = body->y[at] - track->y[at];
  }
  if (!(secs > track->secs) || count == 0) return;
  const double x = median_of(moved_x, count) / (secs - track->secs);
  const double y = median_of(moved_y, count) / (secs - track->secs);
  const double before_x = track->has_velocity ? track->velocity_x : x;
  const double before_y = track->has_velocity ? track->velocity_y : y;
  track->velocity_x = before_x + FP_NEWEST * (x - before_x);
  track->velocity_y = before_y + FP_NEWEST * (y - before_y);
  track->has_velocity = 1;
}

void fp_track_see(fp_track* track, const fp_body* body, double secs, uint32_t patience) {
  const double passed = track->has_velocity ? secs - track->secs : 0;
  const double carried_x = track->velocity_x * passed, carried_y = track->velocity_y * passed;
  see_velocity(track, body, secs);
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
    if (!fp_missing(body->x[at])) {
      track->hidden[at] = 0;
      track->x[at] = body->x[at];
      track->y[at] = body->y[at];
      continue;
    }
    track->hidden[at] += track->missing;
    const int is_lost = track->hidden[at] > patience;
    track->x[at] = is_lost ? FP_NAN : track->x[at] + carried_x;
    track->y[at] = is_lost ? FP_NAN : track->y[at] + carried_y;
  }
  track->secs = secs;
  track->missing = 0;
  ++track->seen;
}
