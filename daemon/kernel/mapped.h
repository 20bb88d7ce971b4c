/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy/mapping.h"

/* What is behind a VMA: the name of its file, and whether that is DAX, in the page cache, or no file
 * at all. For root nothing here waits for a file's server: who maps a file chooses its filesystem. */

/* maps cannot say whether " (deleted)" and "\012" belong to a name or were put there by the kernel.
 * Asks map_files and the file of that name, and keeps the likelier reading if neither answers. */
void mapped_settle_name(int process_fd, Mapping *mapping);

/* Sets .kind. MAPPING_FILE_UNKNOWN if the kernel lets us see neither map_files (CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE) nor, under its name, the same file. */
void mapped_inspect(int process_fd, Mapping *mapping);

/* An O_PATH descriptor of the mapped file: through map_files, else under its name if that is still
 * the same file. -ENOENT: neither is open to us, or there is no file. */
int mapped_open(int process_fd, const Mapping *mapping, int *ret_fd);
