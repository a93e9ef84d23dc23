#include "opencl/api.h"

#include "core/error.h"
#include "core/libc.h"
#include "opencl/codes.h"
#include "opencl/library_paths.h"

typedef void* (*lookup_function)(const char*);

/* Pixel phones hide OpenCL behind enableOpenCL() and loadOpenCLPointer(name) instead of exporting it. */
static lookup_function pixel_lookup(void* library) {
  void (*enable)(void) = (void (*)(void))dlsym(library, "enableOpenCL");
  lookup_function lookup = (lookup_function)dlsym(library, "loadOpenCLPointer");
  if (enable == NULL || lookup == NULL) return NULL;
  enable();
  return lookup;
}

static void* find(void* library, lookup_function pixel, const char* name) {
  return pixel != NULL ? pixel(name) : dlsym(library, name);
}

/* The first entry point that is missing, or NULL where the table is complete. */
static const char* fill(void* library, fp_api* api) {
  const lookup_function pixel = pixel_lookup(library);
#define FLEETPOSE_LOAD(name)                                      \
  api->name = (__typeof__(api->name))find(library, pixel, #name); \
  if (api->name == NULL) return #name;
  FLEETPOSE_RUNTIME_FUNCTIONS(FLEETPOSE_LOAD)
#undef FLEETPOSE_LOAD
  api->clGetExtensionFunctionAddressForPlatform = (__typeof__(api->clGetExtensionFunctionAddressForPlatform))find(
      library, pixel, "clGetExtensionFunctionAddressForPlatform");
  return NULL;
}

/* Opens one library; where it is of no use, says why in `reason`. */
static int open_library(fp_api* api, const char* path, char* reason, size_t size) {
  void* library = dlopen(path, FP_RTLD_NOW);
  if (library == NULL) {
    const char* text = dlerror();
    snprintf(reason, size, "%s", text != NULL ? text : path);
    return 0;
  }
  const char* missing = fill(library, api);
  if (missing != NULL) {
    snprintf(reason, size, "%s: has no entry point %s", path, missing);
    return 0;
  }
  cl_uint platforms = 0;
  const cl_int code = api->clGetPlatformIDs(0, NULL, &platforms);
  if (code == CL_SUCCESS && platforms > 0) {
    snprintf(api->path, sizeof(api->path), "%s", path);
    return 1;
  }
  snprintf(reason, size, "%s: lists no OpenCL platform (%s)", path, fp_code_name(code));
  return 0;
}

fp_status fp_api_open(fp_api* api, const char* path, fp_error* error) {
  static const char* const usual[] = {
#define FLEETPOSE_PATH(path) path,
      FLEETPOSE_LIBOPENCL_NAMES(FLEETPOSE_PATH) FLEETPOSE_LIBOPENCL_PATHS(FLEETPOSE_PATH)
#undef FLEETPOSE_PATH
  };
  char reason[240];
  if (path == NULL || *path == '\0') path = getenv("FLEETPOSE_LIBOPENCL");
  if (path != NULL && *path != '\0') { /* asked for by name: anything else would be a surprise */
    if (open_library(api, path, reason, sizeof(reason))) return FP_OK;
    return fp_fail(error, FP_NO_OPENCL, "no usable OpenCL: %s", reason);
  }
  char first_reason[240] = "";
  for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); ++i) {
    if (open_library(api, usual[i], reason, sizeof(reason))) return FP_OK;
    /* A library that is there and fails says more than that others are not there. */
    if (i == 0 || access(usual[i], FP_F_OK) == 0) memcpy(first_reason, reason, sizeof(reason));
  }
  return fp_fail(error, FP_NO_OPENCL,
                 "no usable libOpenCL (%s); an Android app's manifest needs <uses-native-library "
                 "android:name=\"libOpenCL.so\" android:required=\"false\"/>, and FLEETPOSE_LIBOPENCL can name one",
                 first_reason);
}

const char* fp_code_name(cl_int code) {
#define FLEETPOSE_CODE(name) \
  case name:                 \
    return #name;
  switch (code) {
    FLEETPOSE_OPENCL_CODES(FLEETPOSE_CODE)
    case -1001: /* cl_khr_icd, not in cl.h */
      return "CL_PLATFORM_NOT_FOUND_KHR";
    default:
      return "an unknown error";
  }
#undef FLEETPOSE_CODE
}

fp_status fp_fail_code(fp_error* error, cl_int code, const char* call, const char* doing) {
  const int no_memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
  return fp_fail(error, no_memory ? FP_NO_MEMORY : FP_DEVICE_ERROR, "%s (%d) from %s while %s", fp_code_name(code),
                 code, call, doing);
}
