/* A network's output maps, checked before they are decoded: models/pose/decoding/maps.py in C. */
#ifndef FLEETPOSE_POSE_MAPS_H
#define FLEETPOSE_POSE_MAPS_H

#include "fleetpose.h"

/* An output: (channels, height, width) float32, row-major. */
typedef struct fp_map {
  const char* name;
  const float* data;
  uint32_t channels, height, width;
} fp_map;

/* FP_BAD_ARGUMENT unless the map has this many channels, 1 to 1500 cells on a side, and finite values within 1e6. */
fp_status fp_check_map(const fp_map* map, uint32_t channels, fp_error* error);

/* FP_BAD_ARGUMENT unless both have the same cells. */
fp_status fp_check_same_size(const fp_map* map, const fp_map* other, fp_error* error);

/* Values of `count` that are not finite or beyond 1e6. */
size_t fp_wrong_values(const float* values, size_t count);

/* Cells that repeat the border on each side of a padded map: the reach of cubic interpolation. */
#define FP_MARGIN 2

static inline size_t fp_cells(const fp_map* map) { return (size_t)map->height * map->width; }

static inline const float* fp_channel(const fp_map* map, uint32_t channel) {
  return map->data + (size_t)channel * fp_cells(map);
}

/* float32 numbers that a padded channel takes. */
static inline size_t fp_padded_cells(const fp_map* map) {
  return ((size_t)map->height + 2 * FP_MARGIN) * ((size_t)map->width + 2 * FP_MARGIN);
}

/* Copies a channel into `padded`, with FP_MARGIN cells more on each side. */
void fp_pad_channel(const fp_map* map, uint32_t channel, float* padded);

#endif
