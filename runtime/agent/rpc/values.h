/* Values as TVM's RPC sends them, version 0.8.0: see rpc_reference.h of TVM 0.27. */
#ifndef FLEETPOSE_AGENT_RPC_VALUES_H
#define FLEETPOSE_AGENT_RPC_VALUES_H

#include "agent/core/bytes.h"

#define AGENT_RPC_VERSION "0.8.0"

/* What a packet is. */
enum {
  AGENT_CODE_SHUTDOWN = 1,
  AGENT_CODE_INIT_SERVER = 2,
  AGENT_CODE_CALL_FUNCTION = 3,
  AGENT_CODE_RETURN = 4,
  AGENT_CODE_EXCEPTION = 5,
  AGENT_CODE_COPY_FROM_REMOTE = 6,
  AGENT_CODE_COPY_TO_REMOTE = 7,
  AGENT_CODE_COPY_ACK = 8,
  AGENT_CODE_GET_GLOBAL_FUNCTION = 9,
  AGENT_CODE_FREE_HANDLE = 10,
  AGENT_CODE_SET_DEVICE = 11,
  AGENT_CODE_GET_ATTRIBUTE = 12,
  AGENT_CODE_ALLOCATE = 13,
  AGENT_CODE_FREE = 14,
  AGENT_CODE_STREAM_SYNC = 15,
  AGENT_CODE_COPY_AMONG_REMOTE = 16,
  AGENT_CODE_ALLOCATE_WITH_SCOPE = 17,
  AGENT_CODE_CREATE_STREAM = 18,
  AGENT_CODE_FREE_STREAM = 19,
  AGENT_CODE_SET_STREAM = 20,
  AGENT_CODE_GET_STREAM = 21
};

/* Type indices of TVM's FFI. */
enum {
  AGENT_TYPE_NONE = 0,
  AGENT_TYPE_INT = 1,
  AGENT_TYPE_BOOL = 2,
  AGENT_TYPE_FLOAT = 3,
  AGENT_TYPE_POINTER = 4,
  AGENT_TYPE_DTYPE = 5,
  AGENT_TYPE_DEVICE = 6,
  AGENT_TYPE_TENSOR_POINTER = 7,
  AGENT_TYPE_RAW_TEXT = 8,
  AGENT_TYPE_BYTE_ARRAY = 9,
  AGENT_TYPE_SMALL_TEXT = 11,
  AGENT_TYPE_SMALL_BYTES = 12,
  AGENT_TYPE_FIRST_OBJECT = 64,
  AGENT_TYPE_TEXT = 65,
  AGENT_TYPE_BYTES = 66,
  AGENT_TYPE_FUNCTION = 68,
  AGENT_TYPE_TENSOR = 70,
  AGENT_TYPE_MODULE = 73,
  AGENT_TYPE_REMOTE_OBJECT = 115
};

enum { AGENT_DEVICE_CPU = 1, AGENT_DEVICE_OPENCL = 4, AGENT_MOST_DIMENSIONS = 32, AGENT_MOST_VALUES = 512 };

typedef struct agent_dtype {
  uint8_t code, bits;
  uint16_t lanes;
} agent_dtype;

typedef struct agent_device {
  int32_t type, number;
} agent_device;

typedef struct agent_tensor {
  uint64_t data; /* a handle */
  agent_device device;
  int32_t dimensions;
  agent_dtype dtype;
  int64_t shape[AGENT_MOST_DIMENSIONS];
  uint64_t offset;
} agent_tensor;

typedef struct agent_value {
  int32_t type;   /* texts of all kinds are AGENT_TYPE_TEXT, bytes AGENT_TYPE_BYTES */
  int64_t number; /* whole, or a handle, or the bits of a float */
  agent_dtype dtype;
  agent_device device;
  const uint8_t* bytes; /* in the request, without a zero behind */
  uint64_t size;
  agent_tensor* tensor;
} agent_value;

/* What is left of a request. Reading beyond its end reads zeros, and is noted. */
typedef struct agent_cursor {
  const uint8_t *at, *end;
  int is_bad;
} agent_cursor;

void agent_read(agent_cursor* cursor, void* value, size_t size);
const uint8_t* agent_read_bytes(agent_cursor* cursor, uint64_t size);
void agent_read_tensor(agent_cursor* cursor, agent_tensor* tensor);
/* Reads a sequence of values, whose tensors lie in `tensors`; both have room for AGENT_MOST_VALUES. Answers a count. */
int agent_read_values(agent_cursor* cursor, agent_value* values, agent_tensor* tensors);

/* The bytes of a tensor's elements; 0 where its shape is none, or they are more than 2^40. Of no elements: 0, too. */
uint64_t agent_tensor_bytes(const agent_tensor* tensor);
/* Copies a text and puts a zero behind it; 0 where it is none, has a zero inside, or does not fit. */
int agent_value_text(const agent_value* value, char* text, size_t size);

/* An answer, which begins with its size and code and is finished when all is added. */
void agent_answer_begin(agent_bytes* answer, int32_t code);
void agent_answer_finish(agent_bytes* answer);
void agent_put(agent_bytes* answer, const void* value, size_t size);
void agent_put_int32(agent_bytes* answer, int32_t value);
void agent_put_none(agent_bytes* answer);
void agent_put_number(agent_bytes* answer, int32_t type, int64_t value);
void agent_put_text(agent_bytes* answer, int32_t type, const void* text, size_t size);
void agent_put_tensor(agent_bytes* answer, const agent_tensor* tensor);
/* Whole answers: an error in words; one value; what a call answers, whose type comes first. */
void agent_answer_error(agent_bytes* answer, const char* text);
void agent_answer_none(agent_bytes* answer);
void agent_answer_number(agent_bytes* answer, int32_t type, int64_t value);
void agent_answer_text(agent_bytes* answer, const char* text);
void agent_call_none(agent_bytes* answer);
void agent_call_number(agent_bytes* answer, int64_t value);
void agent_call_text(agent_bytes* answer, const void* text, size_t size);
void agent_call_bytes(agent_bytes* answer, const void* bytes, size_t size);
void agent_call_object(agent_bytes* answer, int32_t type, uint64_t handle);
void agent_call_tensor(agent_bytes* answer, const agent_tensor* tensor, uint64_t handle);

#endif
