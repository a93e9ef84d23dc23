#include "pose/tracking/tracks.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/numbers.h"
#include "pose/tracking/motion.h"
#include "pose/tracking/similarity.h"

/* Room made at once for people followed and for pairs of them. */
enum { FP_USUAL_TRACKS = 256, FP_USUAL_PAIRS = 4096 };

const fp_track_settings fp_track_defaults = {
    .similar = 0.5, .least_similar = 3, .max_missing = 15, .sure_keypoints = 9, .least_seen = 3};

/* A known person and a found one who may be the same. */
typedef struct fp_pair {
  uint32_t track, body, count;
  double sum;
} fp_pair;

void fp_tracker_free(fp_tracker* tracker) {
  fp_space_free(&tracker->items);
  fp_space_free(&tracker->expected);
  fp_space_free(&tracker->matches);
  fp_space_free(&tracker->pairs);
  fp_space_free(&tracker->keys);
  fp_space_free(&tracker->order);
  fp_space_free(&tracker->spare);
}

void fp_tracker_restart(fp_tracker* tracker) {
  tracker->count = 0;
  tracker->identities = 0;
}

/* Room for `count`, at least for `least`; twice what was there where it does not suffice. NULL: no memory. */
static void* grow(fp_space* space, size_t count, size_t item_bytes, size_t least) {
  const size_t room = space->bytes / item_bytes;
  if (space->data != NULL && count <= room) return space->data;
  const size_t wanted = 2 * room > least ? 2 * room : least;
  return fp_space_for(space, count > wanted ? count : wanted, item_bytes);
}

static fp_pose_points points_of(const double* x, const double* y, double move_x, double move_y) {
  fp_pose_points points;
  for (uint32_t at = 0; at < FP_KEYPOINTS; ++at) {
    points.x[at] = x[at] + move_x;
    points.y[at] = y[at] + move_y;
  }
  fp_measure_area(&points);
  return points;
}

/* The usual room for everything, at the first frame; answers 0 where there is no memory. */
static int make_room(fp_tracker* tracker) {
  return grow(&tracker->pairs, 0, sizeof(fp_pair), FP_USUAL_PAIRS) != NULL &&
         grow(&tracker->keys, 0, sizeof(double), FP_USUAL_PAIRS) != NULL &&
         grow(&tracker->order, 0, sizeof(uint32_t), FP_USUAL_PAIRS) != NULL &&
         grow(&tracker->spare, 0, sizeof(uint32_t), FP_USUAL_PAIRS) != NULL;
}

/* Pairs that are alike enough; answers 0 where there is no memory. */
static int find_pairs(fp_tracker* tracker, const fp_track_settings* settings, const fp_pose_points* expected,
                      const fp_pose_points* found, uint32_t found_count) {
  tracker->pair_count = 0;
  for (uint32_t track = 0; track < tracker->count; ++track) {
    for (uint32_t body = 0; body < found_count; ++body) {
      fp_pair pair = {track, body, 0, 0};
      pair.count = fp_similar_keypoints(&expected[track], &found[body], settings->similar, &pair.sum);
      if (pair.count < settings->least_similar) continue;
      fp_pair* pairs = grow(&tracker->pairs, (size_t)tracker->pair_count + 1, sizeof(fp_pair), FP_USUAL_PAIRS);
      if (pairs == NULL) return 0;
      pairs[tracker->pair_count++] = pair;
    }
  }
  return 1;
}

/* By the number of similar keypoints, then by their similarity; answers 0 where there is no memory. */
static int sort_pairs(fp_tracker* tracker) {
  const uint32_t count = tracker->pair_count;
  const fp_pair* pairs = tracker->pairs.data;
  double* keys = grow(&tracker->keys, count, sizeof(double), FP_USUAL_PAIRS);
  uint32_t* order = grow(&tracker->order, count, sizeof(uint32_t), FP_USUAL_PAIRS);
  uint32_t* spare = grow(&tracker->spare, count, sizeof(uint32_t), FP_USUAL_PAIRS);
  if (keys == NULL || order == NULL || spare == NULL) return 0;
  for (uint32_t at = 0; at < count; ++at) keys[at] = pairs[at].sum;
  fp_rank_falling(keys, order, spare, count);
  for (uint32_t at = 0; at < count; ++at) keys[at] = pairs[at].count;
  fp_sort_falling(keys, order, spare, count);
  return 1;
}

/* Matches of those who have none yet: matches[body] is a track, or -1. `moves`: whether the known are sought where
 * their velocity has taken them. */
static int match(fp_tracker* tracker, const fp_track_settings* settings, uint32_t found_count, double secs, int moves) {
  fp_track* tracks = tracker->items.data;
  fp_pose_points* expected = tracker->expected.data;
  int32_t* matches = tracker->matches.data;
  for (uint32_t at = 0; at < tracker->count; ++at) {
    const double passed = moves && tracks[at].has_velocity ? secs - tracks[at].secs : 0;
    expected[at] =
        points_of(tracks[at].x, tracks[at].y, tracks[at].velocity_x * passed, tracks[at].velocity_y * passed);
  }
  if (!find_pairs(tracker, settings, expected, expected + tracker->count, found_count) || !sort_pairs(tracker))
    return 0;
  const fp_pair* pairs = tracker->pairs.data;
  const uint32_t* order = tracker->order.data;
  for (uint32_t at = 0; at < tracker->pair_count; ++at) {
    const fp_pair* pair = &pairs[order[at]];
    if (matches[pair->body] >= 0 || tracks[pair->track].is_matched) continue;
    matches[pair->body] = (int32_t)pair->track;
    tracks[pair->track].is_matched = 1;
  }
  return 1;
}

/* Whoever is missing for too long is forgotten; the others stay in order. */
static void forget(fp_tracker* tracker, uint32_t max_missing) {
  fp_track* tracks = tracker->items.data;
  uint32_t kept = 0;
  for (uint32_t at = 0; at < tracker->count; ++at) {
    if (tracks[at].missing <= max_missing) tracks[kept++] = tracks[at];
  }
  tracker->count = kept;
}

/* Takes over where everybody is, and says who they are. There is room for as many tracks more as bodies. */
static void take_over(fp_tracker* tracker, const fp_track_settings* settings, fp_bodies* bodies, double secs) {
  fp_track* tracks = tracker->items.data;
  const int32_t* matches = tracker->matches.data;
  const uint32_t known = tracker->count;
  for (uint32_t at = 0; at < known; ++at) ++tracks[at].missing;
  for (uint32_t at = 0; at < bodies->count; ++at) {
    fp_body* body = fp_bodies_items(bodies) + at;
    fp_track* track = matches[at] >= 0 ? &tracks[matches[at]] : &tracks[tracker->count++];
    if (matches[at] >= 0) {
      fp_track_see(track, body, secs, settings->max_missing);
    } else {
      fp_track_start(track, body, secs);
    }
    const int is_sure = fp_body_count(body) >= settings->sure_keypoints || track->seen >= settings->least_seen;
    if (track->identity == 0 && is_sure) track->identity = ++tracker->identities;
    body->identity = track->identity;
  }
  forget(tracker, settings->max_missing);
}

fp_status fp_tracker_update(fp_tracker* tracker, const fp_track_settings* settings, fp_bodies* bodies, double secs,
                            fp_error* error) {
  const size_t all = (size_t)tracker->count + bodies->count;
  fp_track* tracks = grow(&tracker->items, all, sizeof(fp_track), FP_USUAL_TRACKS);
  fp_pose_points* expected = grow(&tracker->expected, all, sizeof(fp_pose_points), FP_USUAL_TRACKS);
  int32_t* matches = grow(&tracker->matches, bodies->count, sizeof(int32_t), FP_USUAL_TRACKS);
  if (tracks == NULL || expected == NULL || matches == NULL || !make_room(tracker)) return fp_no_room(error);
  for (uint32_t at = 0; at < tracker->count; ++at) tracks[at].is_matched = 0;
  for (uint32_t at = 0; at < bodies->count; ++at) {
    const fp_body* body = fp_bodies_items(bodies) + at;
    matches[at] = -1;
    expected[tracker->count + at] = points_of(body->x, body->y, 0, 0);
  }
  if (tracker->count > 0 && bodies->count > 0) {
    if (!match(tracker, settings, bodies->count, secs, 1) || !match(tracker, settings, bodies->count, secs, 0)) {
      return fp_no_room(error);
    }
  }
  take_over(tracker, settings, bodies, secs);
  return FP_OK;
}
