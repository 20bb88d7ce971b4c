/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/json.h"

/* Room for a number of any size, with its unit. */
#define SIZE_TEXT_MAX 32

typedef struct Column Column;
typedef struct Table Table;

typedef enum ColumnType {
        COLUMN_TEXT,
        COLUMN_SENTENCE,    /* a text that may wrap at the edge of the terminal */
        COLUMN_CGROUP_PATH, /* may wrap, too; backslashes are shown as such */
        COLUMN_NODES,       /* "2" or "2-3"; in JSON a number where it is one node, else a text */
        COLUMN_NUMBER,
        COLUMN_BYTES,   /* "1.5G" in a table, or bytes where asked for; bytes in JSON */
        COLUMN_TIME,    /* "30s" in a table, microseconds in JSON */
        COLUMN_ADDRESS, /* hexadecimal in a table, a number in JSON */
        COLUMN_BOOLEAN,
} ColumnType;

/* One column, described once for the table that people read and for the JSON that programs do. */
struct Column {
        const char *key;     /* in JSON; NULL: not there */
        const char *heading; /* in the table; NULL: not there */
        ColumnType type;
        const char *unknown; /* what the table shows for an unknown value; NULL: "-" */
        double share; /* of a narrow terminal, for a sentence among others; 0: what is left */
};

/* Rows of typed cells, each unknown (null in JSON) until it is set. libsmartcols draws the table.
 * Its own JSON can only be an array below a name; ours is a json-c object, so that it also serves
 * as a part of a larger document or, for a single row, as the document.
 *
 * The first failed allocation sticks: table_print() and table_json() report it. */
Table *table_new(const Column *columns, size_t n_columns); /* @columns must outlive the table */
void table_free(Table *table);

bool table_is_empty(const Table *table);

/* Leaves a column out of what people read, one of the first 64; programs have it all the same. */
void table_hide(Table *table, size_t column);

/* Appends a row; table_set_*() fill the last one. A number below zero and a NULL text are unknown:
 * they leave the cell as it is. */
void table_add_row(Table *table);
void table_set_text(Table *table, size_t column, const char *text);
void table_set_number(Table *table, size_t column, int64_t number);
void table_set_boolean(Table *table, size_t column, bool value);

/* On standard output. A vertical table has a line for each column, for tables of one row. */
int table_print(const Table *table, bool bytes);
int table_print_vertical(const Table *table, bool bytes);

/* Characters in a line of the terminal; SIZE_MAX where standard output is none: nothing wraps. */
size_t table_width(void);

/* An array of objects. The caller owns it. */
int table_json(const Table *table, struct json_object **ret_rows);

/* The table, or {"@name": [rows]}. */
int table_show(const Table *table, const char *name, bool json, bool bytes);

/* "0", "512", "4K", "1.5G": rounded down, so that it never shows more than there is. */
void size_format(uint64_t bytes, char text[static SIZE_TEXT_MAX]);

/* "0", "250ms", "90s", "2min": in the largest unit that leaves nothing over. */
void time_format(uint64_t usec, char text[static SIZE_TEXT_MAX]);

static inline void table_freep(Table **table)
{
        table_free(*table);
}
