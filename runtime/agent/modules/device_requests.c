#include "agent/modules/device_requests.h"

#include "agent/device/describe.h"
#include "core/error.h"

fp_status agent_bad_request(fp_error* error) {
  return fp_fail(error, FP_BAD_ARGUMENT, "the request is none of TVM's RPC " AGENT_RPC_VERSION);
}

/* The memory of a tensor of a request. */
static agent_memory* memory_of(agent_session* session, const agent_tensor* tensor, fp_error* error) {
  agent_object* object = agent_objects_get(&session->objects, tensor->data, AGENT_MEMORY);
  if (object == NULL) fp_fail(error, FP_BAD_ARGUMENT, "a tensor has no memory here");
  return (agent_memory*)object;
}

fp_status agent_copy_from_remote(agent_session* session, agent_cursor* cursor, fp_error* error) {
  agent_tensor tensor;
  uint64_t size = 0;
  agent_read_tensor(cursor, &tensor);
  agent_read(cursor, &size, 8);
  if (cursor->is_bad) return agent_bad_request(error);
  agent_memory* memory = memory_of(session, &tensor, error);
  if (memory == NULL) return FP_BAD_ARGUMENT;
  if (size > memory->bytes) return fp_fail(error, FP_BAD_ARGUMENT, "more is fetched than there is");
  agent_answer_begin(&session->answer, AGENT_CODE_COPY_ACK);
  uint8_t* place = agent_bytes_extend(&session->answer, size);
  if (place == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory for %llu bytes", (unsigned long long)size);
  return agent_memory_read(memory, tensor.offset, place, size, error);
}

fp_status agent_copy_to_remote(agent_session* session, agent_cursor* cursor, fp_error* error) {
  agent_tensor tensor;
  uint64_t size = 0;
  agent_read_tensor(cursor, &tensor);
  agent_read(cursor, &size, 8);
  const uint8_t* bytes = agent_read_bytes(cursor, size);
  if (cursor->is_bad) return agent_bad_request(error);
  agent_memory* memory = memory_of(session, &tensor, error);
  if (memory == NULL) return FP_BAD_ARGUMENT;
  const fp_status status = agent_memory_write(memory, tensor.offset, bytes, size, error);
  if (status == FP_OK) agent_answer_none(&session->answer);
  return status;
}

/* The device that the first value is; of OpenCL there is one. */
static fp_status read_device(const agent_session* session, int count, agent_device* device, fp_error* error) {
  const agent_value* value = &session->values[0];
  if (count > 0 && (value->type == AGENT_TYPE_DEVICE || value->type == AGENT_TYPE_TENSOR_POINTER)) {
    *device = value->type == AGENT_TYPE_DEVICE ? value->device : value->tensor->device;
    const int is_known = device->type == AGENT_DEVICE_CPU || device->type == AGENT_DEVICE_OPENCL;
    if (is_known && device->number == 0) return FP_OK;
    return fp_fail(error, FP_BAD_ARGUMENT, "no device of type %d and number %d: there are cpu(0) and opencl(0)",
                   device->type, device->number);
  }
  return agent_bad_request(error);
}

fp_status agent_get_attribute(agent_session* session, int count, fp_error* error) {
  agent_device device = {0, 0};
  char text[128];
  long long number = 0;
  const int64_t kind = count > 1 ? session->values[1].number : -1;
  const int is_known = read_device(session, count, &device, error) == FP_OK;
  if (kind == 0) { /* whether there is one */
    const int exists = is_known && (device.type == AGENT_DEVICE_CPU || agent_gpu_open(&session->gpu, error) == FP_OK);
    agent_answer_number(&session->answer, AGENT_TYPE_INT, exists);
    return FP_OK;
  }
  if (!is_known) return FP_BAD_ARGUMENT;
  const fp_status status = agent_gpu_open(&session->gpu, error);
  if (status != FP_OK) return status;
  const int what =
      device.type == AGENT_DEVICE_OPENCL ? agent_describe_attribute(&session->gpu, kind, &number, text) : 0;
  if (what == 1) agent_answer_number(&session->answer, AGENT_TYPE_INT, number);
  if (what == 2) agent_answer_text(&session->answer, text);
  if (what == 0) agent_answer_none(&session->answer);
  return FP_OK;
}

static fp_status answer_memory(agent_session* session, agent_memory* memory, fp_error* error) {
  const uint64_t handle = agent_objects_add(&session->objects, &memory->object);
  agent_let_go(&memory->object);
  if (handle == 0) return fp_fail(error, FP_NO_MEMORY, "no memory for another object");
  agent_answer_number(&session->answer, AGENT_TYPE_POINTER, (int64_t)handle);
  return FP_OK;
}

/* (device, bytes, alignment, dtype). */
fp_status agent_allocate(agent_session* session, int count, fp_error* error) {
  agent_device device;
  agent_memory* memory = NULL;
  fp_status status = read_device(session, count, &device, error);
  if (status == FP_OK && (count < 2 || session->values[1].number < 0)) status = agent_bad_request(error);
  if (status == FP_OK) {
    status = agent_memory_make(&session->gpu, device.type, (uint64_t)session->values[1].number, &memory, error);
  }
  return status == FP_OK ? answer_memory(session, memory, error) : status;
}

/* (tensor, scope): an image where the scope is of textures. */
fp_status agent_allocate_with_scope(agent_session* session, int count, fp_error* error) {
  agent_device device;
  agent_memory* memory = NULL;
  char scope[64] = "";
  fp_status status = read_device(session, count, &device, error);
  if (status == FP_OK && session->values[0].type != AGENT_TYPE_TENSOR_POINTER) status = agent_bad_request(error);
  if (status != FP_OK) return status;
  if (count > 1 && session->values[1].type != AGENT_TYPE_NONE &&
      !agent_value_text(&session->values[1], scope, sizeof(scope))) {
    return agent_bad_request(error);
  }
  const agent_tensor* tensor = session->values[0].tensor;
  if (*scope == '\0' || strcmp(scope, "global") == 0) {
    status = agent_memory_make(&session->gpu, device.type, agent_tensor_bytes(tensor), &memory, error);
  } else {
    status = agent_memory_make_image(&session->gpu, tensor, scope, &memory, error);
  }
  return status == FP_OK ? answer_memory(session, memory, error) : status;
}

fp_status agent_free_handle(agent_session* session, const agent_value* value, int is_there, fp_error* error) {
  if (!is_there) return agent_bad_request(error);
  if (value->number != 0 && !agent_objects_remove(&session->objects, (uint64_t)value->number)) {
    return fp_fail(error, FP_BAD_ARGUMENT, "what is freed is not there");
  }
  agent_answer_none(&session->answer);
  return FP_OK;
}

fp_status agent_copy_among_remote(agent_session* session, int count, fp_error* error) {
  if (count < 2 || session->values[0].tensor == NULL || session->values[1].tensor == NULL)
    return agent_bad_request(error);
  const agent_tensor *from = session->values[0].tensor, *to = session->values[1].tensor;
  agent_memory* source = memory_of(session, from, error);
  agent_memory* target = memory_of(session, to, error);
  if (source == NULL || target == NULL) return FP_BAD_ARGUMENT;
  const uint64_t bytes = agent_tensor_bytes(from);
  if (bytes != agent_tensor_bytes(to)) return fp_fail(error, FP_BAD_ARGUMENT, "copy between tensors of other sizes");
  const fp_status status = agent_memory_copy(source, from->offset, target, to->offset, bytes, error);
  if (status == FP_OK) agent_answer_none(&session->answer);
  return status;
}
