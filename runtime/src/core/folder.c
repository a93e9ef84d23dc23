#include "core/folder.h"

#include "core/libc.h"

enum { KIND_FOLDER = 4 };

/* An entry as the kernel writes it: number, place and size of the entry, kind, name. */
typedef struct entry {
  uint64_t number, place;
  uint16_t size;
  uint8_t kind;
  char name[];
} entry;

int fp_folder_list(const char* path, int flags, fp_on_name call, void* context) {
  _Alignas(entry) char bytes[4096];
  const int folder = open(path, FP_O_RDONLY | FP_O_NONBLOCK | FP_O_CLOEXEC | FP_O_DIRECTORY | flags);
  if (folder < 0) return 0;
  long size = 0;
  int goes_on = 1;
  while (goes_on && (size = syscall(FP_SYS_LIST_FOLDER, (long)folder, bytes, (long)sizeof(bytes))) > 0) {
    for (long at = 0; goes_on && at < size;) {
      const entry* item = (const entry*)(bytes + at);
      if (strcmp(item->name, ".") != 0 && strcmp(item->name, "..") != 0) {
        goes_on = call(context, item->name, item->kind == KIND_FOLDER);
      }
      at += item->size;
    }
  }
  close(folder);
  return size >= 0;
}
