#include "agent/modules/code.h"

#include "agent/device/kernel_cache.h"
#include "core/error.h"
#include "opencl/entry.h"

static fp_status allocate(agent_code* code, fp_error* error) {
  int good = 1;
#define AGENT_ALLOCATE(field, count) good = (code->field = calloc((size_t)(count) + 1, sizeof(*code->field))) && good
  AGENT_ALLOCATE(launches, code->launch_count);
  AGENT_ALLOCATE(parameters, code->buffer_count);
  AGENT_ALLOCATE(buffers, code->parameter_count);
  AGENT_ALLOCATE(given, code->parameter_count);
  AGENT_ALLOCATE(parts, code->buffer_count);
  AGENT_ALLOCATE(kernels, code->launch_count);
#undef AGENT_ALLOCATE
  for (uint32_t i = 0; good && i < code->buffer_count; ++i) code->parameters[i] = AGENT_NO_PARAMETER;
  return good ? FP_OK : fp_fail(error, FP_NO_MEMORY, "no memory for %u launches", code->launch_count);
}

/* 0 where the buffer is another parameter already: memory of two is not kept alike. */
static int set_parameter(agent_code* code, uint32_t parameter, uint32_t buffer) {
  if (code->parameters[buffer] != AGENT_NO_PARAMETER) return 0;
  code->buffers[parameter] = buffer;
  code->parameters[buffer] = parameter;
  return 1;
}

fp_status agent_code_open_function(agent_code* code, agent_gpu* gpu, fp_session* session, uint32_t index,
                                   fp_error* error) {
  const fpk_function* record = &session->package->functions[index];
  *code = (agent_code){.gpu = gpu,
                       .session = session,
                       .first_buffer = record->first_buffer,
                       .buffer_count = record->buffer_count,
                       .parameter_count = record->parameter_count,
                       .arena_bytes = record->arena_bytes,
                       .launch_count = record->launch_count};
  snprintf(code->name, sizeof(code->name), "%s", fp_package_string(session->package, record->name));
  const fp_status status = allocate(code, error);
  if (status != FP_OK) {
    agent_code_close(code);
    return status;
  }
  for (uint32_t i = 0; i < code->launch_count; ++i) code->launches[i] = record->first_launch + i;
  for (uint32_t i = 0; i < code->parameter_count; ++i) set_parameter(code, i, i);
  return FP_OK;
}

fp_status agent_code_open_entry(agent_code* code, agent_gpu* gpu, fp_session* session, uint32_t index,
                                fp_error* error) {
  const fp_package* package = session->package;
  const fpk_entry* record = &package->entries[index];
  *code = (agent_code){.gpu = gpu,
                       .session = session,
                       .first_buffer = record->first_buffer,
                       .buffer_count = record->buffer_count,
                       .parameter_count = 1 + record->output_count,
                       .arena_bytes = record->arena_bytes};
  snprintf(code->name, sizeof(code->name), "run_%ux%u", record->height, record->width);
  for (uint32_t i = 0; i < record->step_count; ++i) {
    code->launch_count += package->steps[record->first_step + i].launch_count;
  }
  const fp_status status = allocate(code, error);
  if (status != FP_OK) {
    agent_code_close(code);
    return status;
  }
  uint32_t at = 0;
  for (uint32_t i = 0; i < record->step_count; ++i) {
    const fpk_step* step = &package->steps[record->first_step + i];
    for (uint32_t j = 0; j < step->launch_count; ++j) code->launches[at++] = step->first_launch + j;
  }
  int good = set_parameter(code, 0, record->input);
  for (uint32_t i = 0; i < record->output_count; ++i) {
    good = set_parameter(code, 1 + i, package->outputs[record->first_output + i].buffer) && good;
  }
  if (good) return FP_OK;
  agent_code_close(code);
  return fp_fail(error, FP_BAD_PACKAGE, "two outputs of an entry, or its input and an output, are one buffer");
}

void agent_code_close(agent_code* code) {
  const fp_api* api = &code->gpu->device.api;
  for (uint32_t i = 0; code->kernels != NULL && i < code->launch_count; ++i) {
    if (code->kernels[i] != NULL) api->clReleaseKernel(code->kernels[i]);
  }
  for (uint32_t i = 0; code->parts != NULL && i < code->buffer_count; ++i) {
    if (code->parts[i] != NULL) api->clReleaseMemObject(code->parts[i]);
  }
  if (code->arena != NULL) api->clReleaseMemObject(code->arena);
  free(code->launches);
  free(code->parameters);
  free(code->buffers);
  free(code->given);
  free(code->parts);
  free(code->kernels);
  memset(code, 0, sizeof(*code));
}

/* Makes what is missing: a call that failed before may have left a part of it. */
static fp_status make_arena(agent_code* code, fp_error* error) {
  const fp_api* api = &code->gpu->device.api;
  cl_int result = CL_SUCCESS;
  if (code->buffer_count == code->parameter_count) return FP_OK;
  if (FPK_BUFFER_ALIGNMENT % code->gpu->device.alignment != 0) {
    return fp_fail(error, FP_WRONG_DEVICE, "%s cuts buffers every %u bytes, not every %u", code->gpu->device.line,
                   code->gpu->device.alignment, FPK_BUFFER_ALIGNMENT);
  }
  if (code->arena == NULL) {
    code->arena = api->clCreateBuffer(code->gpu->context, CL_MEM_READ_WRITE, code->arena_bytes, NULL, &result);
    if (result != CL_SUCCESS) code->arena = NULL;
  }
  if (code->arena == NULL) return fp_fail_code(error, result, "clCreateBuffer", "allocating memory between kernels");
  for (uint32_t i = 0; i < code->buffer_count; ++i) {
    const fpk_buffer* buffer = &code->session->package->buffers[code->first_buffer + i];
    const cl_buffer_region region = {buffer->offset, buffer->bytes};
    if (code->parameters[i] != AGENT_NO_PARAMETER || code->parts[i] != NULL) continue;
    code->parts[i] =
        api->clCreateSubBuffer(code->arena, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &result);
    if (result != CL_SUCCESS) {
      code->parts[i] = NULL;
      return fp_fail_code(error, result, "clCreateSubBuffer", "cutting memory between kernels");
    }
  }
  return FP_OK;
}

/* Sets the arguments of a launch that are, or are not, parameters. */
static cl_int set_arguments(agent_code* code, uint32_t at, agent_memory* const* given) {
  const fp_package* package = code->session->package;
  const fpk_launch* launch = &package->launches[code->launches[at]];
  cl_int result = CL_SUCCESS;
  for (uint32_t i = 0; i < package->kernels[launch->kernel].arguments && result == CL_SUCCESS; ++i) {
    const fpk_argument* argument = &package->arguments[launch->first_argument + i];
    const int is_constant = argument->kind == FPK_ARGUMENT_CONSTANT;
    const uint32_t parameter = is_constant ? AGENT_NO_PARAMETER : code->parameters[argument->index];
    if ((parameter != AGENT_NO_PARAMETER) != (given != NULL)) continue;
    const cl_mem* memory = is_constant                       ? &code->session->constants[argument->index]
                           : parameter == AGENT_NO_PARAMETER ? &code->parts[argument->index]
                                                             : &given[parameter]->memory;
    result = code->gpu->device.api.clSetKernelArg(code->kernels[at], i, sizeof(cl_mem), memory);
  }
  return result;
}

static const char* kernel_name(const agent_code* code, uint32_t at) {
  const fp_package* package = code->session->package;
  return fp_package_string(package, package->kernels[package->launches[code->launches[at]].kernel].name);
}

static fp_status make_launch(agent_code* code, uint32_t at, fp_error* error) {
  const uint32_t kernel = code->session->package->launches[code->launches[at]].kernel;
  if (code->kernels[at] != NULL) return FP_OK;
  const fp_status status = agent_kernel_make(code->gpu, code->session, kernel, error);
  if (status != FP_OK) return status;
  cl_int result = CL_SUCCESS;
  code->kernels[at] =
      code->gpu->device.api.clCreateKernel(code->session->programs[kernel], kernel_name(code, at), &result);
  if (result != CL_SUCCESS) code->kernels[at] = NULL;
  if (code->kernels[at] == NULL) return fp_fail_code(error, result, "clCreateKernel", kernel_name(code, at));
  result = set_arguments(code, at, NULL);
  if (result == CL_SUCCESS) return FP_OK;
  code->gpu->device.api.clReleaseKernel(code->kernels[at]);
  code->kernels[at] = NULL;
  return fp_fail_code(error, result, "clSetKernelArg", kernel_name(code, at));
}

static fp_status make_ready(agent_code* code, fp_error* error) {
  if (code->is_ready) return FP_OK;
  fp_status status = make_arena(code, error);
  for (uint32_t i = 0; status == FP_OK && i < code->launch_count; ++i) status = make_launch(code, i, error);
  code->is_ready = status == FP_OK;
  return status;
}

/* Gives the kernels the caller's memory, where it is another than they have. */
static fp_status bind_memory(agent_code* code, agent_memory* const* given, fp_error* error) {
  int is_same = 1;
  for (uint32_t i = 0; i < code->parameter_count; ++i) is_same = is_same && code->given[i] == given[i]->serial;
  if (is_same) return FP_OK;
  for (uint32_t i = 0; i < code->parameter_count; ++i) {
    const uint64_t least = code->session->package->buffers[code->first_buffer + code->buffers[i]].bytes;
    if (given[i]->bytes < least) {
      return fp_fail(error, FP_BAD_ARGUMENT, "argument %u of %.80s has %llu bytes, and %llu are read or written", i,
                     code->name, (unsigned long long)given[i]->bytes, (unsigned long long)least);
    }
    code->given[i] = 0;
  }
  for (uint32_t i = 0; i < code->launch_count; ++i) {
    const cl_int result = set_arguments(code, i, given);
    if (result != CL_SUCCESS) return fp_fail_code(error, result, "clSetKernelArg", kernel_name(code, i));
  }
  for (uint32_t i = 0; i < code->parameter_count; ++i) code->given[i] = given[i]->serial;
  return FP_OK;
}

static fp_status fail_launch(const agent_code* code, uint32_t at, cl_int result, fp_error* error) {
  const fpk_launch* launch = &code->session->package->launches[code->launches[at]];
  char doing[300];
  snprintf(doing, sizeof(doing),
           "launching kernel %.80s with global size (%u, %u, %u), local size (%u, %u, %u) on %.80s",
           kernel_name(code, at), launch->global[0], launch->global[1], launch->global[2], launch->local[0],
           launch->local[1], launch->local[2], code->gpu->device.name);
  return fp_fail_code(error, result, "clEnqueueNDRangeKernel", doing);
}

fp_status agent_code_run(agent_code* code, agent_memory* const* given, fp_error* error) {
  const fp_api* api = &code->gpu->device.api;
  const int listens = code->gpu->listeners > 0;
  fp_status status = make_ready(code, error);
  if (status == FP_OK) status = bind_memory(code, given, error);
  const cl_command_queue queue = agent_gpu_queue(code->gpu);
  for (uint32_t i = 0; status == FP_OK && i < code->launch_count; ++i) {
    const fp_launch_size size = fp_entry_launch_size(&code->session->package->launches[code->launches[i]]);
    cl_event event = NULL;
    const cl_int result = api->clEnqueueNDRangeKernel(queue, code->kernels[i], size.dimensions, NULL, size.global,
                                                      size.local, 0, NULL, listens ? &event : NULL);
    if (result != CL_SUCCESS) return fail_launch(code, i, result, error);
    if (listens) status = agent_gpu_note(code->gpu, event, kernel_name(code, i), error);
  }
  return status;
}
