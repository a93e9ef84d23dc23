/* Opens each package that it is given from memory of exactly its size, and prints the status and the error's text. */
#include <stdio.h>
#include <stdlib.h>

#include "core/package.h"

static void* read_whole(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) exit(2);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  void* bytes = malloc(*size > 0 ? *size : 1);
  if (fread(bytes, 1, *size, file) != *size) exit(2);
  fclose(file);
  return bytes;
}

int main(int count, char** paths) {
  for (int i = 1; i < count; ++i) {
    size_t size = 0;
    void* bytes = read_whole(paths[i], &size);
    fp_package package;
    fp_error error = {FP_OK, ""};
    const fp_status status = fp_package_open_memory(&package, bytes, size, &error);
    printf("%d %s\n", status, error.text);
    if (status == FP_OK) fp_package_close(&package);
    free(bytes);
  }
  return 0;
}
