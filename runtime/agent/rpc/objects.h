/* What a client holds by handles: numbers that mean nothing but in this table, so that a false one does no harm. */
#ifndef FLEETPOSE_AGENT_RPC_OBJECTS_H
#define FLEETPOSE_AGENT_RPC_OBJECTS_H

#include "agent/core/libc.h"

typedef enum agent_kind { AGENT_MEMORY = 1, AGENT_MODULE, AGENT_FUNCTION } agent_kind;

/* The first member of everything that has handles. It lives as long as somebody holds it. */
typedef struct agent_object {
  agent_kind kind;
  uint32_t holders;
  void (*destroy)(struct agent_object* object);
} agent_object;

typedef struct agent_objects {
  struct {
    agent_object* object;
    uint32_t generation; /* of the place: handles of an object that was there before are void */
  }* places;
  size_t count, room, first_free;
} agent_objects;

static inline void agent_hold(agent_object* object) { ++object->holders; }
void agent_let_go(agent_object* object); /* which may be NULL */

/* A handle that holds the object besides its other holders; 0 where memory runs out. */
uint64_t agent_objects_add(agent_objects* objects, agent_object* object);
/* The object of a handle; NULL where it is none of that kind. */
agent_object* agent_objects_get(const agent_objects* objects, uint64_t handle, agent_kind kind);
/* Gives a handle back, whatever it is of; 0 where it is none. */
int agent_objects_remove(agent_objects* objects, uint64_t handle);

#endif
