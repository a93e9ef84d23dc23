#include "agent/core/bytes.h"

enum { LEAST_ROOM = 256, MOST_FORMATTED = 4001 };

uint8_t* agent_bytes_extend(agent_bytes* bytes, size_t size) {
  if (bytes->is_lost) return NULL;
  if (size > bytes->room - bytes->size) {
    const size_t most = SIZE_MAX / 4;
    size_t room = bytes->room < LEAST_ROOM ? LEAST_ROOM : 2 * bytes->room;
    if (size > most - bytes->size) room = 0;
    if (room != 0 && room < bytes->size + size) room = bytes->size + size;
    uint8_t* data = room != 0 ? realloc(bytes->data, room) : NULL;
    if (data == NULL) {
      bytes->is_lost = 1;
      return NULL;
    }
    bytes->data = data;
    bytes->room = room;
  }
  uint8_t* place = bytes->data + bytes->size;
  bytes->size += size;
  return place;
}

void agent_bytes_add(agent_bytes* bytes, const void* data, size_t size) {
  if (size == 0) return;
  uint8_t* place = agent_bytes_extend(bytes, size);
  if (place != NULL) memcpy(place, data, size);
}

void agent_bytes_format(agent_bytes* bytes, const char* format, ...) {
  char text[MOST_FORMATTED];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  if (length > 0) agent_bytes_add(bytes, text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

void agent_bytes_clear(agent_bytes* bytes) {
  bytes->size = 0;
  bytes->is_lost = 0;
}

void agent_bytes_free(agent_bytes* bytes) {
  free(bytes->data);
  memset(bytes, 0, sizeof(*bytes));
}

void agent_json_name(agent_bytes* bytes, const char* name) {
  const char last = bytes->size > 0 ? (char)bytes->data[bytes->size - 1] : '{';
  agent_bytes_format(bytes, "%s\"%s\": ", last == '{' || last == ' ' ? "" : ", ", name);
}

/* How many bytes the letter at `text` has in UTF-8; 0 where it is none. Surrogates and overlong forms are none. */
static size_t letter_bytes(const unsigned char* text) {
  const unsigned first = text[0];
  if (first < 0x80) return 1;
  const size_t count = first >= 0xf0 && first < 0xf5   ? 4
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xc2 && first < 0xe0 ? 2
                                                       : 0;
  for (size_t i = 1; i < count; ++i) {
    if ((text[i] & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f)) return 0;
  if ((first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f)) return 0;
  return count;
}

void agent_bytes_add_text(agent_bytes* bytes, const char* text) {
  for (const unsigned char* at = (const unsigned char*)text; *at != '\0';) {
    const size_t count = letter_bytes(at);
    agent_bytes_add(bytes, count > 0 ? (const void*)at : "?", count > 0 ? count : 1);
    at += count > 0 ? count : 1;
  }
}

void agent_json_text(agent_bytes* bytes, const char* text) {
  agent_bytes_add(bytes, "\"", 1);
  for (const unsigned char* at = (const unsigned char*)text; *at != '\0';) {
    const size_t count = letter_bytes(at);
    if (count == 0) {
      agent_bytes_add(bytes, "?", 1);
      ++at;
      continue;
    }
    if (*at == '"' || *at == '\\') agent_bytes_add(bytes, "\\", 1);
    if (*at < 0x20) {
      agent_bytes_format(bytes, "\\u%04x", *at);
    } else {
      agent_bytes_add(bytes, at, count);
    }
    at += count;
  }
  agent_bytes_add(bytes, "\"", 1);
}

void agent_json_text_of(agent_bytes* bytes, const char* name, const char* text) {
  agent_json_name(bytes, name);
  agent_json_text(bytes, text);
}

void agent_json_whole_of(agent_bytes* bytes, const char* name, long long value) {
  agent_json_name(bytes, name);
  agent_bytes_format(bytes, "%lld", value);
}

void agent_json_number_of(agent_bytes* bytes, const char* name, double value) {
  agent_json_name(bytes, name);
  agent_bytes_format(bytes, "%.17g", value);
}
