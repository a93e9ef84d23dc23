/* What is in a folder. */
#ifndef FLEETPOSE_CORE_FOLDER_H
#define FLEETPOSE_CORE_FOLDER_H

/* Calls back for each name in a folder but "." and "..", in no order, until it answers 0. Answers whether the folder
 * could be read. `is_folder`: of the name, 0 for links.
 * flags: of open, besides those that a folder needs: FP_O_NO_FOLLOW or 0. */
typedef int (*fp_on_name)(void* context, const char* name, int is_folder);
int fp_folder_list(const char* path, int flags, fp_on_name call, void* context);

#endif
