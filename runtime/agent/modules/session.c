#include "agent/modules/session.h"

#include "core/error.h"

static void destroy(agent_object* object) {
  agent_function* function = (agent_function*)object;
  if (function->destroy != NULL) function->destroy(function);
  agent_let_go(function->owner);
  free(function->own);
  free(function);
}

agent_function* agent_function_make(agent_call call, agent_object* owner, uint32_t index) {
  agent_function* function = calloc(1, sizeof(agent_function));
  if (function == NULL) return NULL;
  function->object = (agent_object){AGENT_FUNCTION, 1, destroy};
  function->call = call;
  function->owner = owner;
  function->index = index;
  if (owner != NULL) agent_hold(owner);
  return function;
}

fp_status agent_give(agent_session* session, int32_t type, agent_object* object, fp_error* error) {
  const uint64_t handle = object != NULL ? agent_objects_add(&session->objects, object) : 0;
  agent_let_go(object);
  if (handle == 0) return fp_fail(error, FP_NO_MEMORY, "no memory for another object");
  agent_call_object(&session->answer, type, handle);
  return FP_OK;
}

agent_memory* agent_memory_of(agent_session* session, const agent_value* value, fp_error* error) {
  if (value->type != AGENT_TYPE_TENSOR_POINTER || value->tensor->device.type != AGENT_DEVICE_OPENCL) {
    fp_fail(error, FP_BAD_ARGUMENT, "a value is no tensor on the OpenCL device");
    return NULL;
  }
  if (value->tensor->offset != 0) {
    fp_fail(error, FP_BAD_ARGUMENT, "a tensor is a view with an offset, which OpenCL cannot express");
    return NULL;
  }
  agent_memory* memory = (agent_memory*)agent_objects_get(&session->objects, value->tensor->data, AGENT_MEMORY);
  if (memory == NULL || memory->memory == NULL) {
    fp_fail(error, FP_BAD_ARGUMENT, "a tensor has no memory here");
    return NULL;
  }
  return memory;
}
