/* The parts of a package that belong to an input size or a function: everything that a launch refers to is there. */
#include "core/error.h"
#include "core/libc.h"
#include "core/package_checks.h"

/* Where the walk is, for errors, and how many records it has visited: records that two owners share would be visited
 * twice, so that the work stays linear in the file's size. */
typedef struct walk {
  const fp_package* package;
  const fpk_entry* entry;
  uint32_t entry_index;
  uint64_t buffers, outputs, steps, launches, checks;
} walk;

static const fpk_buffer* buffer_of(const walk* at, uint32_t index) {
  return index < at->entry->buffer_count ? &at->package->buffers[at->entry->first_buffer + index] : NULL;
}

static fp_status check_buffers(walk* at, fp_error* error) {
  for (uint32_t i = 0; i < at->entry->buffer_count; ++i) {
    const fpk_buffer* buffer = buffer_of(at, i);
    if (buffer->bytes == 0 || buffer->offset % FPK_BUFFER_ALIGNMENT != 0 ||
        !fp_is_within(buffer->offset, buffer->bytes, at->entry->arena_bytes)) {
      return fp_fail(error, FP_BAD_PACKAGE, "buffer %u of entry %u does not lie, aligned, in its arena of %llu bytes",
                     i, at->entry_index, (unsigned long long)at->entry->arena_bytes);
    }
  }
  return FP_OK;
}

static fp_status check_input(walk* at, fp_error* error) {
  const fpk_entry* entry = at->entry;
  const fpk_buffer* input = buffer_of(at, entry->input);
  const uint64_t bytes = fp_tensor_bytes(entry->channels, entry->height, entry->width, 4);
  if (bytes == 0 || input == NULL || input->bytes < bytes) {
    return fp_fail(error, FP_BAD_PACKAGE, "entry %u has no buffer for an input of %u x %u x %u float32",
                   at->entry_index, entry->channels, entry->height, entry->width);
  }
  if (entry->channels != at->package->entries[0].channels) {
    return fp_fail(error, FP_BAD_PACKAGE, "entry %u takes %u channels, the first takes %u", at->entry_index,
                   entry->channels, at->package->entries[0].channels);
  }
  return FP_OK;
}

static fp_status check_outputs(walk* at, fp_error* error) {
  const fp_package* package = at->package;
  const fpk_entry* first = &package->entries[0];
  if (at->entry->output_count != first->output_count) {
    return fp_fail(error, FP_BAD_PACKAGE, "entry %u has %u outputs, the first has %u", at->entry_index,
                   at->entry->output_count, first->output_count);
  }
  for (uint32_t i = 0; i < at->entry->output_count; ++i) {
    const fpk_output* output = &package->outputs[at->entry->first_output + i];
    const fpk_buffer* buffer = buffer_of(at, output->buffer);
    const uint64_t bytes = fp_tensor_bytes(output->channels, output->height, output->width, 4);
    if (output->name >= package->string_bytes || output->reserved != 0) {
      return fp_fail(error, FP_BAD_PACKAGE, "output %u of entry %u has no name among the strings", i, at->entry_index);
    }
    if (bytes == 0 || buffer == NULL || buffer->bytes < bytes) {
      return fp_fail(error, FP_BAD_PACKAGE, "output %u of entry %u has no buffer for %u x %u x %u float32", i,
                     at->entry_index, output->channels, output->height, output->width);
    }
    const fpk_output* same = &package->outputs[first->first_output + i];
    if (strcmp(fp_string_or_mark(package, output->name), fp_string_or_mark(package, same->name)) != 0) {
      return fp_fail(error, FP_BAD_PACKAGE, "output %u has another name in entry %u than in the first", i,
                     at->entry_index);
    }
  }
  return FP_OK;
}

static fp_status check_arguments(const walk* at, const fpk_launch* launch, const char* layer, fp_error* error) {
  const fp_package* package = at->package;
  const uint32_t count = package->kernels[launch->kernel].arguments;
  if (!fp_is_within(launch->first_argument, count, package->argument_count)) {
    return fp_fail(error, FP_BAD_PACKAGE, "a launch of layer %.80s has no %u arguments", layer, count);
  }
  for (uint32_t i = 0; i < count; ++i) {
    const fpk_argument* argument = &package->arguments[launch->first_argument + i];
    const uint32_t all = argument->kind == FPK_ARGUMENT_BUFFER     ? at->entry->buffer_count
                         : argument->kind == FPK_ARGUMENT_CONSTANT ? package->constant_count
                                                                   : 0;
    if (argument->index >= all) {
      return fp_fail(error, FP_BAD_PACKAGE, "argument %u of a launch of layer %.80s is no buffer and no constant", i,
                     layer);
    }
  }
  return FP_OK;
}

static fp_status check_launch(const walk* at, const fpk_launch* launch, const char* layer, fp_error* error) {
  if (launch->kernel >= at->package->kernel_count) {
    return fp_fail(error, FP_BAD_PACKAGE, "a launch of layer %.80s has no kernel", layer);
  }
  if (launch->dimensions < 1 || launch->dimensions > 3 || launch->reserved != 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "a launch of layer %.80s has %u dimensions", layer, launch->dimensions);
  }
  for (uint32_t axis = 0; axis < 3; ++axis) {
    const uint32_t global = launch->global[axis], local = launch->local[axis];
    if (global == 0 || local == 0 || global % local != 0 || (axis >= launch->dimensions && global != 1)) {
      return fp_fail(error, FP_BAD_PACKAGE, "a launch of layer %.80s has %u work-items in groups of %u along axis %u",
                     layer, global, local, axis);
    }
  }
  return check_arguments(at, launch, layer, error);
}

static fp_status check_launches(walk* at, uint32_t first, uint32_t count, const char* layer, fp_error* error) {
  at->launches += count;
  if (!fp_is_within(first, count, at->package->launch_count) || at->launches > at->package->launch_count) {
    return fp_fail(error, FP_BAD_PACKAGE, "the launches of layer %.80s are not there, or another's", layer);
  }
  for (uint32_t i = 0; i < count; ++i) {
    const fp_status status = check_launch(at, &at->package->launches[first + i], layer, error);
    if (status != FP_OK) return status;
  }
  return FP_OK;
}

static int is_finite_float(float value) { return value - value == 0; }

static fp_status check_checks(walk* at, const fpk_step* step, const char* layer, fp_error* error) {
  at->checks += step->check_count;
  if (!fp_is_within(step->first_check, step->check_count, at->package->check_count) ||
      at->checks > at->package->check_count) {
    return fp_fail(error, FP_BAD_PACKAGE, "the checks of layer %.80s are not there, or another's", layer);
  }
  for (uint32_t i = 0; i < step->check_count; ++i) {
    const fpk_check* check = &at->package->checks[step->first_check + i];
    const fpk_buffer* buffer = buffer_of(at, check->buffer);
    const uint32_t element = check->dtype <= FPK_FLOAT16 ? fp_dtype_bytes(check->dtype) : 0;
    if (buffer == NULL || element == 0 || check->element >= buffer->bytes / element) {
      return fp_fail(error, FP_BAD_PACKAGE, "check %u of layer %.80s is of no element of a buffer of floats", i, layer);
    }
    if (!is_finite_float(check->value) || !is_finite_float(check->tolerance) || check->tolerance < 0) {
      return fp_fail(error, FP_BAD_PACKAGE, "check %u of layer %.80s has a value that is not finite", i, layer);
    }
  }
  return FP_OK;
}

static fp_status check_step(walk* at, const fpk_step* step, uint32_t index, fp_error* error) {
  if (step->name >= at->package->string_bytes || step->kind >= at->package->string_bytes) {
    return fp_fail(error, FP_BAD_PACKAGE, "step %u of entry %u has no name among the strings", index, at->entry_index);
  }
  const char* layer = fp_package_string(at->package, step->name);
  if (step->launch_count == 0) return fp_fail(error, FP_BAD_PACKAGE, "layer %.80s has no launches", layer);
  fp_status status = check_launches(at, step->first_launch, step->launch_count, layer, error);
  if (status == FP_OK) status = check_launches(at, step->first_spare, step->spare_count, layer, error);
  if (status == FP_OK) status = check_checks(at, step, layer, error);
  return status;
}

static fp_status check_entry(walk* at, fp_error* error) {
  const fpk_entry* entry = at->entry;
  const fp_package* package = at->package;
  at->buffers += entry->buffer_count;
  at->outputs += entry->output_count;
  at->steps += entry->step_count;
  if (!fp_is_within(entry->first_buffer, entry->buffer_count, package->buffer_count) ||
      !fp_is_within(entry->first_output, entry->output_count, package->output_count) ||
      !fp_is_within(entry->first_step, entry->step_count, package->step_count) || at->buffers > package->buffer_count ||
      at->outputs > package->output_count || at->steps > package->step_count) {
    return fp_fail(error, FP_BAD_PACKAGE, "buffers, outputs or steps of entry %u are not there, or another's",
                   at->entry_index);
  }
  if (entry->step_count == 0 || entry->output_count == 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "entry %u has no steps or no outputs", at->entry_index);
  }
  fp_status status = check_buffers(at, error);
  if (status == FP_OK) status = check_input(at, error);
  if (status == FP_OK) status = check_outputs(at, error);
  for (uint32_t i = 0; status == FP_OK && i < entry->step_count; ++i) {
    status = check_step(at, &package->steps[entry->first_step + i], i, error);
  }
  return status;
}

/* A function's parameters are buffers without a place; its other buffers lie in its arena. */
static fp_status check_parameters(walk* at, const fpk_function* function, const char* name, fp_error* error) {
  for (uint32_t i = 0; i < function->buffer_count; ++i) {
    const fpk_buffer* buffer = buffer_of(at, i);
    const int is_parameter = i < function->parameter_count;
    const int is_good = is_parameter ? buffer->offset == 0
                                     : buffer->offset % FPK_BUFFER_ALIGNMENT == 0 &&
                                           fp_is_within(buffer->offset, buffer->bytes, function->arena_bytes);
    if (!is_good || buffer->bytes == 0) {
      return fp_fail(error, FP_BAD_PACKAGE,
                     "buffer %u of function %.80s is no parameter, and not, aligned, in its arena", i, name);
    }
  }
  return FP_OK;
}

static fp_status check_function(walk* at, const fpk_function* function, uint32_t index, fp_error* error) {
  const fp_package* package = at->package;
  const char* name = fp_string_or_mark(package, function->name);
  if (function->name == 0 || function->name >= package->string_bytes) {
    return fp_fail(error, FP_BAD_PACKAGE, "function %u has no name among the strings", index);
  }
  at->buffers += function->buffer_count;
  if (!fp_is_within(function->first_buffer, function->buffer_count, package->buffer_count) ||
      at->buffers > package->buffer_count || function->parameter_count > function->buffer_count ||
      function->launch_count == 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "buffers or launches of function %.80s are not there, or another's", name);
  }
  const fpk_entry buffers = {.first_buffer = function->first_buffer, .buffer_count = function->buffer_count};
  at->entry = &buffers;
  fp_status status = check_parameters(at, function, name, error);
  if (status == FP_OK) status = check_launches(at, function->first_launch, function->launch_count, name, error);
  at->entry = NULL;
  return status;
}

fp_status fp_check_entries(const fp_package* package, fp_error* error) {
  if (package->entry_count == 0 && package->function_count == 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package has no entry: no input size");
  }
  walk at = {.package = package};
  for (uint32_t i = 0; i < package->entry_count; ++i) {
    at.entry = &package->entries[i];
    at.entry_index = i;
    const fp_status status = check_entry(&at, error);
    if (status != FP_OK) return status;
  }
  for (uint32_t i = 0; i < package->function_count; ++i) {
    const fp_status status = check_function(&at, &package->functions[i], i, error);
    if (status != FP_OK) return status;
  }
  return FP_OK;
}
