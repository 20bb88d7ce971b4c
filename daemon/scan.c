/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/scan.h"

#include <errno.h>

#include "daemon/kernel/backing.h"
#include "daemon/kernel/cgroup.h"
#include "daemon/kernel/cpu.h"
#include "daemon/kernel/mapped.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/pagemap.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/threadpolicy.h"
#include "policy/macro.h"
#include "policy/match.h"

/* Where to add up the copies of a process. */
typedef struct Counting {
        int process_fd;
        pid_t pid;
        const Tiers *tiers;
        Scan *scan;
        ScanMapping *next; /* mappings come in their order */
        int error;
} Counting;

void scan_deinit(Scan *scan)
{
        subject_deinit(&scan->subject);
        for (size_t i = 0; i < scan->n_mappings; i++)
                mapping_deinit(&scan->mappings[i].mapping);
        free(scan->mappings);
        free(scan->threads);
        *scan = (Scan){};
}

void scanner_forget(Scanner *scanner)
{
        scanner->n_devices = 0;
}

static bool may_be_dax(Scanner *scanner, uint32_t major, uint32_t minor)
{
        bool may;

        for (size_t i = 0; i < scanner->n_devices; i++)
                if (scanner->devices[i].major == major && scanner->devices[i].minor == minor)
                        return scanner->devices[i].may_be_dax;

        may = backing_may_be_dax(scanner->sys_fd, major, minor);
        if (scanner->n_devices < SCANNER_DEVICES_MAX) {
                scanner->devices[scanner->n_devices].major = major;
                scanner->devices[scanner->n_devices].minor = minor;
                scanner->devices[scanner->n_devices].may_be_dax = may;
                scanner->n_devices++;
        }
        return may;
}

bool scanner_may_concern(Scanner *scanner, const Rule *rule, uint32_t dev_major, uint32_t dev_minor)
{
        return rule->cow.filter != FILE_FILTER_DAX || may_be_dax(scanner, dev_major, dev_minor);
}

static int subject_read(int process_fd, pid_t pid, Subject *ret_subject)
{
        _cleanup_(subject_deinit) Subject subject = { .pid = pid };
        int r;

        r = process_start_time(process_fd, &subject.start_time);
        if (r >= 0)
                r = process_name(process_fd, subject.comm, sizeof(subject.comm));
        if (r >= 0)
                r = process_user(process_fd, &subject.uid);
        if (r >= 0)
                r = cgroup_of_process(process_fd, &subject.cgroup);
        if (r < 0)
                return r;

        r = process_executable(process_fd, &subject.exe);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r; /* a kernel thread, or going */

        *ret_subject = subject;
        subject = (Subject){};
        return 0;
}

/* Which nodes the process may have, and which it should. */
static void intent_read(const Scanner *scanner, int process_fd, Scan *scan)
{
        const Tiers *tiers = scanner->tiers;
        const Rule *rule = scan->rule;
        const NodeSet *may, *near;
        NodeSet allowed, home;

        may = cgroup_allowed_nodes(scanner->cgroup_fd, scan->subject.cgroup, &allowed) >= 0 &&
                              !nodeset_is_empty(&allowed)
                      ? &allowed
                      : NULL;
        /* Only asked where it makes a difference: on most machines it makes none. */
        near = (tiers_have_choice(tiers, &rule->cow.tier) ||
                tiers_have_choice(tiers, &rule->anon.tier)) &&
                               cpus_read_home(scanner->sys_fd, process_fd, &tiers->proximity.cpus,
                                              &home) >= 0
                       ? &home
                       : NULL;
        intent_build(&rule->cow, tiers, may, near, &scan->intent);
        anon_intent_build(&rule->anon, tiers, may, near, &scan->anon_intent);
}

/* Whether [Cow] takes it; then its kind is known. */
static bool is_for_cow(Scanner *scanner, int process_fd, const CowRule *cow, Mapping *mapping)
{
        if (!cow_may_match(cow, mapping))
                return false;
        if (cow->filter == FILE_FILTER_DAX &&
            !may_be_dax(scanner, mapping->dev_major, mapping->dev_minor))
                return false;

        mapped_inspect(process_fd, mapping);
        return cow_match(cow, mapping);
}

/* The mappings that the rule takes. The others are freed. */
static size_t mappings_choose(Scanner *scanner, int process_fd, const Rule *rule, Mapping *mappings,
                              size_t n_mappings)
{
        bool wants_anon = rule_concerns_anon(rule),
             wants_stack = rule->anon.tier.kind != TIER_DEFAULT;
        size_t n_chosen = 0;

        for (size_t i = 0; i < n_mappings; i++) {
                Mapping *mapping = &mappings[i];

                if ((wants_anon && anon_match(mapping)) || (wants_stack && stack_match(mapping)) ||
                    is_for_cow(scanner, process_fd, &rule->cow, mapping))
                        mappings[n_chosen++] = *mapping;
                else
                        mapping_deinit(mapping);
        }
        return n_chosen;
}

static uint64_t bytes_on(const uint64_t by_node[static NODESET_MAX], const NodeSet *nodes)
{
        uint64_t bytes = 0;

        for (int node = nodeset_next(nodes, 0); node >= 0;
             node = nodeset_next(nodes, (unsigned)node + 1))
                bytes += by_node[node];
        return bytes;
}

static void add_up(const Counting *counting, ScanMapping *scanned, uint64_t bytes,
                   const uint64_t by_node[static NODESET_MAX])
{
        scanned->cow_bytes = bytes;
        scanned->cheap_bytes = bytes_on(by_node, &counting->tiers->cheap);
        scanned->fast_bytes = bytes_on(by_node, &counting->tiers->fast);
        scanned->wanted_bytes = bytes_on(by_node, &counting->scan->intent.nodes);
}

static void anon_add(const Counting *counting, const Mapping *mapping,
                     const uint64_t by_node[static NODESET_MAX])
{
        const NodeSet *nodes = &counting->scan->anon_intent.nodes;
        ScanAnon *anon = &counting->scan->anon;
        uint64_t bytes = 0;

        if (stack_match(mapping)) {
                anon->stack_start = mapping->start;
                anon->stack_end = mapping->end;
                anon->stack_policy = mapping->policy;
                anon->stack_nodes = mapping->policy_nodes;
                return;
        }

        for (size_t i = 0; i < NODESET_MAX; i++)
                bytes += by_node[i];
        anon->bytes += bytes;
        anon->cheap_bytes += bytes_on(by_node, &counting->tiers->cheap);
        anon->fast_bytes += bytes_on(by_node, &counting->tiers->fast);
        if (nodeset_is_empty(nodes) ||
            plan_is_elsewhere(mapping->policy, &mapping->policy_nodes, nodes))
                anon->wanted_bytes += bytes;
        else
                anon->wanted_bytes += bytes_on(by_node, nodes);
}

/* numa_maps counts by node every page that is present. Where that is more than the copies, as of a
 * file in the page cache, the page tables have to be asked. */
static void on_counts(Mapping *mapping, uint64_t anonymous,
                      const uint64_t by_node[static NODESET_MAX], void *userdata)
{
        _cleanup_(freep) Copies *copies = NULL;
        Counting *counting = userdata;
        ScanMapping *scanned = counting->next;
        uint64_t present = 0;
        int r;

        while (scanned->mapping.start != mapping->start)
                scanned++;
        counting->next = scanned + 1;
        if (mapping->kind == MAPPING_ANON) {
                anon_add(counting, mapping, by_node);
                return;
        }

        for (size_t i = 0; i < NODESET_MAX; i++)
                present += by_node[i];
        if (anonymous == 0)
                return;
        if (anonymous == present) {
                add_up(counting, scanned, anonymous, by_node);
                return;
        }

        copies = malloc(sizeof(*copies));
        r = !copies ? -ENOMEM
                    : pagemap_count_copies(counting->process_fd, counting->pid, mapping,
                                           mapping->start, mapping->end, copies);
        if (r >= 0)
                add_up(counting, scanned, copies->bytes - copies->swapped_bytes, copies->by_node);
        else if (counting->error >= 0)
                counting->error = r;
}

/* Takes the mappings of files over into @scan, with their policies and copies; of the others the sums. */
static int mappings_count(const Scanner *scanner, int process_fd, Scan *scan, Mapping *mappings,
                          size_t n_mappings)
{
        Counting counting = {
                .process_fd = process_fd,
                .pid = scan->subject.pid,
                .tiers = scanner->tiers,
                .scan = scan,
        };
        int r;

        scan->mappings = calloc(n_mappings + 1, sizeof(*scan->mappings));
        if (!scan->mappings)
                return -ENOMEM;

        /* Only their places are looked at while numa_maps is read. */
        for (size_t i = 0; i < n_mappings; i++)
                scan->mappings[i].mapping.start = mappings[i].start;
        counting.next = scan->mappings;
        r = numa_maps_read(process_fd, mappings, n_mappings, on_counts, &counting);
        if (r >= 0)
                r = counting.error;
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_mappings; i++) {
                ScanMapping *scanned = &scan->mappings[scan->n_mappings];

                if (mappings[i].kind == MAPPING_ANON)
                        continue;
                *scanned = scan->mappings[i];
                scanned->mapping = mappings[i];
                mappings[i] = (Mapping){};
                scan->n_mappings++;
        }
        return 0;
}

static int mappings_scan(Scanner *scanner, int process_fd, Scan *scan)
{
        size_t n_mappings, n_chosen;
        Mapping *mappings;
        int r;

        r = maps_read(process_fd, &mappings, &n_mappings);
        if (r < 0)
                return r;

        n_chosen = mappings_choose(scanner, process_fd, scan->rule, mappings, n_mappings);
        r = n_chosen > 0 ? mappings_count(scanner, process_fd, scan, mappings, n_chosen) : 0;
        mappings_free(mappings, n_chosen);
        return r;
}

static int compare_tids(const void *a, const void *b)
{
        const pid_t *left = a, *right = b;

        return (*left > *right) - (*left < *right);
}

static int threads_scan(int process_fd, pid_t after, Scan *scan)
{
        _cleanup_(freep) pid_t *tids = NULL;
        size_t n_tids;
        int r;

        r = threads_list(process_fd, &tids, &n_tids);
        if (r < 0)
                return r;
        qsort(tids, n_tids, sizeof(*tids), compare_tids);
        scan->threads = calloc(SCAN_THREADS_MAX, sizeof(*scan->threads));
        if (!scan->threads)
                return -ENOMEM;

        for (size_t i = 0; i < n_tids; i++) {
                ScanThread *thread = &scan->threads[scan->n_threads];

                if (tids[i] <= after)
                        continue;
                if (scan->n_threads == SCAN_THREADS_MAX) {
                        scan->threads_next = scan->threads[scan->n_threads - 1].tid;
                        break;
                }
                thread->tid = tids[i];
                r = thread_policy_read(process_fd, tids[i], &thread->policy, &thread->nodes);
                if (r < 0 && r != -ESRCH)
                        return r;
                scan->n_threads += r >= 0;
        }
        scan->has_threads = true;
        return 0;
}

/* The policy of the main thread alone; without it if that has ended. */
static int main_thread_scan(int process_fd, Scan *scan)
{
        int r;

        scan->threads = calloc(1, sizeof(*scan->threads));
        if (!scan->threads)
                return -ENOMEM;

        scan->threads->tid = scan->subject.pid;
        r = thread_policy_read(process_fd, scan->threads->tid, &scan->threads->policy,
                               &scan->threads->nodes);
        scan->n_threads = r >= 0;
        return r == -ESRCH ? 0 : r;
}

static int threads_look(int process_fd, unsigned flags, pid_t after, Scan *scan)
{
        bool is_placed = scan->rule && scan->rule->anon.tier.kind != TIER_DEFAULT;

        if ((flags & SCAN_THREADS_ALWAYS) || ((flags & SCAN_THREADS) && is_placed))
                return threads_scan(process_fd, after, scan);

        return (flags & SCAN_MAIN_THREAD) && is_placed ? main_thread_scan(process_fd, scan) : 0;
}

int scan_process(Scanner *scanner, pid_t pid, unsigned flags, pid_t threads_after, Scan *ret_scan)
{
        _cleanup_(scan_deinit) Scan scan = {};
        _cleanup_(closep) int process_fd = -1;
        int r;

        r = process_open(scanner->proc_fd, pid, &process_fd);
        if (r >= 0)
                r = subject_read(process_fd, pid, &scan.subject);
        if (r < 0)
                return r;

        scan.rule = policy_match(scanner->rules, scanner->n_rules, &scan.subject);
        if (scan.rule) {
                intent_read(scanner, process_fd, &scan);
                r = mappings_scan(scanner, process_fd, &scan);
        }
        if (r >= 0)
                r = threads_look(process_fd, flags, threads_after, &scan);
        if (r < 0)
                return r;

        *ret_scan = scan;
        scan = (Scan){};
        return 0;
}
