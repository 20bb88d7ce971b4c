/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kernel/lines.h"
#include "daemon/kernel/mapped.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/mempolicy.h"
#include "daemon/kernel/process.h"
#include "policy/macro.h"

/* A VMA takes some 1000 bytes of smaps, ten times those of maps. */
#define SMAPS_BYTES_MAX (UINT64_C(10) * MAPS_BYTES_MAX)

/* The kernel prints a policy into 64 bytes and cuts off what does not fit. */
#define POLICY_TEXT_MAX 63u

/* The nodes of "MODE=FLAGS:NODES". An element that may have been cut short is left out. */
static int parse_nodes(const char *policy, size_t length, const char *nodes, NodeSet *ret_nodes)
{
        char text[NODESET_TEXT_MAX];
        size_t n = length - (size_t)(nodes - policy);
        char *comma;

        if (n >= sizeof(text))
                return -EBADMSG;

        memcpy(text, nodes, n);
        text[n] = '\0';
        if (length == POLICY_TEXT_MAX) {
                comma = strrchr(text, ',');
                text[comma ? (size_t)(comma - text) : 0] = '\0';
        }

        return nodeset_parse(text, ret_nodes) < 0 ? -EBADMSG : 0;
}

int numa_maps_parse_line(const char *line, uint64_t *ret_start, VmaPolicy *ret_policy,
                         NodeSet *ret_nodes)
{
        /* Two of them have a blank in them, so the policy is not simply the second word. */
        static const struct {
                const char *mode;
                VmaPolicy policy;
        } modes[] = {
                { "default", VMA_POLICY_DEFAULT },
                { "prefer (many)", VMA_POLICY_PREFERRED },
                { "prefer", VMA_POLICY_PREFERRED },
                { "bind", VMA_POLICY_BIND },
                { "weighted interleave", VMA_POLICY_OTHER },
        };
        VmaPolicy policy = VMA_POLICY_OTHER;
        NodeSet nodes = {};
        const char *text, *at;
        char *end;
        uint64_t start;
        int r;

        if (!isxdigit((unsigned char)line[0]))
                return -EBADMSG;
        errno = 0;
        start = strtoull(line, &end, 16);
        if (errno != 0 || *end != ' ')
                return -EBADMSG;

        text = at = end + 1;
        at += strcspn(at, " =:");
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                size_t length = strlen(modes[i].mode);

                if (strncmp(text, modes[i].mode, length) == 0 &&
                    strchr(" =:", text[length])) { /* the end of the line, too */
                        policy = modes[i].policy;
                        at = text + length;
                        break;
                }
        }
        if (at == text)
                return -EBADMSG;

        if (*at == '=')
                at += strcspn(at, " :");
        if (*at == ':') {
                at++;
                r = parse_nodes(text, (size_t)(at - text) + strcspn(at, " "), at, &nodes);
                if (r < 0)
                        return r;
        }

        *ret_start = start;
        *ret_policy = policy;
        *ret_nodes = nodes;
        return 0;
}

/* Takes "NAME=NUMBER" apart; blanks inside names of files are escaped, so words are words. */
static bool is_count(const char *word, const char *name, uint64_t *ret_count)
{
        size_t length = strlen(name);

        if (strncmp(word, name, length) != 0 || word[length] != '=' ||
            !isdigit((unsigned char)word[length + 1]))
                return false;

        *ret_count = strtoull(word + length + 1, NULL, 10);
        return true;
}

void numa_maps_parse_counts(const char *line, uint64_t *ret_anonymous,
                            uint64_t ret_by_node[static NODESET_MAX])
{
        uint64_t anonymous = 0, page_kib = 0, by_node[NODESET_MAX] = {};

        for (const char *word = strchr(line, ' '); word; word = strchr(word, ' ')) {
                unsigned node;
                uint64_t pages;

                word++;
                if (is_count(word, "anon", &pages))
                        anonymous = pages;
                else if (is_count(word, "kernelpagesize_kB", &pages))
                        page_kib = pages;
                else if (sscanf(word, "N%4u=%" SCNu64, &node, &pages) == 2 && node < NODESET_MAX)
                        by_node[node] = pages;
        }
        if (page_kib == 0) /* also where a VMA without a page ends early: nothing to multiply */
                page_kib = 4;

        for (size_t i = 0; i < NODESET_MAX; i++)
                ret_by_node[i] = by_node[i] * page_kib * 1024;
        *ret_anonymous = anonymous * page_kib * 1024;
}

int numa_maps_count(int process_fd, uint64_t start, uint64_t *ret_anonymous,
                    uint64_t ret_by_node[static NODESET_MAX])
{
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        int r;

        r = lines_open(process_fd, "numa_maps", MAPS_BYTES_MAX, &lines);
        if (r < 0)
                return process_result(process_fd, r);

        for (;;) {
                char *line = NULL, *end;

                r = lines_next(&lines, &line);
                if (r < 0)
                        return process_result(process_fd, r);
                if (!line)
                        return -EFAULT;
                if (strtoull(line, &end, 16) != start || *end != ' ')
                        continue;

                numa_maps_parse_counts(line, ret_anonymous, ret_by_node);
                return 0;
        }
}

/* Advances *@at to the mapping that starts at @start. Both come in the order of addresses; between
 * two reads the process may have changed its mappings, then there is none. */
static Mapping *advance(Mapping *mappings, size_t n_mappings, size_t *at, uint64_t start)
{
        while (*at < n_mappings && mappings[*at].start < start)
                (*at)++;

        return *at < n_mappings && mappings[*at].start == start ? &mappings[*at] : NULL;
}

/* -EPERM and the like: not this way. */
static int read_own_policies(Mapping *mappings, size_t n_mappings)
{
        for (size_t i = 0; i < n_mappings; i++) {
                const void *address = (const void *)(uintptr_t)mappings[i].start;
                int r = mempolicy_read(address, &mappings[i].policy, &mappings[i].policy_nodes);

                if (r < 0 && r != -EFAULT) /* [vsyscall] is not really mapped */
                        return r;
        }

        return 0;
}

int numa_maps_read(int process_fd, Mapping *mappings, size_t n_mappings, numa_maps_fn fn,
                   void *userdata)
{
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        uint64_t anonymous, by_node[NODESET_MAX];
        size_t at = 0;
        int r;

        r = lines_open(process_fd, "numa_maps", MAPS_BYTES_MAX, &lines);
        if (r < 0) {
                r = process_result(process_fd, r);
                return r == -ENOENT ? 0 : r; /* a kernel without NUMA: no policies either */
        }

        while (at < n_mappings) {
                VmaPolicy policy;
                NodeSet nodes;
                Mapping *mapping;
                uint64_t start;
                char *line;

                r = lines_next(&lines, &line);
                if (r < 0)
                        return process_result(process_fd, r);
                if (!line)
                        break;
                mapping = advance(mappings, n_mappings, &at, strtoull(line, NULL, 16));
                if (!mapping)
                        continue;

                r = numa_maps_parse_line(line, &start, &policy, &nodes);
                if (r < 0)
                        return r;
                mapping->policy = policy;
                mapping->policy_nodes = nodes;
                if (fn) {
                        numa_maps_parse_counts(line, &anonymous, by_node);
                        fn(mapping, anonymous, by_node, userdata);
                }
                at++;
        }

        return 0;
}

/* Whether "VmFlags: rd wr sh …" has "sf", VM_SYNC. */
static bool has_sync_flag(const char *flags)
{
        for (const char *at = strstr(flags, " sf"); at; at = strstr(at + 1, " sf"))
                if (at[3] == ' ' || at[3] == '\0')
                        return true;

        return false;
}

static int read_sync(int process_fd, Mapping *mappings, size_t n_mappings)
{
        static const char vm_flags[] = "VmFlags:";
        _cleanup_(lines_close) Lines lines = LINES_NONE;
        Mapping *mapping = NULL;
        size_t at = 0;
        int r;

        r = lines_open(process_fd, "smaps", SMAPS_BYTES_MAX, &lines);
        if (r < 0)
                return process_result(process_fd, r);

        while (at < n_mappings) {
                char *line;

                r = lines_next(&lines, &line);
                if (r < 0)
                        return process_result(process_fd, r);
                if (!line)
                        break;

                /* A VMA's first line is that of maps; the names of the others begin in capitals. */
                if (isdigit((unsigned char)line[0]) || islower((unsigned char)line[0]))
                        mapping = advance(mappings, n_mappings, &at, strtoull(line, NULL, 16));
                else if (mapping && strncmp(line, vm_flags, strlen(vm_flags)) == 0) {
                        mapping->sync = has_sync_flag(line);
                        at++;
                }
        }

        return 0;
}

static bool may_be_sync(const Mapping *mapping)
{
        return mapping->shared && mapping->kind != MAPPING_ANON &&
               mapping->kind != MAPPING_PAGE_CACHE;
}

int mappings_inspect(int process_fd, Mapping *mappings, size_t n_mappings)
{
        size_t n_sync = 0;
        int r;

        for (size_t i = 0; i < n_mappings; i++) {
                mapped_inspect(process_fd, &mappings[i]);
                if (may_be_sync(&mappings[i]))
                        n_sync = i + 1;
        }

        if (!process_is_caller(process_fd) || read_own_policies(mappings, n_mappings) < 0) {
                r = numa_maps_read(process_fd, mappings, n_mappings, NULL, NULL);
                if (r < 0)
                        return r;
        }

        return n_sync > 0 ? read_sync(process_fd, mappings, n_sync) : 0;
}

int mapping_inspect(int process_fd, Mapping *mapping)
{
        return mappings_inspect(process_fd, mapping, 1);
}
