#include "agent/modules/bindings.h"

#include "core/error.h"
#include "core/package_checks.h"

agent_binding* agent_binding_find(const agent_machine* of, const char* name, uint32_t entry) {
  for (agent_binding* bound = of->bindings; bound != NULL; bound = bound->next) {
    if (strcmp(bound->name, name) == 0 && (*name != '\0' || bound->entry == entry)) return bound;
  }
  return NULL;
}

agent_binding* agent_binding_make(agent_machine* of, const char* name, uint32_t entry) {
  agent_binding* bound = calloc(1, sizeof(agent_binding));
  if (bound == NULL) return NULL;
  snprintf(bound->name, sizeof(bound->name), "%s", name);
  bound->entry = entry;
  bound->memory = calloc(of->codes[entry].parameter_count, sizeof(agent_memory*));
  if (bound->memory == NULL) {
    free(bound);
    return NULL;
  }
  bound->next = of->bindings;
  of->bindings = bound;
  return bound;
}

/* Memory of an output, unless what there is belongs to nobody else: a client may still have the last one's. */
static fp_status make_output(const agent_machine* of, agent_binding* bound, uint32_t at, fp_error* error) {
  const fpk_entry* entry = agent_binding_entry(of, bound);
  const fpk_output* output = &of->package->package.outputs[entry->first_output + at - 1];
  const fpk_buffer* buffer = &of->package->package.buffers[entry->first_buffer + output->buffer];
  agent_memory* memory = bound->memory[at];
  if (memory != NULL && memory->object.holders == 1) return FP_OK;
  const fp_status status =
      agent_memory_make(of->package->gpu, AGENT_DEVICE_OPENCL, buffer->bytes, &bound->memory[at], error);
  if (status == FP_OK && memory != NULL) agent_let_go(&memory->object);
  return status;
}

fp_status agent_binding_set(const agent_machine* of, agent_binding* bound, agent_memory* given, fp_error* error) {
  const fpk_entry* entry = agent_binding_entry(of, bound);
  const uint64_t bytes = fp_tensor_bytes(entry->channels, entry->height, entry->width, sizeof(float));
  const uint64_t room = of->package->package.buffers[entry->first_buffer + entry->input].bytes;
  fp_status status = FP_OK;
  if (given->bytes != bytes || given->width > 0) {
    return fp_fail(error, FP_BAD_ARGUMENT, "%.40s takes %u x %u x %u float32, not %llu bytes",
                   of->codes[bound->entry].name, entry->channels, entry->height, entry->width,
                   (unsigned long long)given->bytes);
  }
  if (bound->memory[0] == NULL) {
    status = agent_memory_make(of->package->gpu, AGENT_DEVICE_OPENCL, room, &bound->memory[0], error);
  }
  return status == FP_OK ? agent_memory_copy(given, 0, bound->memory[0], 0, bytes, error) : status;
}

fp_status agent_binding_run(const agent_machine* of, agent_binding* bound, fp_error* error) {
  agent_code* code = &of->codes[bound->entry];
  fp_status status = FP_OK;
  if (bound->memory[0] == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "no input was set for %.40s", code->name);
  for (uint32_t i = 1; status == FP_OK && i < code->parameter_count; ++i) status = make_output(of, bound, i, error);
  if (status == FP_OK) status = agent_code_run(code, bound->memory, error);
  bound->has_run = status == FP_OK;
  return status;
}

static void free_binding(const agent_machine* of, agent_binding* bound) {
  for (uint32_t i = 0; bound->memory != NULL && i < of->codes[bound->entry].parameter_count; ++i) {
    if (bound->memory[i] != NULL) agent_let_go(&bound->memory[i]->object);
  }
  free(bound->memory);
  free(bound);
}

void agent_bindings_free(agent_machine* of) {
  while (of->bindings != NULL) {
    agent_binding* next = of->bindings->next;
    free_binding(of, of->bindings);
    of->bindings = next;
  }
}
