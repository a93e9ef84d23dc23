/* Finds people by the whole interface: PACKAGE WIDTH HEIGHT FRAMES, in a grey picture of one colour of that size.
 *
 * Prints "person IDENTITY SCORE x y score x y score ..." of those in the last frame; with FRAMES 0 the picture is no
 * video's. An error is "error STATUS TEXT". Only so many people are asked for as "capacity" says, after "count" of all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleetpose.h"

enum { CAPACITY = 3 };

static int print_error(const fp_error* error) {
  printf("error %d %s\n", error->status, error->text);
  return 0;
}

static void print_person(const fp_person* person) {
  printf("person %d %.9g", person->identity, (double)person->score);
  for (int i = 0; i < FP_KEYPOINTS; ++i) {
    const fp_keypoint* point = &person->keypoints[i];
    printf(" %.9g %.9g %.9g", (double)point->x, (double)point->y, (double)point->score);
  }
  printf("\n");
}

int main(int count, char** arguments) {
  if (count != 5) return 2;
  const uint32_t width = (uint32_t)atoi(arguments[2]), height = (uint32_t)atoi(arguments[3]);
  const int frames = atoi(arguments[4]);
  fp_network* network = NULL;
  fp_error error;
  if (fp_open(arguments[1], NULL, &network, &error) != FP_OK) return print_error(&error);
  uint8_t* pixels = malloc((size_t)width * height);
  memset(pixels, 128, (size_t)width * height);
  const fp_image image = {
      .planes = {pixels}, .row_bytes = {width}, .width = width, .height = height, .format = FP_GREY};
  fp_person people[CAPACITY];
  uint32_t found = 77;
  if (fp_people(network, NULL, people, CAPACITY, &found, &error) != FP_BAD_ARGUMENT) return 1;
  if (fp_people(network, &image, NULL, CAPACITY, &found, &error) != FP_BAD_ARGUMENT) return 1;
  fp_status status = fp_people(network, &image, people, CAPACITY, &found, &error);
  for (int frame = 0; frame < frames && status == FP_OK; ++frame) {
    status = fp_follow(network, &image, frame / 25.0, people, CAPACITY, &found, &error);
  }
  if (status == FP_OK) {
    printf("count %u\n", found);
    for (uint32_t i = 0; i < found && i < CAPACITY; ++i) print_person(&people[i]);
    if (frames > 0) { /* after a restart identities go on, or begin again: as the tracker says, but nobody is missing */
      fp_restart(network);
      status = fp_follow(network, &image, 0, people, CAPACITY, &found, &error);
      printf("restarted %u\n", found);
    }
  }
  if (status != FP_OK) print_error(&error);
  fp_close(network);
  free(pixels);
  fflush(stdout);
  return 0;
}
