/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which anonymous memory of a process is not accessed: for kernels whose DAMON does not tell. The
 * accessed bits are cleared, and looked at later. Pages that several processes share stay as they are,
 * and so count as accessed once they were. */

#include <stdint.h>

/* Clears them, and makes the pages the first to be reclaimed if they are not accessed again: MADV_COLD, a
 * little at a time, so that the process' page faults need not wait. (/proc/PID/clear_refs would make
 * them wait until all is done.) -ESRCH as in process.h. Takes CAP_SYS_NICE. */
int referenced_mark(int process_fd, int pidfd);

/* Anonymous memory as anon_match() has it that is present, and what of it was not accessed since; of what
 * is shared, this process' part. Reads smaps: about 40 ns a page. */
int referenced_read(int process_fd, uint64_t *ret_bytes, uint64_t *ret_idle_bytes);
