/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "policy/macro.h"
#include "policy/published.h"

Test(published, writes_nodes_and_the_numbers_that_are_known)
{
        static const NodePerf perf = {
                .read_latency_ns = 350,
                .write_latency_ns = -1,
                .read_bandwidth_mib = 10240,
                .write_bandwidth_mib = 0,
                .from_hmat = true,
        };
        _cleanup_(freep) char *text = NULL;
        Tiers tiers = {};

        nodeset_add(&tiers.cheap, 2);
        nodeset_add(&tiers.cheap, 3);
        nodeset_add(&tiers.fast, 0);

        cr_assert_eq(tiers_format(&tiers, &perf, NULL, &text), 0);
        cr_assert_str_eq(text, "# Written by daxtierd for libdaxtier. Do not edit.\n"
                               "[Tier cheap]\n"
                               "Nodes=2-3\n"
                               "ReadLatencyNs=350\n"
                               "ReadBandwidthMib=10240\n"
                               "WriteBandwidthMib=0\n"
                               "[Tier fast]\n"
                               "Nodes=0\n");
}

static void assert_round_trip(const Tiers *tiers)
{
        _cleanup_(freep) char *text = NULL;
        Tiers again;

        cr_assert_eq(tiers_format(tiers, NULL, NULL, &text), 0);
        cr_assert_eq(tiers_parse(text, &again), 0, "%s", text);
        cr_assert(nodeset_equal(&again.cheap, &tiers->cheap), "%s", text);
        cr_assert(nodeset_equal(&again.fast, &tiers->fast), "%s", text);
}

Test(published, what_is_written_is_read_back)
{
        Tiers none = {}, largest = {};

        assert_round_trip(&none);

        for (unsigned node = 0; node < NODESET_MAX; node++)
                nodeset_add(node % 2 ? &largest.cheap : &largest.fast, node);
        assert_round_trip(&largest);
}

Test(published, passes_over_what_a_newer_daemon_adds)
{
        Tiers tiers;

        cr_assert_eq(tiers_parse("[Daemon]\nVersion=9\n"
                                 "[Tier slow]\nNodes=7\n"
                                 "[Tier]\nNodes=6\n"
                                 "[Tier cheap]\nColour=blue\nNodes=2\n",
                                 &tiers),
                     0);
        cr_assert_eq(nodeset_count(&tiers.cheap), 1);
        cr_assert(nodeset_has(&tiers.cheap, 2));
        cr_assert(nodeset_is_empty(&tiers.fast));
}

Test(published, refuses_what_cannot_be_trusted)
{
        static const char *const bad[] = {
                "Nodes=1\nnonsense\n",
                "[Tier cheap]\nNodes=x\n",
                "[Tier cheap]\nNodes=1024\n",
                "[Tier cheap]\nNodes=1-3\n[Tier fast]\nNodes=0,3\n",
                "\x7f"
                "ELF",
        };
        Tiers tiers = {};

        nodeset_add(&tiers.fast, 5);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                cr_expect_eq(tiers_parse(bad[i], &tiers), -EBADMSG, "%s", bad[i]);
        cr_expect_eq(nodeset_count(&tiers.fast), 1);
}
