#include "opencl/programs.h"

#include "core/error.h"
#include "core/libc.h"

/* NULL where the driver does not take the binary: an update may keep the version that it states. */
static cl_program from_binary(const fp_session* session, const fp_binary* binary) {
  const fp_api* api = &session->device->api;
  cl_int code = CL_SUCCESS, status = CL_SUCCESS;
  if (binary->size == 0) return NULL;
  const unsigned char* bytes = binary->bytes;
  cl_program program =
      api->clCreateProgramWithBinary(session->context, 1, &session->device->id, &binary->size, &bytes, &status, &code);
  if (program == NULL) return NULL;
  if (code == CL_SUCCESS && status == CL_SUCCESS &&
      api->clBuildProgram(program, 1, &session->device->id, "", NULL, NULL) == CL_SUCCESS) {
    return program;
  }
  api->clReleaseProgram(program);
  return NULL;
}

/* What the compiler said, as far as an error's line goes. */
static void read_log(const fp_session* session, cl_program program, char* text, size_t size) {
  const fp_api* api = &session->device->api;
  size_t length = 0;
  text[0] = '\0';
  if (api->clGetProgramBuildInfo(program, session->device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &length) != CL_SUCCESS) {
    return;
  }
  char* log = calloc(1, length + 1);
  if (log == NULL) return;
  if (api->clGetProgramBuildInfo(program, session->device->id, CL_PROGRAM_BUILD_LOG, length, log, NULL) == CL_SUCCESS) {
    snprintf(text, size, "%s", log);
  }
  free(log);
}

static fp_status from_source(fp_session* session, uint32_t kernel, cl_program* made, fp_error* error) {
  const fp_api* api = &session->device->api;
  const fp_package* package = session->package;
  const fpk_kernel* record = &package->kernels[kernel];
  const char* texts[2] = {package->sources + record->preamble, package->sources + record->body};
  const size_t sizes[2] = {record->preamble_bytes, record->body_bytes};
  const int first = record->preamble_bytes == 0 ? 1 : 0; /* an empty text would be taken as one that ends with a zero */
  char doing[300];
  snprintf(doing, sizeof(doing), "compiling kernel %.80s", fp_package_string(package, record->name));
  cl_int code = CL_SUCCESS;
  cl_program program =
      api->clCreateProgramWithSource(session->context, (cl_uint)(2 - first), texts + first, sizes + first, &code);
  if (program == NULL) return fp_fail_code(error, code, "clCreateProgramWithSource", doing);
  code = api->clBuildProgram(program, 1, &session->device->id, "", NULL, NULL);
  if (code == CL_SUCCESS) {
    *made = program;
    return FP_OK;
  }
  char log[180];
  read_log(session, program, log, sizeof(log));
  api->clReleaseProgram(program);
  const size_t length = strlen(doing);
  snprintf(doing + length, sizeof(doing) - length, ": %s", log);
  return fp_fail_code(error, code, "clBuildProgram", doing);
}

fp_status fp_programs_make(fp_session* session, uint32_t kernel, fp_error* error) {
  if (session->programs[kernel] != NULL) return FP_OK;
  session->programs[kernel] = from_binary(session, &session->cache->binaries[kernel]);
  if (session->programs[kernel] != NULL) return FP_OK;
  session->is_compiled[kernel] = 1;
  return from_source(session, kernel, &session->programs[kernel], error);
}

static void keep(fp_session* session, uint32_t kernel) {
  const fp_api* api = &session->device->api;
  cl_program program = session->programs[kernel];
  size_t size = 0;
  if (api->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL) != CL_SUCCESS) return;
  unsigned char* bytes = size > 0 ? malloc(size) : NULL;
  if (bytes == NULL) return;
  if (api->clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(bytes), &bytes, NULL) == CL_SUCCESS) {
    fp_cache_put(session->cache, kernel, bytes, size);
  } else {
    free(bytes);
  }
}

void fp_programs_keep(fp_session* session) {
  if (session->cache->path[0] == '\0') return;
  for (uint32_t i = 0; i < session->package->kernel_count; ++i) {
    if (session->is_compiled[i] && session->programs[i] != NULL) keep(session, i);
    session->is_compiled[i] = 0;
  }
}
