/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* Below a kdamond's directory, what both of its users write. */
#define DAMON_CONTEXT   "contexts/0/"
#define DAMON_INTERVALS DAMON_CONTEXT "monitoring_attrs/intervals/"

/* How often the operations look what the address space is, in microseconds, is our mark. Physical memory
 * has nothing to look at, and a relocation's pass is over long before. */
#define DAMON_MARK_UPDATE UINT64_C(60000011)
