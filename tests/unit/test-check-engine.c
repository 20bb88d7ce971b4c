/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "client/cli/check.h"
#include "tests/unit/damon-tree.h"

/* A machine of which only /sys matters: with DAMON's files, whose nr_kdamonds says so, or without. */
typedef struct Paper {
        Scratch sys;
        Host host;
        Patient patient;
} Paper;

static void paper_init(Paper *paper, Scratch sys)
{
        *paper = (Paper){ .sys = sys };
        put(&paper->sys, "kernel/mm/uevent_seqnum", "");
        nodeset_add(&paper->host.topology.tiers.fast, 0);
        nodeset_add(&paper->host.topology.tiers.cheap, 2);
        paper->patient = (Patient){
                .proc_fd = paper->sys.fd,
                .sys_fd = paper->sys.fd,
                .modules_fd = -1,
                .host = &paper->host,
        };
}

static void paper_deinit(Paper *paper)
{
        scratch_freep(&paper->sys);
}

/* What reclaim takes, if the cheap node is in a lower memory tier. */
static void put_reclaim(const Paper *paper, const char *fast_nodes, const char *cheap_nodes)
{
        put(&paper->sys, "fs/cgroup/memory.reclaim", "");
        put(&paper->sys, "fs/cgroup/memory.swap.max", "0\n"); /* whatever this machine has */
        put(&paper->sys, "kernel/mm/numa/demotion_enabled", "false\n");
        put(&paper->sys, "devices/virtual/memory_tiering/memory_tier4/nodelist", fast_nodes);
        put(&paper->sys, "devices/virtual/memory_tiering/memory_tier22/nodelist", cheap_nodes);
}

/* The check finds one thing, and its reason has these words in it. */
static void assert_finds(const Paper *paper, const char *id, Verdict verdict, const char *words)
{
        _cleanup_(findings_deinit) Findings findings = {};
        const Check *check = check_find(id);

        cr_assert_not_null(check, "%s", id);
        cr_assert_eq(check->probe(check, &paper->patient, &findings), 0, "%s", id);
        cr_assert_eq(findings.n_items, 1, "%s", id);
        cr_assert_str_eq(verdict_name(findings.items[0].verdict), verdict_name(verdict), "%s: %s",
                         id, findings.items[0].reason);
        cr_assert(strstr(findings.items[0].reason, words), "%s: wanted \"%s\", got: %s", id, words,
                  findings.items[0].reason);
}

Test(check_engine, a_kernel_without_any_moves_nothing)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper, scratch_new());
        assert_finds(&paper, "relocation", VERDICT_WARN, "nothing moves copies");
        assert_finds(&paper, "cold-memory", VERDICT_WARN, "nothing serves ColdAfter=");
        assert_finds(&paper, "fast-max", VERDICT_WARN, "nothing serves FastMax=");
}

Test(check_engine, reclaim_alone_is_little_and_doctor_says_what_is_amiss)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper, scratch_new());
        put_reclaim(&paper, "0\n", "2\n");
        assert_finds(&paper, "relocation", VERDICT_WARN, "built without DAMON");
        assert_finds(&paper, "cold-memory", VERDICT_WARN, "HotTier= not at all");
        assert_finds(&paper, "cold-memory", VERDICT_WARN, "built without DAMON");
        assert_finds(&paper, "fast-max", VERDICT_OK, "reclaim");
}

Test(check_engine, damon_is_what_there_should_be)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper, kernel_with_damon());
        assert_finds(&paper, "relocation", VERDICT_OK, "damon-vaddr, damon-paddr");
        assert_finds(&paper, "cold-memory", VERDICT_OK, "by DAMON");
        assert_finds(&paper, "fast-max", VERDICT_WARN, "memory controller");
        expect(&paper.sys, KDAMONDS "nr_kdamonds", "0");
}

Test(check_engine, who_has_damon_is_named)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper, kernel_with_damon());
        put_reclaim(&paper, "0\n", "2\n");
        put(&paper.sys, "module/damon_stat/parameters/enabled", "Y\n");
        assert_finds(&paper, "relocation", VERDICT_WARN, "damon_stat has DAMON");
        assert_finds(&paper, "cold-memory", VERDICT_WARN, "waits for DAMON");
        assert_finds(&paper, "cold-memory", VERDICT_WARN, "damon_stat has DAMON");
        paper.host.config.damon_take = true;
        assert_finds(&paper, "cold-memory", VERDICT_INFO, "Damon=take gets");
        paper.host.config.damon_take = false;

        put(&paper.sys, "module/damon_stat/parameters/enabled", "N\n");
        put(&paper.sys, KDAMONDS "nr_kdamonds", "1\n");
        put(&paper.sys, KDAMONDS "0/contexts/nr_contexts", "1\n");
        put(&paper.sys, KDAMONDS "0/state", "on\n");
        put(&paper.sys, KDAMONDS "0/pid", "4711\n");
        assert_finds(&paper, "relocation", VERDICT_WARN, "4711");
        assert_finds(&paper, "cold-memory", VERDICT_WARN, "4711");
        expect(&paper.sys, KDAMONDS "nr_kdamonds", "1");
}

Test(check_engine, reclaim_cannot_demote_within_a_memory_tier)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper, scratch_new());
        put_reclaim(&paper, "0,2\n", "\n");
        assert_finds(&paper, "fast-max", VERDICT_WARN, "no lower memory tier");
        assert_finds(&paper, "cold-memory", VERDICT_WARN, "no lower memory tier");
}

Test(check_engine, what_is_ours_is_not_busy)
{
        _cleanup_(paper_deinit) Paper paper;

        paper_init(&paper, kernel_with_damon());
        put(&paper.sys, KDAMONDS "nr_kdamonds", "1\n");
        put(&paper.sys, KDAMONDS "0/contexts/nr_contexts", "1\n");
        put(&paper.sys, KDAMONDS "0/state", "on\n");
        assert_finds(&paper, "damon-busy", VERDICT_WARN, "kdamond 0");

        put(&paper.sys, KDAMONDS "0/contexts/0/monitoring_attrs/intervals/sample_us", "1009\n");
        put(&paper.sys, KDAMONDS "0/contexts/0/monitoring_attrs/intervals/aggr_us", "2027\n");
        put(&paper.sys, KDAMONDS "0/contexts/0/monitoring_attrs/intervals/update_us", "60000011\n");
        assert_finds(&paper, "damon-busy", VERDICT_OK, "nobody else");
        assert_finds(&paper, "cold-memory", VERDICT_OK, "by DAMON");
        assert_finds(&paper, "damon-migrate", VERDICT_OK, "migrate_cold");
        expect(&paper.sys, KDAMONDS "0/state", "on");
}
