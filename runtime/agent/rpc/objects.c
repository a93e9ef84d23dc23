#include "agent/rpc/objects.h"

enum { MOST_OBJECTS = 1 << 24 };

void agent_let_go(agent_object* object) {
  if (object != NULL && --object->holders == 0) object->destroy(object);
}

static int grow(agent_objects* objects) {
  const size_t room = objects->room == 0 ? 64 : 2 * objects->room;
  void* places = room <= MOST_OBJECTS ? realloc(objects->places, room * sizeof(*objects->places)) : NULL;
  if (places == NULL) return 0;
  objects->places = places;
  memset(objects->places + objects->room, 0, (room - objects->room) * sizeof(*objects->places));
  objects->room = room;
  return 1;
}

uint64_t agent_objects_add(agent_objects* objects, agent_object* object) {
  size_t at = objects->first_free;
  while (at < objects->room && objects->places[at].object != NULL) ++at;
  if (at == objects->room && !grow(objects)) return 0;
  agent_hold(object);
  objects->places[at].object = object;
  objects->first_free = at + 1;
  /* Handles look like addresses to TVM, which takes 0 for none. */
  return (uint64_t)(objects->places[at].generation & 0xffff) << 32 | (uint64_t)(at + 1) << 4;
}

/* The place of a handle, or the room where there is none. */
static size_t place_of(const agent_objects* objects, uint64_t handle) {
  const size_t at = (size_t)((handle & 0xffffffffu) >> 4) - 1;
  if ((handle & 15) != 0 || at >= objects->room || objects->places[at].object == NULL) return objects->room;
  return (objects->places[at].generation & 0xffff) == handle >> 32 ? at : objects->room;
}

agent_object* agent_objects_get(const agent_objects* objects, uint64_t handle, agent_kind kind) {
  const size_t at = place_of(objects, handle);
  return at < objects->room && objects->places[at].object->kind == kind ? objects->places[at].object : NULL;
}

int agent_objects_remove(agent_objects* objects, uint64_t handle) {
  const size_t at = place_of(objects, handle);
  if (at == objects->room) return 0;
  agent_object* object = objects->places[at].object;
  objects->places[at].object = NULL;
  ++objects->places[at].generation;
  if (at < objects->first_free) objects->first_free = at;
  agent_let_go(object);
  return 1;
}
