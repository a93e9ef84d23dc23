#include "agent/modules/functions.h"

#include "agent/device/conditions.h"
#include "agent/device/describe.h"
#include "agent/modules/files.h"
#include "agent/modules/package_module.h"
#include "agent/modules/timing.h"
#include "core/error.h"

fp_status agent_give_text(agent_session* session, agent_bytes* text, fp_error* error) {
  const int is_lost = text->is_lost;
  if (!is_lost) agent_call_text(&session->answer, text->data, text->size);
  agent_bytes_free(text);
  return is_lost ? fp_fail(error, FP_NO_MEMORY, "no memory for an answer") : FP_OK;
}

static fp_status load_module(agent_session* session, agent_function* function, const agent_value* values, int count,
                             fp_error* error) {
  char path[1024];
  agent_package* package = NULL;
  (void)function;
  fp_status status = agent_path_of(session, values, count, path, error);
  if (status == FP_OK) status = agent_package_load(&session->gpu, path, &package, error);
  return status == FP_OK ? agent_give(session, AGENT_TYPE_MODULE, &package->module.object, error) : status;
}

/* (module, name, whether to look in what it imports). */
static fp_status module_function(agent_session* session, agent_function* function, const agent_value* values, int count,
                                 fp_error* error) {
  char name[160];
  (void)function;
  agent_module* module =
      count > 0 && values[0].type == AGENT_TYPE_MODULE
          ? (agent_module*)agent_objects_get(&session->objects, (uint64_t)values[0].number, AGENT_MODULE)
          : NULL;
  if (module == NULL || count < 2 || values[1].type != AGENT_TYPE_TEXT) {
    return fp_fail(error, FP_BAD_ARGUMENT, "a function is asked of no module");
  }
  agent_function* found = agent_value_text(&values[1], name, sizeof(name)) ? module->find(module, name) : NULL;
  if (found != NULL) return agent_give(session, AGENT_TYPE_FUNCTION, &found->object, error);
  agent_call_none(&session->answer);
  return FP_OK;
}

static fp_status refuse(agent_session* session, agent_function* function, const agent_value* values, int count,
                        fp_error* error) {
  (void)session, (void)function, (void)values, (void)count;
  return fp_fail(error, FP_BAD_ARGUMENT, "this device takes packages (.fpk), which are linked to nothing");
}

static fp_status list_devices(agent_session* session, agent_function* function, const agent_value* values, int count,
                              fp_error* error) {
  agent_bytes json = {0};
  (void)function, (void)values, (void)count;
  const fp_status status = agent_gpu_open(&session->gpu, error);
  if (status != FP_OK) return status;
  agent_describe_devices(&session->gpu, &json);
  return agent_give_text(session, &json, error);
}

static fp_status name_library(agent_session* session, agent_function* function, const agent_value* values, int count,
                              fp_error* error) {
  (void)function, (void)values, (void)count;
  const fp_status status = agent_gpu_open(&session->gpu, error);
  const char* path = session->gpu.device.api.path;
  if (status == FP_OK) agent_call_text(&session->answer, path, strlen(path));
  return status;
}

static fp_status describe_cache(agent_session* session, agent_function* function, const agent_value* values, int count,
                                fp_error* error) {
  agent_bytes json = {0};
  (void)function, (void)values, (void)count;
  agent_describe_cache(&session->gpu, &json);
  return agent_give_text(session, &json, error);
}

static fp_status reset_cache_stats(agent_session* session, agent_function* function, const agent_value* values,
                                   int count, fp_error* error) {
  (void)function, (void)values, (void)count, (void)error;
  memset(&session->gpu.cache_stats, 0, sizeof(session->gpu.cache_stats));
  agent_call_none(&session->answer);
  return FP_OK;
}

static fp_status describe_conditions(agent_session* session, agent_function* function, const agent_value* values,
                                     int count, fp_error* error) {
  agent_bytes json = {0};
  (void)function, (void)values, (void)count;
  agent_describe_conditions(&json);
  return agent_give_text(session, &json, error);
}

agent_function* agent_find_function(const char* name) {
  static const struct {
    const char* name;
    agent_call call;
  } known[] = {{"tvm.rpc.server.upload", agent_upload},
               {"tvm.rpc.server.download", agent_download},
               {"tvm.rpc.server.remove", agent_remove},
               {"tvm.rpc.server.listdir", agent_list},
               {"tvm.rpc.server.workpath", agent_workpath},
               {"tvm.rpc.server.load_module", load_module},
               {"tvm.rpc.server.ModuleGetFunction", module_function},
               {"tvm.rpc.server.ImportModule", refuse},
               {"tvm.rpc.server.download_linked_module", refuse},
               {"runtime.RPCTimeEvaluator", agent_time_evaluator},
               {"fleetpose.opencl.devices", list_devices},
               {"fleetpose.opencl.library", name_library},
               {"fleetpose.opencl.cache_stats", describe_cache},
               {"fleetpose.opencl.reset_cache_stats", reset_cache_stats},
               {"fleetpose.opencl.timer_samples", agent_timer_samples},
               {"fleetpose.opencl.profile_start", agent_profile_start},
               {"fleetpose.opencl.profile_stop", agent_profile_stop},
               {"fleetpose.conditions", describe_conditions}};
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
    if (strcmp(name, known[i].name) == 0) return agent_function_make(known[i].call, NULL, 0);
  }
  return NULL;
}
