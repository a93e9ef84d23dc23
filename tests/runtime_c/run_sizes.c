/* Opens a package and runs its sizes in a given order: PACKAGE FLAGS CACHE_FOLDER SIZE...; "-" stands for no folder.
 *
 * Prints a line for each run, whatever became of those before it: "run SIZE values ..." with the first output for the
 * input 0, 1/8, 2/8, ..., or "run SIZE error STATUS TEXT". Where it does not open it is "error STATUS TEXT" alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleetpose.h"

static void run(fp_network* network, uint32_t size) {
  const fp_size extent = fp_size_at(network, size);
  const fp_output output = fp_output_at(network, size, 0);
  const size_t inputs = (size_t)fp_input_channels(network) * extent.height * extent.width;
  const size_t results = (size_t)output.channels * output.height * output.width;
  float* input = malloc(inputs * sizeof(float));
  float* result = calloc(results, sizeof(float));
  if (input == NULL || result == NULL) exit(2);
  for (size_t i = 0; i < inputs; ++i) input[i] = (float)i / 8;
  fp_error error;
  if (fp_run(network, size, input, &result, &error) != FP_OK) {
    printf("run %u error %d %s\n", size, error.status, error.text);
  } else {
    printf("run %u values", size);
    for (size_t i = 0; i < results; ++i) printf(" %.9g", (double)result[i]);
    printf("\n");
  }
  fflush(stdout);
  free(input);
  free(result);
}

int main(int count, char** arguments) {
  if (count < 4) return 2;
  fp_options options = {.size = sizeof(options), .flags = (uint32_t)atoi(arguments[2])};
  if (strcmp(arguments[3], "-") != 0) options.cache_folder = arguments[3];
  fp_network* network = NULL;
  fp_error error;
  if (fp_open(arguments[1], &options, &network, &error) != FP_OK) {
    printf("error %d %s\n", error.status, error.text);
    return 0;
  }
  for (int i = 4; i < count; ++i) run(network, (uint32_t)atoi(arguments[i]));
  fp_close(network);
  return 0;
}
