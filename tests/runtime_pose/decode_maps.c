/* Decodes what a file holds, for sanitizers: `decode_maps FILE` prints a line for each case. A case is a decoder's
 * name, a number of outputs, the picture's and the input's height and width; of each output its name, channels, height
 * and width, then its float32 numbers. Each case is decoded twice and followed twice, with a fresh fp_pose. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pose/pose.h"

enum { MOST_OUTPUTS = 4, CAPACITY = 8 };

typedef struct named {
  char name[32];
} named;

static int read_header(FILE* file, named* decoder, uint32_t* count, fp_size* image, fp_size* size) {
  char line[200];
  if (fgets(line, sizeof(line), file) == NULL) return 0;
  return sscanf(line, "%31s %u %u %u %u %u", decoder->name, count, &image->height, &image->width, &size->height,
                &size->width) == 6;
}

/* The values are in memory of exactly their size, so that a read beyond them is noticed. */
static int read_map(FILE* file, named* name, fp_map* map) {
  char line[200];
  if (fgets(line, sizeof(line), file) == NULL) return 0;
  if (sscanf(line, "%31s %u %u %u", name->name, &map->channels, &map->height, &map->width) != 4) return 0;
  const size_t count = (size_t)map->channels * map->height * map->width;
  float* data = malloc(count * sizeof(float));
  if (data == NULL || fread(data, sizeof(float), count, file) != count || fgetc(file) != '\n') return 0;
  map->name = name->name;
  map->data = data;
  return 1;
}

static fp_status create(const char* decoder, fp_pose** pose, fp_error* error) {
  char strings[256] = "";
  const char* texts[] = {
      "decoder", decoder, "preprocessing.channels", "GREY", "preprocessing.scale", "preprocessing.mean.0"};
  uint32_t offsets[6], end = 1;
  for (int at = 0; at < 6; ++at) {
    offsets[at] = end;
    memcpy(strings + end, texts[at], strlen(texts[at]) + 1);
    end += (uint32_t)strlen(texts[at]) + 1;
  }
  const fpk_setting items[] = {{offsets[0], offsets[1], 1, 0, 0},
                               {offsets[2], offsets[3], 1, 0, 0},
                               {offsets[4], 0, 0, 0, 0.5},
                               {offsets[5], 0, 0, 0, 3}};
  const fp_settings settings = {items, 4, strings};
  return fp_pose_create(&settings, pose, error);
}

static void decode(const char* decoder, const fp_map* maps, uint32_t count, fp_size image, fp_size size) {
  fp_error error = {FP_OK, ""};
  fp_pose* pose = NULL;
  fp_person people[CAPACITY];
  fp_people_room room = {people, CAPACITY, 0};
  fp_status status = create(decoder, &pose, &error);
  if (status == FP_OK) status = fp_pose_place(pose, image, size, &error);
  for (int turn = 0; status == FP_OK && turn < 2; ++turn) status = fp_pose_decode(pose, maps, count, &room, &error);
  for (int turn = 0; status == FP_OK && turn < 2; ++turn) {
    status = fp_pose_follow(pose, maps, count, turn / 30.0, &room, &error);
  }
  printf("%d %u %s\n", status, room.count, status == FP_OK ? "" : error.text);
  fp_pose_destroy(pose);
}

int main(int count_of_arguments, char** arguments) {
  FILE* file = count_of_arguments == 2 ? fopen(arguments[1], "rb") : NULL;
  if (file == NULL) return 2;
  named decoder, names[MOST_OUTPUTS];
  uint32_t count;
  fp_size image, size;
  fp_map maps[MOST_OUTPUTS];
  while (read_header(file, &decoder, &count, &image, &size)) {
    if (count > MOST_OUTPUTS) return 3;
    for (uint32_t at = 0; at < count; ++at) {
      if (!read_map(file, &names[at], &maps[at])) return 4;
    }
    decode(decoder.name, maps, count, image, size);
    for (uint32_t at = 0; at < count; ++at) free((void*)maps[at].data);
  }
  fclose(file);
  return 0;
}
