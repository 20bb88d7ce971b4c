/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many letters one must add, drop, change or swap with their neighbour to make @known of @name,
 * whatever their case: 0 is the same name. For "did you mean". @known has at most 63 characters. */
unsigned name_distance(const char *name, const char *known);
