/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct Objects Objects;

/* The dynamic objects of this process, of which the linker keeps the list in loading order. */
struct Objects {
        size_t count;
        bool has_rpath; /* one that is not the program itself carries DT_RPATH */
};

Objects objects_survey(void);

/* Places the writable segments of the objects from number @first on. */
void objects_place(size_t first);
