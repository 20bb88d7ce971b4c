/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/nodeset.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/macro.h"

static unsigned long node_bit(unsigned node)
{
        return 1UL << (node % NODESET_BITS_PER_WORD);
}

void nodeset_add(NodeSet *set, unsigned node)
{
        if (node < NODESET_MAX)
                set->bits[node / NODESET_BITS_PER_WORD] |= node_bit(node);
}

void nodeset_remove(NodeSet *set, unsigned node)
{
        if (node < NODESET_MAX)
                set->bits[node / NODESET_BITS_PER_WORD] &= ~node_bit(node);
}

void nodeset_union(NodeSet *set, const NodeSet *other)
{
        for (size_t i = 0; i < ARRAY_SIZE(set->bits); i++)
                set->bits[i] |= other->bits[i];
}

void nodeset_intersect(NodeSet *set, const NodeSet *other)
{
        for (size_t i = 0; i < ARRAY_SIZE(set->bits); i++)
                set->bits[i] &= other->bits[i];
}

bool nodeset_has(const NodeSet *set, unsigned node)
{
        return node < NODESET_MAX &&
               (set->bits[node / NODESET_BITS_PER_WORD] & node_bit(node)) != 0;
}

bool nodeset_is_empty(const NodeSet *set)
{
        return nodeset_next(set, 0) < 0;
}

bool nodeset_equal(const NodeSet *a, const NodeSet *b)
{
        return memcmp(a, b, sizeof(*a)) == 0;
}

unsigned nodeset_count(const NodeSet *set)
{
        unsigned count = 0;

        for (size_t i = 0; i < ARRAY_SIZE(set->bits); i++)
                count += (unsigned)__builtin_popcountl(set->bits[i]);

        return count;
}

int nodeset_next(const NodeSet *set, unsigned from)
{
        for (unsigned node = from; node < NODESET_MAX; node++)
                if (nodeset_has(set, node))
                        return (int)node;

        return -1;
}

int nodeset_first_common(const NodeSet *a, const NodeSet *b)
{
        for (int node = nodeset_next(a, 0); node >= 0; node = nodeset_next(a, (unsigned)node + 1))
                if (nodeset_has(b, (unsigned)node))
                        return node;

        return -1;
}

/* Reads one node number at *@text and moves *@text behind it. */
static int parse_node(const char **text, unsigned *ret_node)
{
        char *end;
        unsigned long node;

        if (!isdigit((unsigned char)**text))
                return -EINVAL;

        errno = 0;
        node = strtoul(*text, &end, 10);
        if (errno != 0 || node >= NODESET_MAX)
                return -ERANGE;

        *text = end;
        *ret_node = (unsigned)node;
        return 0;
}

int nodeset_parse(const char *text, NodeSet *ret_set)
{
        NodeSet set = {};

        while (*text) {
                unsigned first, last;
                int r;

                r = parse_node(&text, &first);
                if (r < 0)
                        return r;

                last = first;
                if (*text == '-') {
                        text++;
                        r = parse_node(&text, &last);
                        if (r < 0)
                                return r;
                        if (last < first)
                                return -EINVAL;
                }

                for (unsigned node = first; node <= last; node++)
                        nodeset_add(&set, node);

                if (*text == ',' && text[1] != '\0')
                        text++;
                else if (*text != '\0')
                        return -EINVAL;
        }

        *ret_set = set;
        return 0;
}

int nodeset_format(const NodeSet *set, char *text, size_t size)
{
        size_t used = 0;

        if (size == 0)
                return -ENOSPC;
        text[0] = '\0';

        for (int first = nodeset_next(set, 0); first >= 0;) {
                unsigned last = (unsigned)first;
                int n;

                while (nodeset_has(set, last + 1))
                        last++;

                n = last > (unsigned)first
                            ? snprintf(text + used, size - used, "%s%d-%u", used ? "," : "", first,
                                       last)
                            : snprintf(text + used, size - used, "%s%d", used ? "," : "", first);
                if (n < 0 || (size_t)n >= size - used)
                        return -ENOSPC;

                used += (size_t)n;
                first = nodeset_next(set, last + 1);
        }

        return 0;
}
