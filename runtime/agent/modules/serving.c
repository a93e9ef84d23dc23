/* The requests of a client, by their codes (rpc/serving.h). */
#include "agent/rpc/serving.h"

#include "agent/core/log.h"
#include "agent/device/kernel_cache.h"
#include "agent/modules/device_requests.h"
#include "agent/modules/functions.h"
#include "core/error.h"

/* Of a request at most: a tensor, or a package with its weights. */
static const uint64_t kMostRequestBytes = ((uint64_t)1 << 30) + (1 << 20);
enum { FIRST_ROOM = 1 << 20, KEPT_ROOM = 1 << 26 };

static fp_status init_server(agent_session* session, agent_cursor* cursor, fp_error* error) {
  uint64_t length = 0;
  agent_read(cursor, &length, 8);
  const uint8_t* version = agent_read_bytes(cursor, length);
  const int count = agent_read_values(cursor, session->values, session->tensors);
  if (cursor->is_bad) return agent_bad_request(error);
  if (length != strlen(AGENT_RPC_VERSION) || memcmp(version, AGENT_RPC_VERSION, length) != 0) {
    return fp_fail(error, FP_BAD_ARGUMENT, "the client speaks version %.*s of TVM's RPC, this agent %s",
                   (int)(length < 20 ? length : 20), (const char*)version, AGENT_RPC_VERSION);
  }
  if (count > 0) return fp_fail(error, FP_BAD_ARGUMENT, "the agent has sessions of its own device alone");
  agent_answer_none(&session->answer);
  return FP_OK;
}

static fp_status call_function(agent_session* session, agent_cursor* cursor, fp_error* error) {
  uint64_t handle = 0;
  agent_read(cursor, &handle, 8);
  const int count = agent_read_values(cursor, session->values, session->tensors);
  if (cursor->is_bad) return agent_bad_request(error);
  agent_function* function = (agent_function*)agent_objects_get(&session->objects, handle, AGENT_FUNCTION);
  if (function == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "a function is called that is not there");
  agent_hold(&function->object); /* it may give back its own handle */
  const fp_status status = function->call(session, function, session->values, count, error);
  agent_let_go(&function->object);
  return status;
}

static fp_status get_global_function(agent_session* session, int count, fp_error* error) {
  char name[160];
  agent_function* found =
      count > 0 && agent_value_text(&session->values[0], name, sizeof(name)) ? agent_find_function(name) : NULL;
  const uint64_t handle = found != NULL ? agent_objects_add(&session->objects, &found->object) : 0;
  if (found != NULL) agent_let_go(&found->object);
  if (found != NULL && handle == 0) return fp_fail(error, FP_NO_MEMORY, "no memory for another object");
  agent_answer_number(&session->answer, AGENT_TYPE_POINTER, (int64_t)handle);
  return FP_OK;
}

static fp_status wait_for_stream(agent_session* session, fp_error* error) {
  const fp_status status = session->gpu.is_open ? agent_gpu_finish(&session->gpu, "waiting for kernels", error) : FP_OK;
  if (status == FP_OK) agent_answer_none(&session->answer);
  return status;
}

/* A system call, whose values have been read. */
static fp_status system_call(agent_session* session, int32_t code, int count, fp_error* error) {
  switch (code) {
    case AGENT_CODE_GET_GLOBAL_FUNCTION:
      return get_global_function(session, count, error);
    case AGENT_CODE_FREE_HANDLE:
      return agent_free_handle(session, &session->values[0], count > 0, error);
    case AGENT_CODE_GET_ATTRIBUTE:
      return agent_get_attribute(session, count, error);
    case AGENT_CODE_ALLOCATE:
      return agent_allocate(session, count, error);
    case AGENT_CODE_ALLOCATE_WITH_SCOPE:
      return agent_allocate_with_scope(session, count, error);
    case AGENT_CODE_FREE:
      return agent_free_handle(session, &session->values[1], count > 1, error);
    case AGENT_CODE_STREAM_SYNC:
      return wait_for_stream(session, error);
    case AGENT_CODE_COPY_AMONG_REMOTE:
      return agent_copy_among_remote(session, count, error);
    case AGENT_CODE_SET_DEVICE: /* there is one device and one stream */
    case AGENT_CODE_FREE_STREAM:
    case AGENT_CODE_SET_STREAM:
      agent_answer_none(&session->answer);
      return FP_OK;
    case AGENT_CODE_CREATE_STREAM:
    case AGENT_CODE_GET_STREAM:
      agent_answer_number(&session->answer, AGENT_TYPE_POINTER, 0);
      return FP_OK;
    default:
      return agent_bad_request(error);
  }
}

static fp_status handle(agent_session* session, int32_t code, agent_cursor* cursor, fp_error* error) {
  switch (code) {
    case AGENT_CODE_INIT_SERVER:
      return init_server(session, cursor, error);
    case AGENT_CODE_CALL_FUNCTION:
      return call_function(session, cursor, error);
    case AGENT_CODE_COPY_FROM_REMOTE:
      return agent_copy_from_remote(session, cursor, error);
    case AGENT_CODE_COPY_TO_REMOTE:
      return agent_copy_to_remote(session, cursor, error);
    default: {
      const int count = agent_read_values(cursor, session->values, session->tensors);
      return cursor->is_bad ? agent_bad_request(error) : system_call(session, code, count, error);
    }
  }
}

/* Receives a request behind its size. Memory grows with what has come, not with what was announced. */
static int receive_request(agent_session* session, uint64_t size) {
  agent_bytes* request = &session->request;
  if (request->room > KEPT_ROOM) agent_bytes_free(request);
  agent_bytes_clear(request);
  while (request->size < size) {
    const uint64_t left = size - request->size, part = request->size > FIRST_ROOM ? request->size : FIRST_ROOM;
    const size_t wanted = (size_t)(left < part ? left : part);
    uint8_t* place = agent_bytes_extend(request, wanted);
    if (place == NULL || !agent_channel_receive(&session->channel, place, wanted)) return 0;
  }
  return 1;
}

/* One request and its answer; 0 where there are no more. */
static int serve_one(agent_session* session, int* is_well) {
  uint64_t size = 0;
  int32_t code = 0;
  fp_error error = {FP_OK, ""};
  *is_well = 0;
  if (!agent_channel_receive(&session->channel, &size, sizeof(size))) return 0;
  if (size == 0) return 1;
  if (size < sizeof(code) || size > kMostRequestBytes) {
    agent_log("a request of %llu bytes", (unsigned long long)size);
    return 0;
  }
  session->channel.shared->is_working = 1;
  if (!receive_request(session, size)) return 0;
  memcpy(&code, session->request.data, sizeof(code));
  if (code == AGENT_CODE_SHUTDOWN) {
    *is_well = 1;
    return 0;
  }
  agent_cursor cursor = {session->request.data + sizeof(code), session->request.data + size, 0};
  fp_status status = handle(session, code, &cursor, &error);
  if (status == FP_OK && session->answer.is_lost) status = fp_fail(&error, FP_NO_MEMORY, "no memory for an answer");
  if (status != FP_OK) agent_answer_error(&session->answer, error.text);
  agent_answer_finish(&session->answer);
  const int is_sent =
      !session->answer.is_lost && agent_channel_send(&session->channel, session->answer.data, session->answer.size, 1);
  session->channel.shared->is_working = 0;
  if (session->answer.room > KEPT_ROOM) agent_bytes_free(&session->answer);
  return is_sent;
}

int agent_serve(int socket, int is_chunked, const agent_options* options, const char* folder,
                volatile agent_shared* shared) {
  agent_session* session = calloc(1, sizeof(agent_session));
  int is_well = 0;
  if (session == NULL) return 0;
  session->folder = folder;
  session->channel.socket = socket;
  session->channel.is_chunked = is_chunked;
  session->channel.shared = shared;
  agent_kernel_cache_find(&session->gpu, options->folder);
  while (serve_one(session, &is_well)) continue;
  return is_well; /* the process ends, and with it all that the session had */
}
