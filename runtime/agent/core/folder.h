/* Folders: what is in one, and removing one with all that is in it. */
#ifndef FLEETPOSE_AGENT_CORE_FOLDER_H
#define FLEETPOSE_AGENT_CORE_FOLDER_H

#include "agent/core/libc.h"

/* Calls back for each name in a folder but "." and "..", in no order, until it answers 0. Answers whether the folder
 * could be read. `is_folder`: of the name, 0 for links. */
typedef int (*agent_on_name)(void* context, const char* name, int is_folder);
int agent_folder_list(const char* path, agent_on_name call, void* context);

/* Whether it is a folder, no link to one, of the user that runs the agent. */
int agent_folder_is_own(const char* path);

/* Removes a folder; of folders inside of each other eight. Links are removed, not followed, and so is
 * what is a link itself. */
void agent_folder_remove(const char* path);

#endif
