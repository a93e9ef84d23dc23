/* How one person is followed: where they are, how they move, which keypoints are carried along unseen. */
#ifndef FLEETPOSE_POSE_MOTION_H
#define FLEETPOSE_POSE_MOTION_H

#include "pose/tracking/tracks.h"

/* A newcomer. */
void fp_track_start(fp_track* track, const fp_body* body, double secs);

/* Takes over where a known person is now; a keypoint hidden for more than `patience` frames is not carried along. */
void fp_track_see(fp_track* track, const fp_body* body, double secs, uint32_t patience);

#endif
