/* From a picture to people: what a network needs for it besides what runs it. */
#ifndef FLEETPOSE_PEOPLE_H
#define FLEETPOSE_PEOPLE_H

#include "core/package.h"
#include "pose/pose.h"

typedef struct fp_finder {
  fp_pose* pose;    /* NULL: it is no network that people are found by, see `refusal` */
  fp_error refusal; /* why not */
  fp_size* sizes;   /* of the package's entries */
  fp_map* maps;     /* outputs of the entry at work */
  float** outputs;  /* the same as fp_run wants them */
  float* input;     /* room for the largest input; NULL before the first picture */
  float* values;    /* room for the largest outputs */
} fp_finder;

/* Reads the package's settings. A network without a decoder is no failure; settings that contradict are. */
fp_status fp_finder_open(fp_finder* finder, const fp_package* package, fp_error* error);
void fp_finder_close(fp_finder* finder);

/* People in a picture, or, where `secs` is not NULL, in the next frame of a video. Call with the network's lock held. */
fp_status fp_finder_find(fp_network* network, const fp_image* image, const double* secs, fp_people_room* room,
                         fp_error* error);

#endif
