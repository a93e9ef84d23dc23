#include "agent/modules/timing.h"

#include "agent/core/clock.h"
#include "agent/modules/functions.h"
#include "agent/modules/module.h"
#include "core/error.h"

/* Of those that nobody asks for the latest are kept. */
enum { MOST_SAMPLES = 1 << 16, EVALUATOR_VALUES = 12, MOST_REPEATS = 1 << 20 };

/* What a time evaluator was asked for, as TVM has it. */
typedef struct plan {
  agent_function* timed;
  int64_t number, repeats, least_ms, most_zeros, cooldown_ms, repeats_to_cooldown, flush_bytes;
} plan;

static void add_sample(agent_gpu* gpu, double wall_secs) {
  if (gpu->samples == NULL) gpu->samples = calloc(MOST_SAMPLES, sizeof(agent_sample));
  if (gpu->samples == NULL) return;
  if (gpu->sample_count == MOST_SAMPLES) {
    gpu->first_sample = (gpu->first_sample + 1) % MOST_SAMPLES;
    --gpu->sample_count;
  }
  gpu->samples[(gpu->first_sample + gpu->sample_count++) % MOST_SAMPLES] =
      (agent_sample){gpu->nanos * 1e-9, wall_secs, gpu->kernels};
}

/* Runs the function `number` times; the seconds of all kernels in `secs`. */
static fp_status time_once(agent_session* session, agent_function* timed, const agent_value* values, int count,
                           int64_t number, double* secs, fp_error* error) {
  agent_gpu* gpu = &session->gpu;
  fp_status status = agent_gpu_listen(gpu, error);
  if (status != FP_OK) return status;
  gpu->nanos = 0;
  gpu->kernels = 0;
  const double started = agent_now();
  for (int64_t i = 0; status == FP_OK && i < number; ++i) status = timed->call(session, timed, values, count, error);
  if (status == FP_OK) status = agent_gpu_finish(gpu, "timing", error);
  const double wall_secs = agent_now() - started;
  const fp_status taken = agent_gpu_take_times(gpu, status == FP_OK ? error : NULL);
  agent_gpu_stop_listening(gpu);
  if (status == FP_OK) status = taken;
  if (status != FP_OK) return status;
  add_sample(gpu, wall_secs);
  *secs = gpu->nanos * 1e-9;
  return FP_OK;
}

/* Puts other data into the device's cache. */
static fp_status flush_cache(agent_memory* const* flushed, fp_error* error) {
  if (flushed[0] == NULL) return FP_OK;
  return agent_memory_copy(flushed[1], 0, flushed[0], 0, flushed[0]->bytes, error);
}

/* A number of runs, which TVM's evaluator has in 32 bits. */
static int64_t more_runs(double wanted) { return wanted < INT32_MAX ? (int64_t)wanted : INT32_MAX; }

/* One of the repeats: as many runs as last the least time that was asked for. */
static fp_status repeat(agent_session* session, plan* of, const agent_value* values, int count,
                        agent_memory* const* flushed, double* secs, fp_error* error) {
  int64_t zeros = 0;
  double total = 0;
  for (;;) {
    fp_status status = flush_cache(flushed, error);
    if (status == FP_OK) status = agent_gpu_finish(&session->gpu, "starting to time", error);
    if (status == FP_OK) status = time_once(session, of->timed, values, count, of->number, &total, error);
    if (status != FP_OK) return status;
    *secs = total / (double)of->number;
    zeros += total == 0;
    if (total * 1e3 >= (double)of->least_ms || zeros >= of->most_zeros) return FP_OK;
    const double golden_ratio = 1.618; /* as TVM's evaluator goes on */
    const double by_time = total > 0 ? (double)of->least_ms / (total * 1e3 / (double)of->number) + 1 : 0;
    const double more = (double)of->number * golden_ratio;
    if (total > 0) of->number = more_runs(by_time > more ? by_time : more);
  }
}

static fp_status evaluate(agent_session* session, agent_function* function, const agent_value* values, int count,
                          fp_error* error) {
  plan of = *(plan*)function->own;
  agent_memory* flushed[2] = {NULL, NULL};
  double* secs = calloc((size_t)of.repeats, sizeof(double));
  fp_status status = secs != NULL ? agent_gpu_open(&session->gpu, error) : fp_fail(error, FP_NO_MEMORY, "no memory");
  for (int i = 0; status == FP_OK && of.flush_bytes > 0 && i < 2; ++i) {
    status = agent_memory_make(&session->gpu, AGENT_DEVICE_OPENCL, (uint64_t)of.flush_bytes, &flushed[i], error);
  }
  if (status == FP_OK) status = of.timed->call(session, of.timed, values, count, error); /* compiles what is new */
  if (status == FP_OK) status = agent_gpu_finish(&session->gpu, "warming up", error);
  for (int64_t i = 0; status == FP_OK && i < of.repeats; ++i) {
    status = repeat(session, &of, values, count, flushed, &secs[i], error);
    if (status == FP_OK && of.cooldown_ms > 0 && i % of.repeats_to_cooldown == 0) {
      usleep((unsigned)of.cooldown_ms * 1000);
    }
  }
  if (status == FP_OK) agent_call_bytes(&session->answer, secs, (size_t)of.repeats * sizeof(double));
  for (int i = 0; i < 2; ++i) agent_let_go(flushed[i] != NULL ? &flushed[i]->object : NULL);
  free(secs);
  return status;
}

static void let_go_of_plan(agent_function* function) {
  const plan* of = function->own;
  if (of != NULL) agent_let_go(&of->timed->object);
}

/* (module, function, device type, device, number, repeats, least ms, most zero times, cooldown ms, repeats to cooldown,
 * bytes to flush, a function before each repeat). */
static fp_status read_plan(plan* of, const agent_value* values, int count, fp_error* error) {
  if (count != EVALUATOR_VALUES) {
    return fp_fail(error, FP_BAD_ARGUMENT, "a time evaluator takes %d values, not %d", EVALUATOR_VALUES, count);
  }
  for (int i = 2; i < EVALUATOR_VALUES - 1; ++i) {
    if (values[i].type != AGENT_TYPE_INT) return fp_fail(error, FP_BAD_ARGUMENT, "value %d is no whole number", i);
  }
  *of = (plan){.number = values[4].number,
               .repeats = values[5].number,
               .least_ms = values[6].number,
               .most_zeros = values[7].number,
               .cooldown_ms = values[8].number,
               .repeats_to_cooldown = values[9].number,
               .flush_bytes = values[10].number};
  if (of->number < 1 || of->number > INT32_MAX || of->repeats < 1 || of->repeats > MOST_REPEATS || of->least_ms < 0 ||
      of->cooldown_ms < 0 || of->cooldown_ms > 3600000 || of->repeats_to_cooldown < 1 || of->flush_bytes < 0) {
    return fp_fail(error, FP_BAD_ARGUMENT, "%lld runs, %lld times, cannot be timed", (long long)of->number,
                   (long long)of->repeats);
  }
  if (values[11].size != 0) return fp_fail(error, FP_BAD_ARGUMENT, "there is no function to call before each repeat");
  return FP_OK;
}

fp_status agent_time_evaluator(agent_session* session, agent_function* function, const agent_value* values, int count,
                               fp_error* error) {
  plan of;
  char name[160];
  (void)function;
  fp_status status = read_plan(&of, values, count, error);
  if (status != FP_OK) return status;
  if (!agent_value_text(&values[1], name, sizeof(name)))
    return fp_fail(error, FP_BAD_ARGUMENT, "no name of a function");
  agent_module* module = (agent_module*)agent_objects_get(&session->objects, (uint64_t)values[0].number, AGENT_MODULE);
  if (values[0].type == AGENT_TYPE_MODULE && module != NULL) {
    of.timed = module->find(module, name);
  } else if (values[0].type == AGENT_TYPE_NONE) {
    of.timed = agent_find_function(name);
  } else {
    return fp_fail(error, FP_BAD_ARGUMENT, "what is to be timed is of no module");
  }
  if (of.timed == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "cannot find function %.100s", name);
  agent_function* evaluator = agent_function_make(evaluate, NULL, 0);
  if (evaluator != NULL) evaluator->own = malloc(sizeof(plan));
  if (evaluator == NULL || evaluator->own == NULL) {
    agent_let_go(&of.timed->object);
    agent_let_go((agent_object*)evaluator);
    return fp_fail(error, FP_NO_MEMORY, "no memory for a time evaluator");
  }
  memcpy(evaluator->own, &of, sizeof(of));
  evaluator->destroy = let_go_of_plan;
  return agent_give(session, AGENT_TYPE_FUNCTION, &evaluator->object, error);
}

fp_status agent_timer_samples(agent_session* session, agent_function* function, const agent_value* values, int count,
                              fp_error* error) {
  agent_gpu* gpu = &session->gpu;
  agent_bytes json = {0};
  (void)function, (void)values, (void)count;
  agent_bytes_add(&json, "[", 1);
  for (size_t i = 0; i < gpu->sample_count; ++i) {
    const agent_sample* sample = &gpu->samples[(gpu->first_sample + i) % MOST_SAMPLES];
    agent_bytes_format(&json, i > 0 ? ", {" : "{");
    agent_json_number_of(&json, "event_secs", sample->event_secs);
    agent_json_number_of(&json, "wall_secs", sample->wall_secs);
    agent_json_whole_of(&json, "kernels", sample->kernels);
    agent_bytes_add(&json, "}", 1);
  }
  agent_bytes_add(&json, "]", 1);
  gpu->sample_count = 0;
  return agent_give_text(session, &json, error);
}

fp_status agent_profile_start(agent_session* session, agent_function* function, const agent_value* values, int count,
                              fp_error* error) {
  agent_gpu* gpu = &session->gpu;
  (void)function, (void)values, (void)count;
  if (gpu->is_profiling) return fp_fail(error, FP_BAD_ARGUMENT, "a profile already runs on opencl(0)");
  fp_status status = agent_gpu_open(gpu, error);
  if (status == FP_OK) status = agent_gpu_listen(gpu, error);
  if (status != FP_OK) return status;
  gpu->is_profiling = 1;
  gpu->first_queued = 0;
  agent_bytes_clear(&gpu->profile);
  agent_bytes_add(&gpu->profile, "[", 1);
  agent_call_none(&session->answer);
  return FP_OK;
}

fp_status agent_profile_stop(agent_session* session, agent_function* function, const agent_value* values, int count,
                             fp_error* error) {
  agent_gpu* gpu = &session->gpu;
  (void)function, (void)values, (void)count;
  if (!gpu->is_profiling) return fp_fail(error, FP_BAD_ARGUMENT, "no profile runs on opencl(0)");
  const fp_status status = agent_gpu_take_times(gpu, error);
  agent_gpu_stop_listening(gpu);
  gpu->is_profiling = 0;
  agent_bytes_add(&gpu->profile, "]", 1);
  if (status != FP_OK) return status;
  agent_bytes profile = gpu->profile;
  memset(&gpu->profile, 0, sizeof(gpu->profile));
  return agent_give_text(session, &profile, error);
}
