/* Stands in for realloc, by which all memory that grows is had, and counts. */
#undef realloc
#include <stdlib.h>

unsigned fp_realloc_calls;

void* fp_counted_realloc(void* memory, size_t bytes);

void* fp_counted_realloc(void* memory, size_t bytes) {
  ++fp_realloc_calls;
  return realloc(memory, bytes);
}
