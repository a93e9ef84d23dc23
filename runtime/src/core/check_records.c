/* The parts of a package that no input size changes: strings, settings, kernels' texts and constants. */
#include "core/error.h"
#include "core/libc.h"
#include "core/package_checks.h"

enum { MOST_SETTINGS = 4096, MOST_ARGUMENTS = 256, MOST_IMAGE_SIDE = 65536 };

static int is_finite(double value) { return value - value == 0; }

/* Strings become parts of errors, which are one line. */
static fp_status check_strings(const fp_package* package, fp_error* error) {
  for (uint64_t i = 0; i < package->string_bytes; ++i) {
    const unsigned char letter = (unsigned char)package->strings[i];
    if ((letter < 0x20 && letter != 0) || letter == 0x7f) {
      return fp_fail(error, FP_BAD_PACKAGE, "the package's strings have a control character (%u) at byte %llu", letter,
                     (unsigned long long)i);
    }
  }
  return FP_OK;
}

static fp_status check_setting(const fp_package* package, uint32_t index, fp_error* error) {
  const fpk_setting* setting = &package->settings.items[index];
  if (setting->name == 0 || setting->name >= package->string_bytes) {
    return fp_fail(error, FP_BAD_PACKAGE, "setting %u has no name among the strings", index);
  }
  const char* name = fp_package_string(package, setting->name);
  if (setting->is_text > 1 || setting->reserved != 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "setting %.80s has a reserved field that is set", name);
  }
  if (setting->is_text && setting->text >= package->string_bytes) {
    return fp_fail(error, FP_BAD_PACKAGE, "setting %.80s has a text outside the strings", name);
  }
  if (!setting->is_text && !is_finite(setting->number)) {
    return fp_fail(error, FP_BAD_PACKAGE, "setting %.80s is not a finite number", name);
  }
  for (uint32_t other = 0; other < index; ++other) {
    if (strcmp(name, fp_package_string(package, package->settings.items[other].name)) == 0) {
      return fp_fail(error, FP_BAD_PACKAGE, "setting %.80s is there twice", name);
    }
  }
  return FP_OK;
}

static fp_status check_settings(const fp_package* package, fp_error* error) {
  if (package->settings.count > MOST_SETTINGS) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package has %u settings, more than %d", package->settings.count,
                   MOST_SETTINGS);
  }
  for (uint32_t i = 0; i < package->settings.count; ++i) {
    const fp_status status = check_setting(package, i, error);
    if (status != FP_OK) return status;
  }
  return FP_OK;
}

/* Whether a name could be that of a function in C. */
static int is_identifier(const char* name) {
  for (const char* letter = name; *letter != '\0'; ++letter) {
    const int is_word = (*letter >= 'a' && *letter <= 'z') || (*letter >= 'A' && *letter <= 'Z') || *letter == '_';
    if (!is_word && (letter == name || *letter < '0' || *letter > '9')) return 0;
  }
  return name[0] != '\0';
}

static fp_status check_kernel(const fp_package* package, uint32_t index, fp_error* error) {
  const fpk_kernel* kernel = &package->kernels[index];
  const char* name = fp_string_or_mark(package, kernel->name);
  if (!is_identifier(name)) {
    return fp_fail(error, FP_BAD_PACKAGE, "kernel %u has no name that a function can have", index);
  }
  if (!fp_is_within(kernel->preamble, kernel->preamble_bytes, package->source_bytes) ||
      !fp_is_within(kernel->body, kernel->body_bytes, package->source_bytes) || kernel->body_bytes == 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "kernel %.80s has no text within the package's sources", name);
  }
  if (kernel->arguments > MOST_ARGUMENTS) {
    return fp_fail(error, FP_BAD_PACKAGE, "kernel %.80s takes %u arguments, more than %d", name, kernel->arguments,
                   MOST_ARGUMENTS);
  }
  return FP_OK;
}

static fp_status check_constant(const fp_package* package, uint32_t index, fp_error* error) {
  const fpk_constant* constant = &package->constants[index];
  const char* name = fp_string_or_mark(package, constant->name);
  const uint32_t element = fp_dtype_bytes(constant->dtype);
  if (constant->name >= package->string_bytes || element == 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "constant %u (%.80s) has no name or no dtype that there is", index, name);
  }
  if (constant->offset % FPK_ALIGNMENT != 0 || constant->bytes == 0 || constant->bytes % element != 0 ||
      !fp_is_within(constant->offset, constant->bytes, package->weight_bytes)) {
    return fp_fail(error, FP_BAD_PACKAGE, "constant %u (%.80s) does not lie, whole and aligned, in the weights", index,
                   name);
  }
  const uint32_t width = constant->image_width, height = constant->image_height;
  if (width == 0 && height == 0) return FP_OK;
  if (width > MOST_IMAGE_SIDE || height > MOST_IMAGE_SIDE ||
      constant->bytes != (uint64_t)width * height * 4 * element) {
    return fp_fail(error, FP_BAD_PACKAGE, "constant %u (%.80s) is no image of %u x %u texels: it has %llu bytes", index,
                   name, width, height, (unsigned long long)constant->bytes);
  }
  return FP_OK;
}

fp_status fp_check_records(const fp_package* package, fp_error* error) {
  fp_status status = check_strings(package, error);
  if (status == FP_OK) status = check_settings(package, error);
  if (status != FP_OK) return status;
  if (package->source_bytes > 0 && memchr(package->sources, '\0', package->source_bytes) != NULL) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package's sources have a zero byte");
  }
  for (uint32_t i = 0; i < package->kernel_count; ++i) {
    status = check_kernel(package, i, error);
    if (status != FP_OK) return status;
  }
  for (uint32_t i = 0; i < package->constant_count; ++i) {
    status = check_constant(package, i, error);
    if (status != FP_OK) return status;
  }
  return FP_OK;
}
