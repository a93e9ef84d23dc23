/* What the kernel says of a file, without opening it and without struct stat, which differs between libcs. */
#ifndef FLEETPOSE_AGENT_CORE_FILE_FACTS_H
#define FLEETPOSE_AGENT_CORE_FILE_FACTS_H

#include "agent/core/libc.h"

typedef struct agent_file_facts {
  int is_folder, is_file; /* neither: a link, a device, a pipe */
  uint32_t owner;
  uint64_t bytes;
  int64_t changed_nanos; /* when it was last written or touched, since 1970 */
} agent_file_facts;

/* 0 where there is nothing of that name. Links are not followed. */
int agent_file_facts_read(const char* path, agent_file_facts* facts);

/* Makes a file's time of change the present one; without a word where that is refused. */
void agent_file_touch(const char* path);

#endif
