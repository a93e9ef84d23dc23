#include "agent/core/folder.h"

#include "agent/core/file_facts.h"
#include "core/folder.h"

enum { MOST_DEPTH = 8, PATH_BYTES = 1024 };

int agent_folder_is_own(const char* path) {
  agent_file_facts facts;
  return agent_file_facts_read(path, &facts) && facts.is_folder && (long)facts.owner == syscall(AGENT_SYS_USER);
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
  if (depth < MOST_DEPTH) fp_folder_list(path, FP_O_NO_FOLLOW, remove_one, &of);
  if (rmdir(path) != 0) unlink(path); /* a link, not where it leads */
}

void agent_folder_remove(const char* path) { remove_all(path, 0); }
