/* Bytes that grow: answers, and JSON. Where memory runs out nothing more is added, and `is_lost` says so. */
#ifndef FLEETPOSE_AGENT_CORE_BYTES_H
#define FLEETPOSE_AGENT_CORE_BYTES_H

#include "agent/core/libc.h"

typedef struct agent_bytes {
  uint8_t* data;
  size_t size, room;
  int is_lost;
} agent_bytes;

void agent_bytes_add(agent_bytes* bytes, const void* data, size_t size);
/* Room for `size` more bytes, whose place is answered; NULL where memory runs out. */
uint8_t* agent_bytes_extend(agent_bytes* bytes, size_t size);
/* Text as printf makes it, of 4000 letters at most. */
__attribute__((format(printf, 2, 3))) void agent_bytes_format(agent_bytes* bytes, const char* format, ...);
/* Text of as many bytes; each that is no UTF-8, as where text was cut off, becomes "?". */
void agent_bytes_add_text(agent_bytes* bytes, const char* text);
void agent_bytes_clear(agent_bytes* bytes);
void agent_bytes_free(agent_bytes* bytes);

/* "name": with a comma before it unless it is the first of its object. */
void agent_json_name(agent_bytes* bytes, const char* name);
/* Text as a JSON string; what is no UTF-8 becomes "?". */
void agent_json_text(agent_bytes* bytes, const char* text);
/* A member of an object: its name and a text, a whole number, or a number with 17 digits. */
void agent_json_text_of(agent_bytes* bytes, const char* name, const char* text);
void agent_json_whole_of(agent_bytes* bytes, const char* name, long long value);
void agent_json_number_of(agent_bytes* bytes, const char* name, double value);

#endif
