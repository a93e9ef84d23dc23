/* Opens a package and runs it: PACKAGE FLAGS CACHE_FOLDER RUNS THREADS; "-" stands for no folder.
 *
 * Prints one fact a line: "error STATUS TEXT" and no more where something fails; else the device, sizes, outputs of the
 * last run for the input 0, 1/8, 2/8, ..., names of layers with times, and what was replaced. Every run in every thread has
 * to give the same outputs. "memory" is by how much the process grew between a tenth of the runs and all of them, and
 * "allocations" how often the runtime allocated memory after the first run, where this is compiled to count that, "held"
 * how many pieces of memory it has not given back in the end.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fleetpose.h"

enum { MOST_NAMES = 64 };

#ifdef COUNT_ALLOCATIONS
/* The linker leads the runtime's calls here (--wrap), but not the driver's. FAIL_ALLOCATION=N lets the N-th fail. */
static unsigned allocations, held;
void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void* __real_realloc(void* memory, size_t size);
void __real_free(void* memory);

static int fails_now(void) {
  const char* which = getenv("FAIL_ALLOCATION");
  return ++allocations == (which != NULL ? (unsigned)atoi(which) : 0);
}

static void* count_held(void* memory) {
  held += memory != NULL;
  return memory;
}

void* __wrap_malloc(size_t size) { return fails_now() ? NULL : count_held(__real_malloc(size)); }
void* __wrap_calloc(size_t count, size_t size) { return fails_now() ? NULL : count_held(__real_calloc(count, size)); }
void* __wrap_realloc(void* memory, size_t size) {
  if (fails_now()) return NULL;
  void* moved = __real_realloc(memory, size);
  held += memory == NULL && moved != NULL;
  return moved;
}
void __wrap_free(void* memory) {
  held -= memory != NULL;
  __real_free(memory);
}
#else
static const unsigned allocations = 0, held = 0;
#endif

/* This program's own memory: where that is the piece that fails, there is nothing to see. */
static void* own(void* memory) {
  if (memory != NULL) return memory;
  printf("own 1\nheld 0\n");
  fflush(stdout);
  _exit(0);
}

typedef struct worker {
  fp_network* network;
  long runs;
  long grown_bytes;
  unsigned allocations; /* in all runs but the first */
  fp_error error;
  float* outputs[MOST_NAMES];
  int is_same; /* all runs gave the same */
} worker;

static long resident_bytes(void) {
  long pages = 0, resident = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2) exit(2);
  fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

static size_t output_elements(fp_network* network, uint32_t size, uint32_t output) {
  const fp_output facts = fp_output_at(network, size, output);
  return (size_t)facts.channels * facts.height * facts.width;
}

static float* make_input(fp_network* network, uint32_t size) {
  const fp_size extent = fp_size_at(network, size);
  const size_t count = (size_t)fp_input_channels(network) * extent.height * extent.width;
  float* input = own(malloc(count * sizeof(float)));
  for (size_t i = 0; i < count; ++i) input[i] = (float)i / 8;
  return input;
}

/* One thread: all runs, each compared with the first. */
static void* work(void* context) {
  worker* self = context;
  const uint32_t outputs = fp_output_count(self->network);
  float* input = make_input(self->network, 0);
  float* again[MOST_NAMES];
  for (uint32_t i = 0; i < outputs; ++i) {
    self->outputs[i] = own(calloc(output_elements(self->network, 0, i), sizeof(float)));
    again[i] = own(calloc(output_elements(self->network, 0, i), sizeof(float)));
  }
  self->is_same = 1;
  long before = 0;
  unsigned before_allocations = 0;
  for (long run = 0; run < self->runs; ++run) {
    float* const* into = run == 0 ? self->outputs : again;
    if (fp_run(self->network, 0, input, into, &self->error) != FP_OK) break;
    for (uint32_t i = 0; i < outputs && run > 0; ++i) {
      const size_t bytes = output_elements(self->network, 0, i) * sizeof(float);
      if (memcmp(again[i], self->outputs[i], bytes) != 0) self->is_same = 0;
    }
    if (run == 0) before_allocations = allocations;
    if (run == self->runs / 10) before = resident_bytes();
  }
  self->allocations = allocations - before_allocations;
  self->grown_bytes = resident_bytes() - before;
  for (uint32_t i = 0; i < outputs; ++i) free(again[i]);
  free(input);
  return NULL;
}

static void print_facts(fp_network* network) {
  printf("device %s\n", fp_device(network));
  printf("manifest %s\n", fp_manifest(network));
  for (uint32_t size = 0; size < fp_size_count(network); ++size) {
    const fp_size extent = fp_size_at(network, size);
    printf("size %u %u %u\n", fp_input_channels(network), extent.height, extent.width);
    for (uint32_t i = 0; i < fp_output_count(network); ++i) {
      const fp_output output = fp_output_at(network, size, i);
      printf("output %s %u %u %u\n", output.name, output.channels, output.height, output.width);
    }
  }
}

static void print_results(fp_network* network, const worker* first) {
  for (uint32_t i = 0; i < fp_output_count(network); ++i) {
    printf("values");
    for (size_t k = 0; k < output_elements(network, 0, i); ++k) printf(" %.9g", (double)first->outputs[i][k]);
    printf("\n");
  }
  fp_time times[MOST_NAMES];
  const uint32_t count = fp_times(network, times, MOST_NAMES);
  for (uint32_t i = 0; i < count; ++i) printf("time %s %.9f\n", times[i].name, times[i].secs);
  const char* names[MOST_NAMES];
  const uint32_t replaced = fp_replaced(network, names, MOST_NAMES);
  for (uint32_t i = 0; i < replaced; ++i) printf("replaced %s\n", names[i]);
}

int main(int count, char** arguments) {
  if (count != 6) return 2;
  fp_options options = {.size = sizeof(options), .flags = (uint32_t)atoi(arguments[2])};
  if (strcmp(arguments[3], "-") != 0) options.cache_folder = arguments[3];
  const int threads = atoi(arguments[5]);
  fp_network* network = NULL;
  fp_error error;
  if (fp_open(arguments[1], &options, &network, &error) != FP_OK) {
    printf("error %d %s\nheld %u\n", error.status, error.text, held);
    return network == NULL ? 0 : 1;
  }
  print_facts(network);
  worker workers[8] = {{0}};
  pthread_t ids[8];
  for (int i = 0; i < threads; ++i) {
    workers[i].network = network;
    workers[i].runs = atol(arguments[4]);
    if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0) return 2;
  }
  for (int i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
  for (int i = 0; i < threads; ++i) {
    if (workers[i].error.status != FP_OK) printf("error %d %s\n", workers[i].error.status, workers[i].error.text);
    if (!workers[i].is_same) printf("error 0 runs differ\n");
    const size_t bytes = output_elements(network, 0, 0) * sizeof(float);
    if (memcmp(workers[i].outputs[0], workers[0].outputs[0], bytes) != 0) printf("error 0 threads differ\n");
  }
  print_results(network, &workers[0]);
  printf("memory %ld\n", workers[0].grown_bytes);
  printf("allocations %u\n", workers[0].allocations);
  for (int i = 0; i < threads; ++i) {
    for (uint32_t k = 0; k < fp_output_count(network); ++k) free(workers[i].outputs[k]);
  }
  fp_close(network);
  printf("held %u\n", held);
  fflush(stdout);
  return 0;
}
