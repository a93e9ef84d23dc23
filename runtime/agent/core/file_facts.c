#include "agent/core/file_facts.h"

enum { FROM_HERE = -100, NO_FOLLOW = 0x100 }; /* AT_FDCWD and AT_SYMLINK_NOFOLLOW */
enum { KIND = 0170000, KIND_FOLDER = 0040000, KIND_FILE = 0100000 };

int agent_file_facts_read(const char* path, agent_file_facts* facts) {
  _Alignas(uint64_t) uint8_t said[256]; /* the kernel's struct stat */
  uint32_t mode = 0;
  int64_t size = 0, changed[2] = {0, 0};
  if (syscall(AGENT_SYS_FILE_FACTS, (long)FROM_HERE, path, said, (long)NO_FOLLOW) != 0) return 0;
  memcpy(&mode, said + AGENT_MODE_AT, sizeof(mode));
  memcpy(&facts->owner, said + AGENT_OWNER_AT, sizeof(facts->owner));
  memcpy(&size, said + AGENT_SIZE_AT, sizeof(size));
  memcpy(changed, said + AGENT_CHANGED_AT, sizeof(changed));
  facts->is_folder = (mode & KIND) == KIND_FOLDER;
  facts->is_file = (mode & KIND) == KIND_FILE;
  facts->bytes = size > 0 ? (uint64_t)size : 0;
  facts->changed_nanos = (int64_t)((uint64_t)changed[0] * 1000000000 + (uint64_t)changed[1]);
  return 1;
}

void agent_file_touch(const char* path) { syscall(AGENT_SYS_FILE_TIMES, (long)FROM_HERE, path, NULL, (long)NO_FOLLOW); }
