// Builds OpenCL C programs of one kernel each with the first OpenCL device, one after the other.
//
// Standard input: a line "NAME PATH" for each program. What the compiler itself prints goes to standard output and
// standard error; so do the lines that say what it belongs to, each after all that was printed before:
//
//   @device DEVICE NAME, driver VERSION
//   @begin NAME
//   @limits WORK-ITEMS LOCAL-BYTES PRIVATE-BYTES     of the kernel, where it was built
//   @failed CODE, then the build log                 where it was not
//   @end NAME
//
// The few functions of OpenCL 1.2 that this takes are declared here, so that it compiles without OpenCL's headers.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void* Handle;
typedef int32_t (*GetPlatforms)(uint32_t, Handle*, uint32_t*);
typedef int32_t (*GetDevices)(Handle, uint64_t, uint32_t, Handle*, uint32_t*);
typedef int32_t (*GetInfo)(Handle, uint32_t, size_t, void*, size_t*);
typedef int32_t (*GetInfoOnDevice)(Handle, Handle, uint32_t, size_t, void*, size_t*);
typedef Handle (*CreateContext)(const intptr_t*, uint32_t, const Handle*, void*, void*, int32_t*);
typedef Handle (*CreateProgram)(Handle, uint32_t, const char**, const size_t*, int32_t*);
typedef int32_t (*BuildProgram)(Handle, uint32_t, const Handle*, const char*, void*, void*);
typedef int32_t (*CreateKernels)(Handle, uint32_t, Handle*, uint32_t*);
typedef int32_t (*Release)(Handle);

enum {
  kDeviceName = 0x102B,
  kDriverVersion = 0x102D,
  kBuildLog = 0x1183,
  kKernelWorkGroupSize = 0x11B0,
  kKernelLocalBytes = 0x11B2,
  kKernelPrivateBytes = 0x11B4,
  kMostPlatforms = 8,
};

static void* opencl;

static void* Find(const char* name) {
  void* symbol = dlsym(opencl, name);
  if (symbol == NULL) {
    fprintf(stderr, "@no %s\n", name);
    exit(2);
  }
  return symbol;
}

// A line of ours, behind all that the compiler has printed.
#define SAY(...)                  \
  do {                            \
    fflush(stdout);               \
    fprintf(stderr, __VA_ARGS__); \
    fflush(stderr);               \
  } while (0)

// The bytes of a file with a zero behind them, which the caller frees; NULL where it cannot be read.
static char* ReadFile(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) return NULL;
  size_t size = 0, room = 1 << 16;
  char* text = malloc(room);
  for (size_t got; (got = fread(text + size, 1, room - size - 1, file)) > 0;) {
    size += got;
    if (room - size < 2) text = realloc(text, room *= 2);
  }
  text[size] = 0;
  fclose(file);
  return text;
}

static void SayLimits(Handle program, Handle device) {
  Handle kernel = NULL;
  uint32_t count = 0;
  if (((CreateKernels)Find("clCreateKernelsInProgram"))(program, 1, &kernel, &count) != 0 || kernel == NULL) {
    SAY("@failed 0\nthe program has %u kernels, not one\n", count);
    return;
  }
  GetInfoOnDevice info = (GetInfoOnDevice)Find("clGetKernelWorkGroupInfo");
  size_t items = 0;
  uint64_t local = 0, private_bytes = 0;
  info(kernel, device, kKernelWorkGroupSize, sizeof items, &items, NULL);
  info(kernel, device, kKernelLocalBytes, sizeof local, &local, NULL);
  info(kernel, device, kKernelPrivateBytes, sizeof private_bytes, &private_bytes, NULL);
  SAY("@limits %zu %llu %llu\n", items, (unsigned long long)local, (unsigned long long)private_bytes);
  ((Release)Find("clReleaseKernel"))(kernel);
}

static void Build(Handle context, Handle device, const char* path) {
  char* text = ReadFile(path);
  if (text == NULL) {
    SAY("@failed 0\ncannot read %s\n", path);
    return;
  }
  int32_t code = 0;
  Handle program =
      ((CreateProgram)Find("clCreateProgramWithSource"))(context, 1, (const char**)&text, NULL, &code);
  code = ((BuildProgram)Find("clBuildProgram"))(program, 1, &device, "", NULL, NULL);
  if (code == 0) {
    SayLimits(program, device);
  } else {
    GetInfoOnDevice info = (GetInfoOnDevice)Find("clGetProgramBuildInfo");
    size_t size = 0;
    info(program, device, kBuildLog, 0, NULL, &size);
    char* log = calloc(size + 1, 1);
    info(program, device, kBuildLog, size, log, NULL);
    SAY("@failed %d\n%s\n", code, log);
    free(log);
  }
  ((Release)Find("clReleaseProgram"))(program);
  free(text);
}

static Handle FirstDevice(void) {
  Handle platforms[kMostPlatforms], device = NULL;
  uint32_t count = 0;
  if (((GetPlatforms)Find("clGetPlatformIDs"))(kMostPlatforms, platforms, &count) != 0) return NULL;
  for (uint32_t i = 0; i < count && i < kMostPlatforms; i++) {
    if (((GetDevices)Find("clGetDeviceIDs"))(platforms[i], UINT32_MAX, 1, &device, NULL) == 0) return device;
  }
  return NULL;
}

int main(void) {
  opencl = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (opencl == NULL) {
    fprintf(stderr, "@no libOpenCL.so.1: %s\n", dlerror());
    return 2;
  }
  Handle device = FirstDevice();
  if (device == NULL) {
    fprintf(stderr, "@no OpenCL device\n");
    return 2;
  }
  char name[256] = "", driver[256] = "";
  GetInfo info = (GetInfo)Find("clGetDeviceInfo");
  info(device, kDeviceName, sizeof name, name, NULL);
  info(device, kDriverVersion, sizeof driver, driver, NULL);
  SAY("@device %s, driver %s\n", name, driver);
  int32_t code = 0;
  Handle context = ((CreateContext)Find("clCreateContext"))(NULL, 1, &device, NULL, NULL, &code);
  char line[4352];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char* path = strchr(line, ' ');
    if (path == NULL) continue;
    *path++ = 0;
    SAY("@begin %s\n", line);
    Build(context, device, path);
    SAY("@end %s\n", line);
  }
  return 0;
}
