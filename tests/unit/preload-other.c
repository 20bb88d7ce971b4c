/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What preload-plugin finds by its RUNPATH. */

__attribute__((visibility("default"))) extern const int preload_other;

const int preload_other = 1;
