#include "agent/modules/package_module.h"

#include "agent/modules/machine.h"
#include "core/error.h"

static void destroy(agent_object* object) {
  agent_package* package = (agent_package*)object;
  if (package->gpu->event_count > 0) agent_gpu_take_times(package->gpu, NULL); /* the names of kernels end here */
  for (uint32_t i = 0; i < package->code_count; ++i) agent_code_close(&package->codes[i]);
  fp_session_close(&package->session);
  fp_cache_close(&package->cache, &package->package);
  fp_package_close(&package->package);
  free(package->codes);
  free(package);
}

static fp_status run_code(agent_session* session, agent_function* function, const agent_value* values, int count,
                          fp_error* error) {
  agent_code* code = &((agent_package*)function->owner)->codes[function->index];
  agent_memory* given[AGENT_MOST_VALUES];
  if ((uint32_t)count != code->parameter_count) {
    return fp_fail(error, FP_BAD_ARGUMENT, "%.80s takes %u arguments, not %d", code->name, code->parameter_count,
                   count);
  }
  for (int i = 0; i < count; ++i) {
    given[i] = agent_memory_of(session, &values[i], error);
    if (given[i] == NULL) return FP_BAD_ARGUMENT;
  }
  const fp_status status = agent_code_run(code, given, error);
  if (status == FP_OK) agent_call_none(&session->answer);
  return status;
}

static fp_status load_machine(agent_session* session, agent_function* function, const agent_value* values, int count,
                              fp_error* error) {
  (void)values, (void)count;
  agent_module* machine = agent_machine_make((agent_package*)function->owner);
  return agent_give(session, AGENT_TYPE_MODULE, (agent_object*)machine, error);
}

static agent_function* find(agent_module* module, const char* name) {
  agent_package* package = (agent_package*)module;
  if (package->package.entry_count > 0 && strcmp(name, "vm_load_executable") == 0) {
    return agent_function_make(load_machine, &module->object, 0);
  }
  for (uint32_t i = 0; i < package->code_count; ++i) {
    if (strcmp(name, package->codes[i].name) == 0) return agent_function_make(run_code, &module->object, i);
  }
  return NULL;
}

static fp_status open_codes(agent_package* of, fp_error* error) {
  const uint32_t functions = of->package.function_count, entries = of->package.entry_count;
  of->codes = calloc((size_t)functions + entries + 1, sizeof(agent_code));
  if (of->codes == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory for a package's functions");
  fp_status status = FP_OK;
  for (uint32_t i = 0; status == FP_OK && i < functions + entries; ++i) {
    status = i < functions ? agent_code_open_function(&of->codes[i], of->gpu, &of->session, i, error)
                           : agent_code_open_entry(&of->codes[i], of->gpu, &of->session, i - functions, error);
    if (status == FP_OK) ++of->code_count;
    if (status == FP_OK && of->codes[i].parameter_count > AGENT_MOST_VALUES) {
      status = fp_fail(error, FP_BAD_PACKAGE, "%.80s takes %u arguments, more than %d", of->codes[i].name,
                       of->codes[i].parameter_count, AGENT_MOST_VALUES);
    }
  }
  return status;
}

fp_status agent_package_load(agent_gpu* gpu, const char* path, agent_package** made, fp_error* error) {
  fp_status status = agent_gpu_open(gpu, error);
  if (status != FP_OK) return status;
  agent_package* of = calloc(1, sizeof(agent_package));
  if (of == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory for a package");
  of->module = (agent_module){{AGENT_MODULE, 1, destroy}, find};
  of->gpu = gpu;
  status = fp_package_open_file(&of->package, path, error);
  if (status != FP_OK) {
    free(of);
    return status;
  }
  status = fp_device_check(&gpu->device, &of->package, FP_FLAG_ANY_DEVICE, error);
  if (status == FP_OK) status = fp_cache_open(&of->cache, NULL, &of->package, &gpu->device, error);
  if (status == FP_OK) {
    status = fp_session_open_in(&of->session, &of->package, &gpu->device, &of->cache, gpu->context,
                                agent_gpu_queue(gpu), error);
  }
  if (status == FP_OK) status = open_codes(of, error);
  if (status == FP_OK) {
    *made = of;
  } else {
    destroy(&of->module.object);
  }
  return status;
}
