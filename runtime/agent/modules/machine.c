#include "agent/modules/machine.h"

#include "agent/modules/bindings.h"
#include "core/error.h"

static void destroy(agent_object* object) {
  agent_machine* of = (agent_machine*)object;
  agent_bindings_free(of);
  if (of->package->gpu->event_count > 0) agent_gpu_take_times(of->package->gpu, NULL);
  for (uint32_t i = 0; i < of->code_count; ++i) agent_code_close(&of->codes[i]);
  free(of->codes);
  agent_let_go(&of->package->module.object);
  free(of);
}

/* The first value, which names an entry. */
static fp_status read_entry(const agent_machine* of, const agent_value* values, int count, uint32_t* entry,
                            fp_error* error) {
  char name[AGENT_NAME_BYTES] = "?";
  if (count > 0 && agent_value_text(&values[0], name, sizeof(name))) {
    for (*entry = 0; *entry < of->code_count; ++*entry) {
      if (strcmp(of->codes[*entry].name, name) == 0) return FP_OK;
    }
  }
  return fp_fail(error, FP_BAD_ARGUMENT, "the package has no entry %.80s", name);
}

static fp_status set_input(agent_session* session, agent_function* function, const agent_value* values, int count,
                           fp_error* error) {
  agent_machine* of = (agent_machine*)function->owner;
  uint32_t entry = 0;
  fp_status status = read_entry(of, values, count, &entry, error);
  if (status != FP_OK) return status;
  if (count != 2) return fp_fail(error, FP_BAD_ARGUMENT, "an entry takes 1 input, not %d", count - 1);
  agent_memory* given = agent_memory_of(session, &values[1], error);
  if (given == NULL) return FP_BAD_ARGUMENT;
  agent_binding* bound = agent_binding_find(of, "", entry);
  if (bound == NULL) bound = agent_binding_make(of, "", entry);
  if (bound == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory for an input");
  status = agent_binding_set(of, bound, given, error);
  if (status == FP_OK) agent_call_none(&session->answer);
  return status;
}

/* The binding that set_input made for the entry that the first value names. */
static fp_status read_bound(const agent_machine* of, const agent_value* values, int count, agent_binding** bound,
                            fp_error* error) {
  uint32_t entry = 0;
  const fp_status status = read_entry(of, values, count, &entry, error);
  if (status != FP_OK) return status;
  *bound = agent_binding_find(of, "", entry);
  if (*bound != NULL) return FP_OK;
  return fp_fail(error, FP_BAD_ARGUMENT, "no input was set for %.40s", of->codes[entry].name);
}

static fp_status invoke(agent_session* session, agent_function* function, const agent_value* values, int count,
                        fp_error* error) {
  agent_machine* of = (agent_machine*)function->owner;
  agent_binding* bound = NULL;
  fp_status status = read_bound(of, values, count, &bound, error);
  if (status == FP_OK) status = agent_binding_run(of, bound, error);
  if (status == FP_OK) agent_call_none(&session->answer);
  return status;
}

/* One output is a tensor, several are a tuple of tensors; -1 stands for a tensor. */
static fp_status get_output_arity(agent_session* session, agent_function* function, const agent_value* values,
                                  int count, fp_error* error) {
  agent_machine* of = (agent_machine*)function->owner;
  agent_binding* bound = NULL;
  const fp_status status = read_bound(of, values, count, &bound, error);
  if (status != FP_OK) return status;
  const int outputs = (int)agent_binding_entry(of, bound)->output_count;
  agent_call_number(&session->answer, count > 1 || outputs == 1 ? -1 : outputs);
  return FP_OK;
}

static fp_status get_output(agent_session* session, agent_function* function, const agent_value* values, int count,
                            fp_error* error) {
  agent_machine* of = (agent_machine*)function->owner;
  agent_binding* bound = NULL;
  const fp_status status = read_bound(of, values, count, &bound, error);
  if (status != FP_OK) return status;
  const fpk_entry* entry = agent_binding_entry(of, bound);
  const int64_t number = count > 1 && values[1].type == AGENT_TYPE_INT ? values[1].number : 0;
  if (!bound->has_run || number < 0 || number >= entry->output_count) {
    return fp_fail(error, FP_BAD_ARGUMENT, "there is no output %lld%s", (long long)number,
                   bound->has_run ? "" : ": nothing was run");
  }
  const fpk_output* output = &of->package->package.outputs[entry->first_output + (uint32_t)number];
  agent_memory* memory = bound->memory[1 + number];
  const uint64_t data = agent_objects_add(&session->objects, &memory->object);
  if (data == 0) return fp_fail(error, FP_NO_MEMORY, "no memory for another object");
  const agent_tensor tensor = {.data = data,
                               .device = {AGENT_DEVICE_OPENCL, 0},
                               .dimensions = 4,
                               .dtype = {2, 32, 1},
                               .shape = {1, output->channels, output->height, output->width}};
  agent_call_tensor(&session->answer, &tensor, data); /* which the client gives back as one */
  return FP_OK;
}

static fp_status run_saved(agent_session* session, agent_function* function, const agent_value* values, int count,
                           fp_error* error) {
  agent_machine* of = (agent_machine*)function->owner;
  (void)values, (void)count;
  agent_binding* bound = agent_binding_find(of, function->own, 0);
  if (bound == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "there is no saved function %.80s", (char*)function->own);
  const fp_status status = agent_binding_run(of, bound, error);
  if (status == FP_OK) agent_call_none(&session->answer);
  return status;
}

/* (entry, name, whether it answers what it computes, input): saved functions answer nothing. */
static fp_status save_function(agent_session* session, agent_function* function, const agent_value* values, int count,
                               fp_error* error) {
  agent_machine* of = (agent_machine*)function->owner;
  char name[AGENT_NAME_BYTES];
  uint32_t entry = 0;
  fp_status status = read_entry(of, values, count, &entry, error);
  if (status != FP_OK) return status;
  if (count != 4 || !agent_value_text(&values[1], name, sizeof(name)) || *name == '\0' || values[2].number != 0) {
    return fp_fail(error, FP_BAD_ARGUMENT,
                   "save_function takes an entry, a name, include_return=False, and 1 input: %d values", count);
  }
  agent_memory* given = agent_memory_of(session, &values[3], error);
  if (given == NULL) return FP_BAD_ARGUMENT;
  agent_binding* bound = agent_binding_find(of, name, entry);
  if (bound != NULL && bound->entry != entry) bound->name[0] = '\1'; /* the name is another entry's from now on */
  if (bound == NULL || bound->entry != entry) bound = agent_binding_make(of, name, entry);
  if (bound == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory for a saved function");
  status = agent_binding_set(of, bound, given, error);
  if (status == FP_OK) agent_call_none(&session->answer);
  return status;
}

static fp_status get_arity(agent_session* session, agent_function* function, const agent_value* values, int count,
                           fp_error* error) {
  uint32_t entry = 0;
  const fp_status status = read_entry((agent_machine*)function->owner, values, count, &entry, error);
  if (status == FP_OK) agent_call_number(&session->answer, 1);
  return status;
}

static fp_status get_parameter_name(agent_session* session, agent_function* function, const agent_value* values,
                                    int count, fp_error* error) {
  uint32_t entry = 0;
  const fp_status status = read_entry((agent_machine*)function->owner, values, count, &entry, error);
  if (status == FP_OK) agent_call_text(&session->answer, "input", 5);
  return status;
}

static fp_status do_nothing(agent_session* session, agent_function* function, const agent_value* values, int count,
                            fp_error* error) {
  (void)function, (void)values, (void)count, (void)error;
  agent_call_none(&session->answer);
  return FP_OK;
}

static fp_status refuse(agent_session* session, agent_function* function, const agent_value* values, int count,
                        fp_error* error) {
  (void)session, (void)function, (void)values, (void)count;
  return fp_fail(error, FP_BAD_ARGUMENT,
                 "packages have neither closures nor instruments; use set_input and invoke_stateful");
}

static agent_function* find(agent_module* module, const char* name) {
  static const struct {
    const char* name;
    agent_call call;
  } known[] = {{"vm_initialization", do_nothing},
               {"set_input", set_input},
               {"invoke_stateful", invoke},
               {"get_output", get_output},
               {"get_output_arity", get_output_arity},
               {"save_function", save_function},
               {"get_function_arity", get_arity},
               {"get_function_param_name", get_parameter_name},
               {"set_instrument", refuse},
               {"invoke_closure", refuse}};
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
    if (strcmp(name, known[i].name) == 0) return agent_function_make(known[i].call, &module->object, 0);
  }
  const agent_machine* of = (agent_machine*)module;
  if (*name == '\0' || agent_binding_find(of, name, 0) == NULL) return NULL;
  agent_function* saved = agent_function_make(run_saved, &module->object, 0);
  if (saved == NULL) return NULL;
  saved->own = malloc(strlen(name) + 1);
  if (saved->own == NULL) {
    agent_let_go(&saved->object);
    return NULL;
  }
  memcpy(saved->own, name, strlen(name) + 1);
  return saved;
}

agent_module* agent_machine_make(agent_package* package) {
  const uint32_t entries = package->package.entry_count;
  agent_machine* of = calloc(1, sizeof(agent_machine));
  if (of == NULL) return NULL;
  of->module = (agent_module){{AGENT_MODULE, 1, destroy}, find};
  of->package = package;
  agent_hold(&package->module.object);
  of->codes = calloc(entries, sizeof(agent_code));
  int good = of->codes != NULL;
  for (uint32_t i = 0; good && i < entries; ++i) {
    good = agent_code_open_entry(&of->codes[i], package->gpu, &package->session, i, NULL) == FP_OK;
    if (good) ++of->code_count;
  }
  if (good) return &of->module;
  destroy(&of->module.object);
  return NULL;
}
