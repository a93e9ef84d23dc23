/* All that a session has: its client's handles, its device, its folder. */
#ifndef FLEETPOSE_AGENT_MODULES_SESSION_H
#define FLEETPOSE_AGENT_MODULES_SESSION_H

#include "agent/device/memory.h"
#include "agent/rpc/channel.h"

typedef struct agent_session {
  const char* folder;
  uint64_t uploaded_bytes;
  agent_objects objects;
  agent_gpu gpu;
  agent_channel channel;
  agent_bytes request, answer;
  agent_value values[AGENT_MOST_VALUES];
  agent_tensor tensors[AGENT_MOST_VALUES];
} agent_session;

typedef struct agent_function agent_function;

/* Runs a function and writes the whole answer; where it fails the error says why, and nothing of the answer counts. */
typedef fp_status (*agent_call)(agent_session* session, agent_function* function, const agent_value* values, int count,
                                fp_error* error);

/* A function that a client has a handle of. */
struct agent_function {
  agent_object object;
  agent_call call;
  void (*destroy)(agent_function* function); /* of its own things; NULL: none */
  agent_object* owner;                       /* a module or a function that it holds; NULL: none */
  uint32_t index;                            /* in its module */
  void* own;                                 /* what else its call wants, of malloc; NULL: nothing */
};

/* A function, held once by the caller; `owner` is held by it. NULL where memory runs out. */
agent_function* agent_function_make(agent_call call, agent_object* owner, uint32_t index);
/* Answers a call with an object, which the answer holds in the caller's place. */
fp_status agent_give(agent_session* session, int32_t type, agent_object* object, fp_error* error);

/* The memory of a tensor that is given to a call; NULL, and why, where it has none on the device. */
agent_memory* agent_memory_of(agent_session* session, const agent_value* value, fp_error* error);

#endif
