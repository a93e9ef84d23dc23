#include "agent/core/folder.h"

enum { MOST_DEPTH = 8, PATH_BYTES = 1024, KIND_FOLDER = 4 };

/* An entry as the kernel writes it: number, place and size of the entry, kind, name. */
typedef struct entry {
  uint64_t number, place;
  uint16_t size;
  uint8_t kind;
  char name[];
} entry;

static int list(const char* path, int flags, agent_on_name call, void* context) {
  _Alignas(entry) char bytes[4096];
  const int folder = open(path, FP_O_RDONLY | FP_O_NONBLOCK | FP_O_CLOEXEC | AGENT_O_DIRECTORY | flags);
  if (folder < 0) return 0;
  long size = 0;
  int goes_on = 1;
  while (goes_on && (size = syscall(AGENT_SYS_LIST_FOLDER, (long)folder, bytes, (long)sizeof(bytes))) > 0) {
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

int agent_folder_list(const char* path, agent_on_name call, void* context) { return list(path, 0, call, context); }

int agent_folder_is_own(const char* path) {
  _Alignas(uint64_t) uint8_t facts[256]; /* the kernel's struct stat */
  uint32_t owner = 0;
  const int folder = open(path, FP_O_RDONLY | FP_O_NONBLOCK | FP_O_CLOEXEC | AGENT_O_DIRECTORY | AGENT_O_NO_FOLLOW);
  if (folder < 0) return 0;
  const int is_told = syscall(AGENT_SYS_FILE_FACTS, (long)folder, facts) == 0;
  close(folder);
  if (is_told) memcpy(&owner, facts + AGENT_OWNER_AT, sizeof(owner));
  return is_told && (long)owner == syscall(AGENT_SYS_USER);
}

typedef struct removal {
  const char* path;
  int depth;
} removal;

static void remove_all(const char* path, int depth);

static int remove_one(void* context, const char* name, int is_folder) {
  const removal* of = context;
  char path[PATH_BYTES];
  const int length = snprintf(path, sizeof(path), "%s/%s", of->path, name);
  if (length < 0 || (size_t)length >= sizeof(path)) return 1;
  if (is_folder) {
    remove_all(path, of->depth + 1);
  } else {
    unlink(path);
  }
  return 1;
}

static void remove_all(const char* path, int depth) {
  removal of = {path, depth};
  if (depth < MOST_DEPTH) list(path, AGENT_O_NO_FOLLOW, remove_one, &of);
  if (rmdir(path) != 0) unlink(path); /* a link, not where it leads */
}

void agent_folder_remove(const char* path) { remove_all(path, 0); }
