#include "agent/rpc/values.h"

static const uint64_t kMostTensorBytes = (uint64_t)1 << 40;

void agent_read(agent_cursor* cursor, void* value, size_t size) {
  const uint8_t* bytes = agent_read_bytes(cursor, size);
  if (bytes != NULL) {
    memcpy(value, bytes, size);
  } else {
    memset(value, 0, size);
  }
}

const uint8_t* agent_read_bytes(agent_cursor* cursor, uint64_t size) {
  if (cursor->is_bad || size > (uint64_t)(cursor->end - cursor->at)) {
    cursor->is_bad = 1;
    return NULL;
  }
  const uint8_t* bytes = cursor->at;
  cursor->at += size;
  return bytes;
}

void agent_read_tensor(agent_cursor* cursor, agent_tensor* tensor) {
  memset(tensor, 0, sizeof(*tensor));
  agent_read(cursor, &tensor->data, 8);
  agent_read(cursor, &tensor->device, 8);
  agent_read(cursor, &tensor->dimensions, 4);
  agent_read(cursor, &tensor->dtype, 4);
  if (tensor->dimensions < 0 || tensor->dimensions > AGENT_MOST_DIMENSIONS) {
    cursor->is_bad = 1;
    tensor->dimensions = 0;
  }
  agent_read(cursor, tensor->shape, 8 * (size_t)tensor->dimensions);
  agent_read(cursor, &tensor->offset, 8);
}

static void read_text(agent_cursor* cursor, agent_value* value, int32_t type) {
  agent_read(cursor, &value->size, 8);
  value->bytes = agent_read_bytes(cursor, value->size);
  value->type = type;
}

/* A text or bytes as an object, which says once more what it is; or an object of ours by its handle. */
static void read_object(agent_cursor* cursor, agent_value* value) {
  int32_t inner = 0;
  agent_read(cursor, &inner, 4);
  if (inner == AGENT_TYPE_TEXT || inner == AGENT_TYPE_BYTES) {
    read_text(cursor, value, inner);
  } else if (inner == AGENT_TYPE_REMOTE_OBJECT) {
    value->type = inner;
    agent_read(cursor, &value->number, 8);
  } else {
    cursor->is_bad = 1;
  }
}

static void read_value(agent_cursor* cursor, agent_value* value, agent_tensor* tensor) {
  int32_t padding = 0;
  memset(value, 0, sizeof(*value));
  agent_read(cursor, &value->type, 4);
  switch (value->type) {
    case AGENT_TYPE_NONE:
      return;
    case AGENT_TYPE_INT:
    case AGENT_TYPE_BOOL:
    case AGENT_TYPE_FLOAT:
    case AGENT_TYPE_POINTER:
    case AGENT_TYPE_FUNCTION:
    case AGENT_TYPE_MODULE:
      agent_read(cursor, &value->number, 8);
      return;
    case AGENT_TYPE_DTYPE:
      agent_read(cursor, &value->dtype, 4);
      agent_read(cursor, &padding, 4);
      return;
    case AGENT_TYPE_DEVICE:
      agent_read(cursor, &value->device, 8);
      return;
    case AGENT_TYPE_TENSOR_POINTER:
      agent_read_tensor(cursor, tensor);
      value->tensor = tensor;
      return;
    case AGENT_TYPE_RAW_TEXT:
      read_text(cursor, value, AGENT_TYPE_TEXT);
      return;
    case AGENT_TYPE_BYTE_ARRAY:
      read_text(cursor, value, AGENT_TYPE_BYTES);
      return;
    default:
      if (value->type < AGENT_TYPE_FIRST_OBJECT && value->type != AGENT_TYPE_SMALL_TEXT &&
          value->type != AGENT_TYPE_SMALL_BYTES) {
        cursor->is_bad = 1;
        return;
      }
      read_object(cursor, value);
  }
}

int agent_read_values(agent_cursor* cursor, agent_value* values, agent_tensor* tensors) {
  int32_t count = 0;
  agent_read(cursor, &count, 4);
  if (count < 0 || count > AGENT_MOST_VALUES) cursor->is_bad = 1;
  for (int32_t i = 0; i < count && !cursor->is_bad; ++i) read_value(cursor, &values[i], &tensors[i]);
  return cursor->is_bad ? 0 : count;
}

uint64_t agent_tensor_bytes(const agent_tensor* tensor) {
  uint64_t bytes = ((uint64_t)tensor->dtype.bits * tensor->dtype.lanes + 7) / 8;
  for (int32_t i = 0; i < tensor->dimensions; ++i) {
    if (tensor->shape[i] <= 0 || bytes > kMostTensorBytes / (uint64_t)tensor->shape[i]) return 0;
    bytes *= (uint64_t)tensor->shape[i];
  }
  return bytes;
}

int agent_value_text(const agent_value* value, char* text, size_t size) {
  if (value->type != AGENT_TYPE_TEXT || value->size >= size) return 0;
  if (value->size > 0) memcpy(text, value->bytes, value->size);
  text[value->size] = '\0';
  return strlen(text) == value->size;
}

void agent_put(agent_bytes* answer, const void* value, size_t size) { agent_bytes_add(answer, value, size); }

void agent_put_int32(agent_bytes* answer, int32_t value) { agent_put(answer, &value, sizeof(value)); }

void agent_answer_begin(agent_bytes* answer, int32_t code) {
  const uint64_t size = 0;
  agent_bytes_clear(answer);
  agent_put(answer, &size, sizeof(size));
  agent_put_int32(answer, code);
}

void agent_answer_finish(agent_bytes* answer) {
  const uint64_t size = answer->size - 8;
  if (!answer->is_lost) memcpy(answer->data, &size, sizeof(size));
}

void agent_put_none(agent_bytes* answer) { agent_put_int32(answer, AGENT_TYPE_NONE); }

void agent_put_number(agent_bytes* answer, int32_t type, int64_t value) {
  agent_put_int32(answer, type);
  agent_put(answer, &value, sizeof(value));
}

void agent_put_text(agent_bytes* answer, int32_t type, const void* text, size_t size) {
  const uint64_t wide = size;
  agent_put_int32(answer, type);
  agent_put(answer, &wide, sizeof(wide));
  agent_put(answer, text, size);
}

void agent_put_tensor(agent_bytes* answer, const agent_tensor* tensor) {
  agent_put_int32(answer, AGENT_TYPE_TENSOR_POINTER);
  agent_put(answer, &tensor->data, 8);
  agent_put(answer, &tensor->device, 8);
  agent_put(answer, &tensor->dimensions, 4);
  agent_put(answer, &tensor->dtype, 4);
  agent_put(answer, tensor->shape, 8 * (size_t)tensor->dimensions);
  agent_put(answer, &tensor->offset, 8);
}

/* A text that Python can read. */
static void put_readable(agent_bytes* answer, const char* text) {
  const uint64_t size = strlen(text);
  agent_put_int32(answer, AGENT_TYPE_RAW_TEXT);
  agent_put(answer, &size, sizeof(size));
  agent_bytes_add_text(answer, text);
}

void agent_answer_error(agent_bytes* answer, const char* text) {
  agent_answer_begin(answer, AGENT_CODE_EXCEPTION);
  agent_put_int32(answer, 1);
  put_readable(answer, text);
}

/* An answer of `count` values. */
static void begin_values(agent_bytes* answer, int32_t count) {
  agent_answer_begin(answer, AGENT_CODE_RETURN);
  agent_put_int32(answer, count);
}

void agent_answer_none(agent_bytes* answer) {
  begin_values(answer, 1);
  agent_put_none(answer);
}

void agent_answer_number(agent_bytes* answer, int32_t type, int64_t value) {
  begin_values(answer, 1);
  agent_put_number(answer, type, value);
}

void agent_answer_text(agent_bytes* answer, const char* text) {
  begin_values(answer, 1);
  put_readable(answer, text);
}

/* An answer of a call: the type of its value, and `count` values besides. */
static void begin_call(agent_bytes* answer, int32_t type, int32_t count) {
  begin_values(answer, 1 + count);
  agent_put_number(answer, AGENT_TYPE_INT, type);
}

void agent_call_none(agent_bytes* answer) {
  begin_call(answer, AGENT_TYPE_NONE, 1);
  agent_put_none(answer);
}

void agent_call_number(agent_bytes* answer, int64_t value) {
  begin_call(answer, AGENT_TYPE_INT, 1);
  agent_put_number(answer, AGENT_TYPE_INT, value);
}

void agent_call_text(agent_bytes* answer, const void* text, size_t size) {
  begin_call(answer, AGENT_TYPE_TEXT, 1);
  agent_put_text(answer, AGENT_TYPE_RAW_TEXT, text, size);
}

void agent_call_bytes(agent_bytes* answer, const void* bytes, size_t size) {
  begin_call(answer, AGENT_TYPE_BYTES, 1);
  agent_put_text(answer, AGENT_TYPE_BYTE_ARRAY, bytes, size);
}

void agent_call_object(agent_bytes* answer, int32_t type, uint64_t handle) {
  begin_call(answer, type, 1);
  agent_put_number(answer, AGENT_TYPE_POINTER, (int64_t)handle);
}

void agent_call_tensor(agent_bytes* answer, const agent_tensor* tensor, uint64_t handle) {
  begin_call(answer, AGENT_TYPE_TENSOR, 2);
  agent_put_tensor(answer, tensor);
  agent_put_number(answer, AGENT_TYPE_POINTER, (int64_t)handle);
}
