/* Folders: whose one is, and removing one with all that is in it (core/folder.h has what is in one). */
#ifndef FLEETPOSE_AGENT_CORE_FOLDER_H
#define FLEETPOSE_AGENT_CORE_FOLDER_H

#include "agent/core/libc.h"

/* Whether it is a folder, no link to one, of the user that runs the agent. */
int agent_folder_is_own(const char* path);

/* Removes a folder; of folders inside of each other eight. Links are removed, not followed, and so is
 * what is a link itself. */
void agent_folder_remove(const char* path);

#endif
