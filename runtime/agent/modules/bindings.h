/* What a machine runs: entries of a package with an input of their own, and the memory of their outputs. */
#ifndef FLEETPOSE_AGENT_MODULES_BINDINGS_H
#define FLEETPOSE_AGENT_MODULES_BINDINGS_H

#include "agent/modules/package_module.h"

enum { AGENT_NAME_BYTES = 128 };

/* An input that was set, or saved under a name of its own, and the memory of the outputs. */
typedef struct agent_binding {
  char name[AGENT_NAME_BYTES]; /* "" for what set_input has set */
  uint32_t entry;
  agent_memory** memory; /* of the input, then of each output; NULL where there is none yet */
  int has_run;
  struct agent_binding* next;
} agent_binding;

typedef struct agent_machine {
  agent_module module;
  agent_package* package;
  agent_code* codes; /* of each entry: a machine has memory and kernels of its own */
  uint32_t code_count;
  agent_binding* bindings;
} agent_machine;

static inline const fpk_entry* agent_binding_entry(const agent_machine* of, const agent_binding* bound) {
  return &of->package->package.entries[bound->entry];
}

/* The binding of that name; NULL where there is none. Of the name "" each entry has one of its own. */
agent_binding* agent_binding_find(const agent_machine* of, const char* name, uint32_t entry);
agent_binding* agent_binding_make(agent_machine* of, const char* name, uint32_t entry);
/* Copies an input into memory of the binding's own. */
fp_status agent_binding_set(const agent_machine* of, agent_binding* bound, agent_memory* given, fp_error* error);
/* Enqueues the entry's launches. */
fp_status agent_binding_run(const agent_machine* of, agent_binding* bound, fp_error* error);
void agent_bindings_free(agent_machine* of);

#endif
