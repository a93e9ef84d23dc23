/* Who is who from frame to frame: models/pose/tracking/track.py in C. */
#ifndef FLEETPOSE_POSE_TRACKS_H
#define FLEETPOSE_POSE_TRACKS_H

#include "pose/bodies.h"

/* Constants, as TrackSettings has them. */
typedef struct fp_track_settings {
  double similar;
  uint32_t least_similar, max_missing, sure_keypoints, least_seen;
} fp_track_settings;

/* One person followed: keypoints where they are thought to be, and how they move, pixels per second. */
typedef struct fp_track {
  double x[FP_KEYPOINTS], y[FP_KEYPOINTS];
  double secs, velocity_x, velocity_y;
  uint32_t hidden[FP_KEYPOINTS]; /* frames for which a keypoint was carried along with the others */
  uint32_t missing, seen;
  int32_t identity; /* 0: none yet */
  uint8_t has_velocity, is_matched;
} fp_track;

/* Everybody followed; zeros at first. */
typedef struct fp_tracker {
  fp_space items; /* fp_track */
  uint32_t count;
  int32_t identities; /* given so far */
  fp_space expected, matches, pairs, keys, order, spare;
  uint32_t pair_count;
} fp_tracker;

extern const fp_track_settings fp_track_defaults;

void fp_tracker_free(fp_tracker* tracker);
void fp_tracker_restart(fp_tracker* tracker);

/* Gives the people of the next frame identities; a newcomer who is not sure yet has 0. Matching is greedy: of all pairs
 * of a known person and a found one the most alike goes first. The known are first sought where their velocity has
 * taken them, then where they were last seen. */
fp_status fp_tracker_update(fp_tracker* tracker, const fp_track_settings* settings, fp_bodies* bodies, double secs,
                            fp_error* error);

#endif
