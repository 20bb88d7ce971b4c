/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

/* sysfs speaks through names as much as through values: node2, memory144, links to either. */

/* Opens a directory below @dir_fd for readdir(); the caller closes it. */
int directory_open(int dir_fd, const char *path, DIR **ret_dir);

/* Whether @name is @prefix and a decimal number, nothing else. */
bool name_is_numbered(const char *name, const char *prefix, uint64_t *ret_number);
