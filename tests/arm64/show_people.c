/* People in raw pictures, by the network inside libpose.so: what an app does, as an executable for `adb shell`.
 *
 *     show_people CACHE [FILE WIDTH HEIGHT]...
 *
 * CACHE is a folder for compiled kernels, or - for none. FILE has rows of BGR bytes. Prints the device, then for each picture how many people there are and a line for each:
 * its score, and x, y, score of its keypoints.
 *
 * It is linked as Android's executables are, without a C library's headers and start files, and also runs on glibc: its
 * start routine calls what initialises either.
 */
#include "fleetpose.h"

#include "core/libc.h"

enum { MOST_PEOPLE = 32 };

void exit(int status) __attribute__((noreturn));

typedef int main_function(int count, char** arguments, char** environment);

/* bionic's, and glibc's; the one that there is has an address. */
__attribute__((weak)) void __libc_init(void* stack, void* on_exit, main_function* main, void* const* lists);
__attribute__((weak)) int __libc_start_main(main_function* main, int count, char** arguments, void* initialise,
                                            void* finish, void* loader_finish, void* stack_end);

static void print(const char* text) {
  if (write(1, text, strlen(text)) < 0) exit(3);
}

static void stop(const char* what, const char* text) {
  print(what);
  print(": ");
  print(text);
  print("\n");
  exit(1);
}

static uint32_t number_of(const char* text) {
  uint32_t number = 0;
  for (; *text >= '0' && *text <= '9' && number < 100000; ++text) number = 10 * number + (uint32_t)(*text - '0');
  return number;
}

static uint8_t* read_file(const char* path, size_t size) {
  const int file = open(path, FP_O_RDONLY);
  uint8_t* content = malloc(size);
  if (file < 0 || content == NULL) stop(path, "cannot be read");
  for (size_t at = 0; at < size;) {
    const long count = read(file, content + at, size - at);
    if (count <= 0) stop(path, "is too short");
    at += (size_t)count;
  }
  close(file);
  return content;
}

static void print_person(const fp_person* person) {
  char text[64];
  snprintf(text, sizeof(text), "%.9g", (double)person->score);
  print(text);
  for (int at = 0; at < FP_KEYPOINTS; ++at) {
    const fp_keypoint* keypoint = &person->keypoints[at];
    snprintf(text, sizeof(text), " %.9g %.9g %.9g", (double)keypoint->x, (double)keypoint->y, (double)keypoint->score);
    print(text);
  }
  print("\n");
}

static void show_picture(fp_network* network, const char* path, uint32_t width, uint32_t height) {
  fp_person people[MOST_PEOPLE];
  uint8_t* pixels = read_file(path, (size_t)width * height * 3);
  const fp_image image = {
      .planes = {pixels}, .row_bytes = {3 * width}, .width = width, .height = height, .format = FP_BGR};
  fp_error error;
  uint32_t count;
  if (fp_people(network, &image, people, MOST_PEOPLE, &count, &error) != FP_OK) stop("people", error.text);
  char text[64];
  snprintf(text, sizeof(text), "people %u\n", count);
  print(text);
  for (uint32_t at = 0; at < count && at < MOST_PEOPLE; ++at) print_person(&people[at]);
  free(pixels);
}

static int run(int count, char** arguments, char** environment) {
  (void)environment;
  if (count < 2) stop("usage", "show_people CACHE [FILE WIDTH HEIGHT]...");
  const char* cache = strcmp(arguments[1], "-") != 0 ? arguments[1] : NULL;
  const fp_options options = {.size = sizeof(options), .cache_folder = cache};
  fp_network* network;
  fp_error error;
  if (fp_open_own(&options, &network, &error) != FP_OK) stop("open", error.text);
  print("device ");
  print(fp_device(network));
  print("\n");
  for (int at = 2; at + 2 < count; at += 3) {
    show_picture(network, arguments[at], number_of(arguments[at + 1]), number_of(arguments[at + 2]));
  }
  fp_close(network);
  return 0;
}

/* The stack of a new process: the number of arguments, their addresses, and NULL. */
__attribute__((used)) static void start(void** stack) {
  static void* const no_lists[4];
  if (__libc_init != NULL) __libc_init(stack, NULL, run, no_lists);
  if (__libc_start_main != NULL) {
    __libc_start_main(run, (int)(intptr_t)stack[0], (char**)(stack + 1), NULL, NULL, NULL, stack);
  }
  __builtin_trap();
}

__asm__(".globl _start\n_start:\n  mov x29, #0\n  mov x30, #0\n  mov x0, sp\n  b start\n");
