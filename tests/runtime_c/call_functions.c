/* Calls every function of fleetpose.h in ways that are mistakes, and opens packages in ways that are none: PACKAGE FOLDER.
 *
 * Prints what it finds wrong; nothing, where all is as it should be. This library has PACKAGE inside, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fleetpose.h"

#define EXPECT(condition) \
  if (!(condition)) printf("line %d: %s\n", __LINE__, #condition)

static void check_nulls(void) {
  fp_error error;
  fp_network* network = (fp_network*)&error;
  EXPECT(fp_open(NULL, NULL, &network, &error) == FP_BAD_ARGUMENT && network == NULL &&
         error.status == FP_BAD_ARGUMENT);
  EXPECT(fp_open("x", NULL, NULL, &error) == FP_BAD_ARGUMENT);
  EXPECT(fp_open_memory(NULL, 10, NULL, &network, NULL) == FP_BAD_ARGUMENT);
  EXPECT(fp_open_memory(&error, 10, NULL, NULL, NULL) == FP_BAD_ARGUMENT);
  EXPECT(fp_open_own(NULL, NULL, NULL) == FP_BAD_ARGUMENT);
  EXPECT(fp_size_count(NULL) == 0 && fp_size_at(NULL, 0).height == 0 && fp_output_count(NULL) == 0);
  EXPECT(fp_input_channels(NULL) == 0 && fp_output_at(NULL, 0, 0).name == NULL && fp_manifest(NULL) == NULL);
  EXPECT(fp_device(NULL) == NULL && fp_times(NULL, NULL, 0) == 0 && fp_replaced(NULL, NULL, 0) == 0);
  EXPECT(fp_run(NULL, 0, NULL, NULL, &error) == FP_BAD_ARGUMENT);
  fp_close(NULL);
}

static void check_files(const char* folder) {
  char path[1000];
  fp_error error;
  fp_network* network;
  snprintf(path, sizeof(path), "%s/none.fpk", folder);
  EXPECT(fp_open(path, NULL, &network, &error) == FP_FILE_ERROR && strstr(error.text, "there is no such file"));
  EXPECT(fp_open(folder, NULL, &network, &error) == FP_FILE_ERROR &&
         strstr(error.text, "is no file that can be mapped"));
  snprintf(path, sizeof(path), "%s/fifo", folder);
  EXPECT(mkfifo(path, 0600) == 0);
  EXPECT(fp_open(path, NULL, &network, &error) == FP_FILE_ERROR && strstr(error.text, "is no file"));
  EXPECT(fp_open("/dev/zero", NULL, &network, &error) != FP_OK && error.text[0] != '\0');
  snprintf(path, sizeof(path), "%s/empty", folder);
  FILE* file = fopen(path, "wb");
  EXPECT(file != NULL && fclose(file) == 0);
  EXPECT(fp_open(path, NULL, &network, &error) == FP_BAD_PACKAGE && strstr(error.text, "is empty"));
}

static void check_memory(const char* path) {
  fp_error error;
  fp_network* network;
  FILE* file = fopen(path, "rb");
  static char whole[1 << 20];
  const size_t size = fread(whole, 1, sizeof(whole), file);
  fclose(file);
  char* memory = malloc(size + 16);
  memcpy(memory + 4, whole, size);
  EXPECT(fp_open_memory(memory + 4, size, NULL, &network, &error) == FP_BAD_ARGUMENT);
  EXPECT(strstr(error.text, "aligned to 8 bytes"));
  memcpy(memory + 8, whole, size);
  fp_options old = {.size = 8, .flags = FP_FLAG_NO_SELF_CHECK, .device = (const char*)1}; /* not there, says the size */
  EXPECT(fp_open_memory(memory + 8, size, &old, &network, &error) == FP_OK && error.status == FP_OK);
  fp_close(network);
  fp_options none = {.size = 0};
  EXPECT(fp_open_memory(memory + 8, size, &none, &network, &error) == FP_BAD_ARGUMENT && network == NULL);
  EXPECT(strstr(error.text, "sizeof(fp_options)"));
  free(memory);
}

static void check_open_network(fp_network* network) {
  fp_error error;
  float input[32] = {0}, output[32];
  float* outputs[1] = {output};
  float* no_outputs[1] = {NULL};
  EXPECT(fp_run(network, 1, input, outputs, &error) == FP_BAD_ARGUMENT);
  EXPECT(strstr(error.text, "input size 1 is none of the network's 1"));
  EXPECT(fp_run(network, 0, NULL, outputs, &error) == FP_BAD_ARGUMENT);
  EXPECT(fp_run(network, 0, input, no_outputs, &error) == FP_OK && fp_run(network, 0, input, NULL, NULL) == FP_OK);
  EXPECT(fp_run(network, 0, input, outputs, NULL) == FP_OK && output[0] == 0 && output[31] == 31);
  EXPECT(fp_size_at(network, 1).width == 0 && fp_output_at(network, 1, 0).name == NULL);
  EXPECT(fp_output_at(network, 0, 1).name == NULL && fp_times(network, NULL, 0) == 0);
  EXPECT(fp_replaced(network, NULL, 0) == 0);
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  fp_error error;
  fp_network *network = NULL, *own = NULL;
  check_nulls();
  check_files(arguments[2]);
  check_memory(arguments[1]);
  fp_options options = {.size = sizeof(options), .flags = FP_FLAG_EVENTS};
  EXPECT(fp_open(arguments[1], &options, &network, &error) == FP_OK);
  EXPECT(fp_times(network, NULL, 0) == 0); /* nothing has run */
  float input[32] = {0};
  fp_time times[1];
  EXPECT(fp_run(network, 0, input, NULL, &error) == FP_OK && fp_times(network, times, 1) == 2);
  EXPECT(strcmp(times[0].name, "doubled") == 0 && times[0].secs > 0);
  fp_close(network);
  EXPECT(fp_open(arguments[1], NULL, &network, NULL) == FP_OK);
  check_open_network(network);
#ifdef OWN_PACKAGE
  EXPECT(fp_open_own(NULL, &own, &error) == FP_OK);
  check_open_network(own);
  fp_close(own);
#else
  EXPECT(fp_open_own(NULL, &own, &error) == FP_FILE_ERROR && own == NULL);
  EXPECT(strcmp(error.text, "this library has no package of its own") == 0);
#endif
  fp_close(network);
  fflush(stdout);
  return 0;
}
