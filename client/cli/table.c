/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/table.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "policy/macro.h"
#include "policy/nodeset.h"

typedef struct Cell {
        bool known;
        char *text; /* of the types that are texts */
        int64_t number;
} Cell;

struct Table {
        const Column *columns;
        size_t n_columns;
        uint64_t hidden; /* bits of columns */
        Cell *cells;     /* row by row */
        size_t n_rows;
        int error;
};

static inline void scols_tablep(struct libscols_table **drawing)
{
        if (*drawing)
                scols_unref_table(*drawing);
}

Table *table_new(const Column *columns, size_t n_columns)
{
        Table *table = calloc(1, sizeof(*table));

        if (!table)
                return NULL;

        table->columns = columns;
        table->n_columns = n_columns;
        return table;
}

void table_free(Table *table)
{
        if (!table)
                return;

        for (size_t i = 0; i < table->n_rows * table->n_columns; i++)
                free(table->cells[i].text);
        free(table->cells);
        free(table);
}

bool table_is_empty(const Table *table)
{
        return table->n_rows == 0;
}

void table_hide(Table *table, size_t column)
{
        table->hidden |= UINT64_C(1) << column;
}

static bool column_is_shown(const Table *table, size_t column)
{
        return table->columns[column].heading && !(table->hidden & UINT64_C(1) << column);
}

void table_add_row(Table *table)
{
        Cell *cells;

        if (table->error < 0)
                return;

        cells = reallocarray(table->cells, (table->n_rows + 1) * table->n_columns, sizeof(*cells));
        if (!cells) {
                table->error = -ENOMEM;
                return;
        }

        memset(cells + table->n_rows * table->n_columns, 0, table->n_columns * sizeof(*cells));
        table->cells = cells;
        table->n_rows++;
}

static Cell *last_cell(Table *table, size_t column)
{
        if (table->error < 0)
                return NULL;
        return &table->cells[(table->n_rows - 1) * table->n_columns + column];
}

void table_set_text(Table *table, size_t column, const char *text)
{
        Cell *cell = last_cell(table, column);
        char *copy;

        if (!cell || !text)
                return;

        copy = strdup(text);
        if (!copy) {
                table->error = -ENOMEM;
                return;
        }

        free(cell->text);
        cell->text = copy;
        cell->known = true;
}

void table_set_number(Table *table, size_t column, int64_t number)
{
        Cell *cell = last_cell(table, column);

        if (!cell || number < 0)
                return;
        cell->number = number;
        cell->known = true;
}

void table_set_boolean(Table *table, size_t column, bool value)
{
        table_set_number(table, column, value);
}

void size_format(uint64_t bytes, char text[static SIZE_TEXT_MAX])
{
        static const char units[] = "KMGTPE";
        uint64_t unit = 1024, tenth;
        size_t i = 0;

        if (bytes < unit) {
                snprintf(text, SIZE_TEXT_MAX, "%" PRIu64, bytes);
                return;
        }
        while (bytes / unit >= 1024) {
                unit *= 1024;
                i++;
        }

        tenth = bytes % unit / (unit / 1024) * 10 / 1024;
        if (tenth == 0)
                snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 "%c", bytes / unit, units[i]);
        else
                snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "%c", bytes / unit, tenth,
                         units[i]);
}

void time_format(uint64_t usec, char text[static SIZE_TEXT_MAX])
{
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                { "d", UINT64_C(86400000000) }, { "h", UINT64_C(3600000000) },
                { "min", UINT64_C(60000000) },  { "s", UINT64_C(1000000) },
                { "ms", UINT64_C(1000) },       { "us", UINT64_C(1) },
        };
        size_t i = 0;

        if (usec == 0) {
                snprintf(text, SIZE_TEXT_MAX, "0");
                return;
        }
        while (usec % units[i].usec != 0)
                i++;
        snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 "%s", usec / units[i].usec, units[i].name);
}

static const char *cell_draw(const Column *column, const Cell *cell, bool bytes,
                             char text[static SIZE_TEXT_MAX])
{
        if (!cell->known)
                return column->unknown ? column->unknown : "-";

        switch (column->type) {
        case COLUMN_TEXT:
        case COLUMN_SENTENCE:
        case COLUMN_CGROUP_PATH:
        case COLUMN_NODES:
                return cell->text;
        case COLUMN_BOOLEAN:
                return cell->number ? "yes" : "no";
        case COLUMN_ADDRESS:
                snprintf(text, SIZE_TEXT_MAX, "%#" PRIx64, (uint64_t)cell->number);
                return text;
        case COLUMN_BYTES:
                if (!bytes) {
                        size_format((uint64_t)cell->number, text);
                        return text;
                }
                break;
        case COLUMN_TIME:
                time_format((uint64_t)cell->number, text);
                return text;
        case COLUMN_NUMBER:
                break;
        }

        snprintf(text, SIZE_TEXT_MAX, "%" PRId64, cell->number);
        return text;
}

static int column_flags(ColumnType type)
{
        switch (type) {
        case COLUMN_NUMBER:
        case COLUMN_BYTES:
        case COLUMN_TIME:
        case COLUMN_ADDRESS:
                return SCOLS_FL_RIGHT;
        case COLUMN_SENTENCE:
        case COLUMN_CGROUP_PATH:
                return SCOLS_FL_WRAP;
        case COLUMN_TEXT:
        case COLUMN_NODES:
        case COLUMN_BOOLEAN:
                break;
        }
        return 0;
}

static int column_draw(const Column *column, struct libscols_table *drawing)
{
        struct libscols_column *drawn;

        drawn = scols_table_new_column(drawing, column->heading, column->share,
                                       column_flags(column->type));
        if (!drawn)
                return -ENOMEM;

        /* libsmartcols shows \x0a for a newline, and \x5c for a backslash before an x, to tell the
         * two apart. The kernel lets no newline into a cgroup's name, and systemd many a \x2d. */
        return column->type == COLUMN_CGROUP_PATH ? scols_column_set_safechars(drawn, "\\") : 0;
}

static int row_draw(const Table *table, size_t row, bool bytes, struct libscols_table *drawing)
{
        struct libscols_line *line = scols_table_new_line(drawing, NULL);
        char text[SIZE_TEXT_MAX];
        size_t drawn = 0;
        int r;

        if (!line)
                return -ENOMEM;

        for (size_t i = 0; i < table->n_columns; i++) {
                const Cell *cell = &table->cells[row * table->n_columns + i];

                if (!column_is_shown(table, i))
                        continue;
                r = scols_line_set_data(line, drawn++,
                                        cell_draw(&table->columns[i], cell, bytes, text));
                if (r < 0)
                        return r;
        }
        return 0;
}

int table_print(const Table *table, bool bytes)
{
        _cleanup_(scols_tablep) struct libscols_table *drawing = scols_new_table();
        int r;

        if (table->error < 0)
                return table->error;
        if (!drawing)
                return -ENOMEM;

        for (size_t i = 0; i < table->n_columns; i++) {
                if (!column_is_shown(table, i))
                        continue;
                r = column_draw(&table->columns[i], drawing);
                if (r < 0)
                        return r;
        }
        for (size_t row = 0; row < table->n_rows; row++) {
                r = row_draw(table, row, bytes, drawing);
                if (r < 0)
                        return r;
        }

        return scols_print_table(drawing);
}

size_t table_width(void)
{
        struct winsize size;

        if (!isatty(STDOUT_FILENO))
                return SIZE_MAX;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return 80;
        return size.ws_col;
}

int table_print_vertical(const Table *table, bool bytes)
{
        _cleanup_(scols_tablep) struct libscols_table *drawing = scols_new_table();
        char text[SIZE_TEXT_MAX];

        if (table->error < 0)
                return table->error;
        if (!drawing || !scols_table_new_column(drawing, "NAME", 0, 0) ||
            !scols_table_new_column(drawing, "VALUE", 0, SCOLS_FL_WRAP))
                return -ENOMEM;
        scols_table_enable_noheadings(drawing, 1);

        for (size_t i = 0; i < table->n_rows * table->n_columns; i++) {
                const Column *column = &table->columns[i % table->n_columns];
                struct libscols_line *line;

                if (!column_is_shown(table, i % table->n_columns))
                        continue;
                line = scols_table_new_line(drawing, NULL);
                if (!line || scols_line_set_data(line, 0, column->heading) < 0 ||
                    scols_line_set_data(line, 1, cell_draw(column, &table->cells[i], bytes, text)) <
                            0)
                        return -ENOMEM;
        }

        return scols_print_table(drawing);
}

/* Nearly always one node, and then programs compare it with target_node. */
static struct json_object *nodes_json(const char *text)
{
        NodeSet nodes;

        if (nodeset_parse(text, &nodes) == 0 && nodeset_count(&nodes) == 1)
                return json_object_new_int(nodeset_next(&nodes, 0));
        return json_text(text);
}

/* Unknown is null, which json-c spells NULL. */
static int cell_json(const Column *column, const Cell *cell, struct json_object **ret_value)
{
        struct json_object *value = NULL;

        if (!cell->known) {
                *ret_value = NULL;
                return 0;
        }

        if (column->type == COLUMN_TEXT || column->type == COLUMN_SENTENCE ||
            column->type == COLUMN_CGROUP_PATH)
                value = json_text(cell->text);
        else if (column->type == COLUMN_NODES)
                value = nodes_json(cell->text);
        else if (column->type == COLUMN_BOOLEAN)
                value = json_object_new_boolean(cell->number != 0);
        else
                value = json_object_new_int64(cell->number);
        if (!value)
                return -ENOMEM;

        *ret_value = value;
        return 0;
}

static int row_json(const Table *table, size_t row, struct json_object *object)
{
        for (size_t i = 0; i < table->n_columns; i++) {
                const Column *column = &table->columns[i];
                struct json_object *value;
                int r;

                if (!column->key)
                        continue;
                r = cell_json(column, &table->cells[row * table->n_columns + i], &value);
                if (r < 0)
                        return r;
                r = json_add(object, column->key, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

int table_json(const Table *table, struct json_object **ret_rows)
{
        _cleanup_(json_putp) struct json_object *rows = json_object_new_array();
        int r;

        if (table->error < 0)
                return table->error;
        if (!rows)
                return -ENOMEM;

        for (size_t row = 0; row < table->n_rows; row++) {
                struct json_object *object = json_object_new_object();

                if (!object)
                        return -ENOMEM;
                if (json_object_array_add(rows, object) < 0) {
                        json_object_put(object);
                        return -ENOMEM;
                }
                r = row_json(table, row, object);
                if (r < 0)
                        return r;
        }

        *ret_rows = TAKE_PTR(rows);
        return 0;
}

int table_show(const Table *table, const char *name, bool json, bool bytes)
{
        _cleanup_(json_putp) struct json_object *document = NULL;
        struct json_object *rows;
        int r;

        if (!json)
                return table_print(table, bytes);

        document = json_object_new_object();
        if (!document)
                return -ENOMEM;
        r = table_json(table, &rows);
        if (r < 0)
                return r;
        r = json_add(document, name, rows);
        if (r < 0)
                return r;
        return json_print(document);
}
