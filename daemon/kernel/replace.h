/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* Puts @text into the file at @path below @dir_fd so that a reader sees the old text or the new
 * one, never a part: written beside it as PATH.new and renamed. One writer at a time. For /run:
 * nothing is synced. */
int file_replace(int dir_fd, const char *path, const char *text, mode_t mode);
