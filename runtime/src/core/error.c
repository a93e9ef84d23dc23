#include "core/error.h"

#include "core/libc.h"

fp_status fp_fail(fp_error* error, fp_status status, const char* format, ...) {
  if (error == NULL) return status;
  error->status = status;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text, sizeof(error->text), format, arguments);
  va_end(arguments);
  for (char* letter = error->text; *letter != '\0'; ++letter) {
    if ((unsigned char)*letter < 0x20 || *letter == 0x7f) *letter = ' ';
  }
  return status;
}

fp_status fp_succeed(fp_error* error) {
  if (error != NULL) {
    error->status = FP_OK;
    error->text[0] = '\0';
  }
  return FP_OK;
}
