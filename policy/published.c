/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/published.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/inifile.h"
#include "policy/macro.h"

/* Nodes on one line: at most 5 bytes each, and with "Nodes=" well under the 198 bytes of a line
 * that inih reads. */
#define NODES_PER_LINE 30u

static int format_nodes(FILE *stream, const NodeSet *nodes)
{
        char text[NODESET_TEXT_MAX];
        NodeSet line = {};
        int node = nodeset_next(nodes, 0);
        int r;

        do {
                line = (NodeSet){};
                for (unsigned n = 0; n < NODES_PER_LINE && node >= 0; n++) {
                        nodeset_add(&line, (unsigned)node);
                        node = nodeset_next(nodes, (unsigned)node + 1);
                }

                r = nodeset_format(&line, text, sizeof(text));
                if (r < 0)
                        return r;
                fprintf(stream, "Nodes=%s\n", text);
        } while (node >= 0);

        return 0;
}

static void format_number(FILE *stream, const char *key, int64_t value)
{
        if (value >= 0)
                fprintf(stream, "%s=%" PRId64 "\n", key, value);
}

static int format_tier(FILE *stream, const char *name, const NodeSet *nodes, const NodePerf *perf)
{
        int r;

        fprintf(stream, "[Tier %s]\n", name);
        r = format_nodes(stream, nodes);
        if (r < 0)
                return r;

        if (perf) {
                format_number(stream, "ReadLatencyNs", perf->read_latency_ns);
                format_number(stream, "WriteLatencyNs", perf->write_latency_ns);
                format_number(stream, "ReadBandwidthMib", perf->read_bandwidth_mib);
                format_number(stream, "WriteBandwidthMib", perf->write_bandwidth_mib);
        }

        return 0;
}

int tiers_format(const Tiers *tiers, const NodePerf *cheap, const NodePerf *fast, char **ret_text)
{
        _cleanup_(freep) char *text = NULL;
        _cleanup_(fclosep) FILE *stream = NULL;
        size_t size;
        int r;

        stream = open_memstream(&text, &size);
        if (!stream)
                return -errno;

        fputs("# Written by daxtierd for libdaxtier. Do not edit.\n", stream);
        r = format_tier(stream, "cheap", &tiers->cheap, cheap);
        if (r < 0)
                return r;
        r = format_tier(stream, "fast", &tiers->fast, fast);
        if (r < 0)
                return r;

        r = fclose(TAKE_PTR(stream));
        if (r != 0)
                return -ENOMEM;

        *ret_text = TAKE_PTR(text);
        return 0;
}

static int parse_nodes(const char *value, const IniPlace *place, void *member)
{
        NodeSet nodes;
        int r;

        r = nodeset_parse(value, &nodes);
        if (r < 0)
                return r;

        nodeset_union(member, &nodes);
        return 0;
}

static int enter_tier(void *object, const char *argument, void **ret_target)
{
        Tiers *tiers = object;

        if (strcmp(argument, "cheap") == 0)
                *ret_target = &tiers->cheap;
        else if (strcmp(argument, "fast") == 0)
                *ret_target = &tiers->fast;
        else
                return -EINVAL;

        return 0;
}

int tiers_parse(const char *text, Tiers *ret_tiers)
{
        static const IniKey keys[] = {
                { "Nodes", "", false, parse_nodes, 0, "a list of nodes" },
        };
        static const IniSection sections[] = {
                { "Tier", "cheap or fast", keys, ARRAY_SIZE(keys), enter_tier },
        };
        static const IniSchema schema = { sections, ARRAY_SIZE(sections), true };
        Tiers tiers = {};
        int r;

        r = inifile_parse(PUBLISHED_PATH, text, &schema, &tiers, NULL);
        if (r < 0)
                return r;

        if (nodeset_first_common(&tiers.cheap, &tiers.fast) >= 0)
                return -EBADMSG;

        *ret_tiers = tiers;
        return 0;
}
