/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/sample.h"

/* Chooses about @goal of the process' anonymous pages (anon_match()) that are present, spread evenly
 * over all of them, and has @sample have these; pages that were chosen before stay as far as they
 * can. *ret_n_pages: how many it has in all, by status. -ESRCH, -EPERM as pagemap_count_copies().
 * Costs a reading of maps, and ~0.2 us for each page chosen or found missing; no more than some
 * ten thousand are tried. */
int page_sample_choose(int process_fd, pid_t pid, size_t goal, Sample *sample,
                       uint64_t *ret_n_pages);

/* The nodes of the sample's pages now, for sample_note(); -1: on none. ~0.2 us a page. */
int page_sample_look(pid_t pid, const Sample *sample, int *ret_nodes);

/* Pages of anonymous memory that the process has, by status: file mappings' copies included. */
int page_sample_count(int process_fd, uint64_t *ret_n_pages);
