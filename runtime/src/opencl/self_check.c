#include "opencl/self_check.h"

#include "core/error.h"
#include "core/libc.h"
#include "core/package_checks.h"
#include "opencl/entry.h"
#include "opencl/memory.h"
#include "opencl/trial.h"

enum { POLL_MICROSECONDS = 500 };
static const double kHungSecs = 20;

float fp_self_check_input(uint32_t index) {
  uint32_t mixed = index * 2654435761u;
  mixed ^= mixed >> 16;
  mixed *= 2246822519u;
  mixed ^= mixed >> 13;
  return (float)(mixed & 0xffffu) / 65536.0f - 0.5f;
}

static float half_to_float(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  uint32_t bits = sign | (exponent + 112) << 23 | fraction << 13;
  if (exponent == 31) bits = sign | 0x7f800000u | fraction << 13;
  float value;
  memcpy(&value, &bits, sizeof(value));
  if (exponent != 0) return value;
  return (sign ? -1.0f : 1.0f) * (float)fraction * 5.9604644775390625e-8f; /* 2^-24: subnormal */
}

static fp_status write_input(fp_session* session, const fpk_entry* record, fp_error* error) {
  const uint64_t bytes = fp_tensor_bytes(record->channels, record->height, record->width, sizeof(float));
  float* input = malloc(bytes);
  if (input == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory for the checking input");
  for (uint64_t i = 0; i < bytes / sizeof(float); ++i) input[i] = fp_self_check_input((uint32_t)i);
  const cl_mem memory = session->buffers[record->first_buffer + record->input];
  const cl_int code =
      session->device->api.clEnqueueWriteBuffer(session->queue, memory, CL_TRUE, 0, bytes, input, 0, NULL, NULL);
  free(input);
  return code == CL_SUCCESS ? FP_OK : fp_fail_code(error, code, "clEnqueueWriteBuffer", "writing the checking input");
}

/* NaN of both widths everywhere, so that an element that no kernel writes is seen. */
static fp_status clear(fp_session* session, uint32_t entry, fp_error* error) {
  static const uint32_t nan = 0xffffffffu;
  const uint64_t bytes = session->package->entries[entry].arena_bytes / sizeof(nan) * sizeof(nan);
  const cl_int code = session->device->api.clEnqueueFillBuffer(session->queue, session->arenas[entry], &nan,
                                                               sizeof(nan), 0, bytes, 0, NULL, NULL);
  return code == CL_SUCCESS ? FP_OK : fp_fail_code(error, code, "clEnqueueFillBuffer", "clearing a network's memory");
}

/* Waits for an event by asking again and again, because clWaitForEvents has no limit. */
static fp_verdict wait_for(const fp_session* session, cl_event event, fp_finding* finding) {
  const fp_api* api = &session->device->api;
  const double limit_secs = fp_setting_number(&session->package->settings, "self_check.hung_secs", kHungSecs);
  const double polls = limit_secs * 1e6 / POLL_MICROSECONDS;
  for (double poll = 0; poll < polls; ++poll) {
    cl_int state = CL_COMPLETE;
    const cl_int code = api->clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(state), &state, NULL);
    if (code != CL_SUCCESS || state < 0) {
      const cl_int failure = code != CL_SUCCESS ? code : state;
      snprintf(finding->text, sizeof(finding->text), "the driver failed to run it: %s (%d)", fp_code_name(failure),
               failure);
      return FP_VERDICT_REFUSED;
    }
    if (state == CL_COMPLETE) return FP_VERDICT_RIGHT;
    usleep(POLL_MICROSECONDS);
  }
  snprintf(finding->text, sizeof(finding->text), "it had not finished after %g s", limit_secs);
  return FP_VERDICT_HUNG;
}

/* Runs one step and waits for each of its launches. Events of one that hangs are left behind with the session. */
static fp_verdict run_step(const fp_session* session, uint32_t step, fp_finding* finding) {
  const fp_api* api = &session->device->api;
  const fp_range range = fp_session_launches(session, step);
  cl_int code = fp_entry_enqueue_step(session, step, session->events);
  if (code == CL_SUCCESS) code = api->clFlush(session->queue);
  fp_verdict verdict = code == CL_SUCCESS ? FP_VERDICT_RIGHT : FP_VERDICT_REFUSED;
  if (code != CL_SUCCESS) {
    snprintf(finding->text, sizeof(finding->text), "the driver refuses to launch it: %s (%d)", fp_code_name(code),
             code);
  }
  for (uint32_t i = 0; i < range.count && verdict == FP_VERDICT_RIGHT; ++i) {
    verdict = wait_for(session, session->events[i], finding);
  }
  if (verdict == FP_VERDICT_HUNG) return verdict;
  for (uint32_t i = 0; i < range.count; ++i) {
    if (session->events[i] != NULL) api->clReleaseEvent(session->events[i]);
    session->events[i] = NULL;
  }
  return verdict;
}

static cl_int read_element(const fp_session* session, cl_mem memory, const fpk_check* check, float* value) {
  const fp_api* api = &session->device->api;
  if (check->dtype == FPK_FLOAT32) {
    return api->clEnqueueReadBuffer(session->queue, memory, CL_TRUE, check->element * sizeof(float), sizeof(float),
                                    value, 0, NULL, NULL);
  }
  uint16_t half = 0;
  const cl_int code = api->clEnqueueReadBuffer(session->queue, memory, CL_TRUE, check->element * sizeof(half),
                                               sizeof(half), &half, 0, NULL, NULL);
  *value = half_to_float(half);
  return code;
}

/* A NaN is within no tolerance. */
static fp_verdict compare(const fp_session* session, const fpk_entry* record, uint32_t step, fp_finding* finding) {
  const fpk_step* of = &session->package->steps[step];
  for (uint32_t i = of->first_check; i < of->first_check + of->check_count; ++i) {
    const fpk_check* check = &session->package->checks[i];
    float value = 0;
    const cl_int code = read_element(session, session->buffers[record->first_buffer + check->buffer], check, &value);
    if (code != CL_SUCCESS) {
      snprintf(finding->text, sizeof(finding->text), "its result cannot be read: %s (%d)", fp_code_name(code), code);
      return FP_VERDICT_REFUSED;
    }
    const float difference = value > check->value ? value - check->value : check->value - value;
    if (!(difference <= check->tolerance)) {
      snprintf(finding->text, sizeof(finding->text), "element %llu is %.7g where %.7g is right",
               (unsigned long long)check->element, (double)value, (double)check->value);
      return FP_VERDICT_WRONG;
    }
  }
  return FP_VERDICT_RIGHT;
}

static fp_verdict check_step(fp_session* session, uint32_t entry, uint32_t step, int compares, fp_finding* finding) {
  fp_error refusal;
  finding->step = step;
  if (compares) fp_trial_begin(session->cache, step);
  if (fp_entry_make_step(session, entry, step, &refusal) != FP_OK) {
    snprintf(finding->text, sizeof(finding->text), "%.200s", refusal.text);
    return FP_VERDICT_REFUSED;
  }
  if (!compares) return FP_VERDICT_RIGHT;
  const fp_verdict verdict = run_step(session, step, finding);
  return verdict == FP_VERDICT_RIGHT ? compare(session, &session->package->entries[entry], step, finding) : verdict;
}

fp_status fp_self_check(fp_session* session, uint32_t entry, int compares, fp_finding* finding, fp_error* error) {
  const fpk_entry* record = &session->package->entries[entry];
  fp_status status = fp_memory_make_arena(session, entry, error);
  if (status == FP_OK && compares) status = clear(session, entry, error);
  if (status == FP_OK && compares) status = write_input(session, record, error);
  if (status != FP_OK) return status;
  finding->verdict = FP_VERDICT_RIGHT;
  for (uint32_t i = 0; i < record->step_count && finding->verdict == FP_VERDICT_RIGHT; ++i) {
    finding->verdict = check_step(session, entry, record->first_step + i, compares, finding);
  }
  return FP_OK;
}
