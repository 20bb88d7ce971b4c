/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One-value files of sysfs, procfs and cgroupfs, below a directory fd so that tests can use a
 * fixture tree. All return -errno of the open, read or write. */

/* Reads at most @size - 1 bytes, cuts the trailing newline, ends with a null byte. Returns the
 * length. -E2BIG: the file is longer than that. */
int attr_read(int dir_fd, const char *path, char *text, size_t size);

/* A decimal number, or a hexadecimal one after 0x. -EBADMSG: not a number. */
int attr_read_u64(int dir_fd, const char *path, uint64_t *ret_value);

/* Writes @text in one write(2). */
int attr_write(int dir_fd, const char *path, const char *text);

/* Reads a file of unknown length (maps, numa_maps, a configuration file), up to @max bytes, into a
 * fresh null-terminated buffer that the caller frees. -E2BIG beyond @max. */
int attr_read_all(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_size);
