/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "policy/config.h"
#include "policy/macro.h"

#define SECOND UINT64_C(1000000)

/* The example of the interface: every key with its default and a remark behind it. */
static const char example[] =
        "[Daemon]\n"
        "ReconcileSec=30s            # slow safety net; events do the work\n"
        "Damon=leave                 # take | leave\n"
        "[Device dax1.0]             # or uuid:…, path:…; nothing not named here is touched\n"
        "Online=yes                  # bind to kmem and online\n"
        "Zone=movable                # movable | normal\n"
        "OfflineOnStop=no\n"
        "[Tier cheap]\n"
        "Nodes=auto                  # nodes we onlined; or a list\n"
        "[Tier fast]\n"
        "Nodes=auto\n";

static void assert_merges(Config *config, const char *file, const char *text)
{
        ConfigError error = {};
        int r = config_merge(config, file, text, &error);

        cr_assert_eq(r, 0, "%s:%u: %s", error.file, error.line, error.message);
}

/* The file after defaults fails at @line with exactly @message. */
static void expect_error(const char *text, unsigned line, const char *message)
{
        _cleanup_(config_deinit) Config config;
        _cleanup_(config_error_deinit) ConfigError error = {};

        config_init(&config);
        cr_assert_eq(config_merge(&config, "a.conf", text, &error), -EBADMSG, "%s", text);
        cr_expect_str_eq(error.file, "a.conf");
        cr_expect_eq(error.line, line, "%s: line %u", text, error.line);
        cr_expect_str_eq(error.message, message);
}

Test(config, defaults_online_nothing_and_find_tiers_alone)
{
        _cleanup_(config_deinit) Config config;

        config_init(&config);
        cr_expect_eq(config.reconcile_usec, 30 * SECOND);
        cr_expect_eq(config.n_devices, 0);
        cr_expect(config.cheap.automatic);
        cr_expect(config.fast.automatic);
}

Test(config, reads_the_documented_example)
{
        _cleanup_(config_deinit) Config config;

        config_init(&config);
        config.reconcile_usec = 1;
        assert_merges(&config, "a.conf", example);
        cr_expect_eq(config.reconcile_usec, 30 * SECOND);
        cr_assert_eq(config.n_devices, 1);
        cr_expect_str_eq(config.devices[0].name, "dax1.0");
        cr_expect(config.devices[0].online);
        cr_expect_eq(config.devices[0].zone, ZONE_MOVABLE);
        cr_expect_not(config.devices[0].offline_on_stop);
        cr_expect(config.cheap.automatic);
}

Test(config, reads_every_key)
{
        _cleanup_(config_deinit) Config config;

        config_init(&config);
        assert_merges(&config, "a.conf",
                      "[Daemon]\nReconcileSec=1min 30s\nDamon=take\n"
                      "[Device dax0.1]\nOnline=off\nZone=normal\nOfflineOnStop=true\n"
                      "[Tier cheap]\nNodes=2-3\n"
                      "[Tier fast]\nNodes=0,1\n");
        cr_expect_eq(config.reconcile_usec, 90 * SECOND);
        cr_expect(config.damon_take);
        cr_expect_not(config.devices[0].online);
        cr_expect_eq(config.devices[0].zone, ZONE_NORMAL);
        cr_expect(config.devices[0].offline_on_stop);
        cr_expect_not(config.cheap.automatic);
        cr_expect_eq(nodeset_count(&config.cheap.nodes), 2);
        cr_expect(nodeset_has(&config.cheap.nodes, 3));
        cr_expect(nodeset_has(&config.fast.nodes, 1));
        cr_expect_eq(config_check(&config, NULL), 0);
}

Test(config, later_files_win_key_by_key_and_devices_merge)
{
        _cleanup_(config_deinit) Config config;

        config_init(&config);
        assert_merges(&config, "a.conf",
                      "[Device dax1.0]\nZone=normal\nOfflineOnStop=yes\n[Device dax2.0]\n");
        assert_merges(&config, "b.conf",
                      "[Device uuid:AAAAAAAA-0000-4000-8000-00000000000F]\n"
                      "[Device dax1.0]\nZone=movable\n"
                      "[Device uuid:aaaaaaaa-0000-4000-8000-00000000000f]\nOnline=no\n");
        cr_assert_eq(config.n_devices, 3);
        cr_expect_str_eq(config.devices[0].name, "dax1.0");
        cr_expect_eq(config.devices[0].zone, ZONE_MOVABLE);
        cr_expect(config.devices[0].offline_on_stop, "a key that the later file leaves out stays");
        cr_expect_str_eq(config.devices[1].name, "dax2.0");
        cr_expect_str_eq(config.devices[2].name, "uuid:aaaaaaaa-0000-4000-8000-00000000000f");
        cr_expect_not(config.devices[2].online);
}

Test(config, an_empty_assignment_means_the_default)
{
        _cleanup_(config_deinit) Config config;

        config_init(&config);
        assert_merges(&config, "a.conf",
                      "[Daemon]\nReconcileSec=5s\n[Device dax1.0]\nOnline=no\nZone=normal\n"
                      "OfflineOnStop=yes\n[Tier cheap]\nNodes=1\n");
        assert_merges(&config, "b.conf",
                      "[Daemon]\nReconcileSec=\n[Device dax1.0]\nOnline=\nZone=  # none\n"
                      "OfflineOnStop=\n[Tier cheap]\nNodes=\n");
        cr_expect_eq(config.reconcile_usec, 30 * SECOND);
        cr_expect(config.devices[0].online);
        cr_expect_eq(config.devices[0].zone, ZONE_MOVABLE);
        cr_expect_not(config.devices[0].offline_on_stop);
        cr_expect(config.cheap.automatic);
}

Test(config, takes_a_device_by_any_of_its_three_names)
{
        static const char *const good[] = {
                "dax0.0",
                "dax10.11",
                "uuid:01234567-89ab-cdef-0123-456789abcdef",
                "path:/devices/LNXSYSTM:00/*/ndbus0/region1/dax1.[01]/dax1.0",
                "path:*/hmem.0/*",
        };
        static const char *const bad[] = {
                "",
                "dax",
                "dax1",
                "dax1.",
                "dax.1",
                "dax1.0x",
                "dax01.0",
                "dax1.0 ",
                "/dev/dax1.0",
                "uuid:0123",
                "uuid:",
                "path:",
                "path:dax1.0",
                "DAX1.0",
                "uuid:g1234567-89ab-cdef-0123-456789abcdef",
        };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                _cleanup_(freep) char *name = NULL;

                cr_assert_eq(device_name_parse(good[i], &name), 0, "%s", good[i]);
                cr_expect_str_eq(name, good[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                char *name = NULL;

                cr_expect_eq(device_name_parse(bad[i], &name), -EINVAL, "%s", bad[i]);
                cr_expect_null(name);
        }
}

/* inih itself cuts a section's name at 49 bytes, and at a "]" inside. */
Test(config, keeps_a_long_device_name_whole)
{
        static const char name[] = "path:/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/"
                                   "region[01]/dax1.1/dax1.0";
        _cleanup_(config_deinit) Config config;
        char text[200];

        snprintf(text, sizeof(text), "[Device %s]\nZone=normal\n", name);
        config_init(&config);
        assert_merges(&config, "a.conf", text);
        cr_assert_eq(config.n_devices, 1);
        cr_expect_str_eq(config.devices[0].name, name);
        cr_expect_eq(config.devices[0].zone, ZONE_NORMAL);
}

Test(config, unknown_names_are_errors_with_the_nearest_known_one)
{
        expect_error("[Daemon]\n\n# remark\nReconcileSecs=1s\n", 4,
                     "unknown key ReconcileSecs= in [Daemon]; did you mean ReconcileSec=?");
        expect_error("[Device dax1.0]\nZoen=movable\n", 2,
                     "unknown key Zoen= in [Device]; did you mean Zone=?");
        expect_error("[Device dax1.0]\nzone=movable\n", 2,
                     "unknown key zone= in [Device]; did you mean Zone=?");
        expect_error("[Device dax1.0]\nOffline=yes\n", 2,
                     "unknown key Offline= in [Device]; did you mean Online=?");
        expect_error("\n[Devcie dax1.0]\nZone=normal\n", 2,
                     "unknown section [Devcie]; did you mean [Device]?");
        expect_error("[Match]\n", 1, "unknown section [Match]; did you mean [Daemon]?");
        expect_error("[Daemon]\nZone=normal\n", 2,
                     "Zone= does not belong in [Daemon]; it belongs in [Device]");
}

Test(config, section_headings_are_checked_even_without_keys)
{
        expect_error("[Device]\n", 1,
                     "[Device]: expected a device after Device: dax1.0 (its name in /dev), "
                     "uuid:UUID of its namespace, or path:GLOB on its path in /sys");
        expect_error("[Device pmem0]\n", 1,
                     "[Device pmem0]: expected a device after Device: dax1.0 (its name in /dev), "
                     "uuid:UUID of its namespace, or path:GLOB on its path in /sys");
        expect_error("[Tier slow]\n", 1, "[Tier slow]: expected [Tier cheap] or [Tier fast]");
        expect_error("[Tier]\n", 1, "[Tier]: expected [Tier cheap] or [Tier fast]");
        expect_error("[Daemon x]\n", 1, "[Daemon x]: expected [Daemon] alone");
        expect_error("[Tier cheap\nNodes=1\n", 1,
                     "[Tier cheap: expected a ] at the end of the section's name");
        expect_error("[Tier cheap] Nodes=1\n", 1,
                     "[Tier cheap] Nodes=1: expected a ] at the end of the section's name");
        expect_error("[]\n", 1, "unknown section []; did you mean [Tier]?");
        expect_error("[\n", 1, "[: expected a ] at the end of the section's name");
}

Test(config, bad_values_say_what_was_expected)
{
        expect_error("[Daemon]\nReconcileSec=soon\n", 2,
                     "ReconcileSec=soon: expected a time of at least 1s, such as 30s or 1min 30s");
        expect_error("[Daemon]\nReconcileSec=999ms\n", 2,
                     "ReconcileSec=999ms: expected a time of at least 1s, such as 30s or 1min 30s");
        expect_error("[Daemon]\nReconcileSec=99999999y\n", 2,
                     "ReconcileSec=99999999y is too large: expected a time of at least 1s, such as "
                     "30s or 1min 30s");
        expect_error("[Device dax1.0]\nOnline=maybe\n", 2, "Online=maybe: expected yes or no");
        expect_error("[Device dax1.0]\nOfflineOnStop=2\n", 2,
                     "OfflineOnStop=2: expected yes or no");
        expect_error("[Device dax1.0]\nZone=moveable\n", 2,
                     "Zone=moveable: expected movable or normal");
        expect_error("[Tier cheap]\nNodes=two\n", 2,
                     "Nodes=two: expected auto or a list of NUMA nodes, such as 2 or 2-3,5");
        expect_error("[Tier cheap]\nNodes=3-2\n", 2,
                     "Nodes=3-2: expected auto or a list of NUMA nodes, such as 2 or 2-3,5");
        expect_error("[Tier cheap]\nNodes=1024\n", 2,
                     "Nodes=1024 is too large: expected auto or a list of NUMA nodes, such as 2 or "
                     "2-3,5");
}

Test(config, lines_that_say_nothing_are_refused)
{
        expect_error("Zone=normal\n", 1, "Zone= stands before any section; it belongs in [Device]");
        expect_error("# remark\n\nColour=blue\n", 3,
                     "Colour= stands before any section; expected a [Section] first");
        expect_error("[Daemon]\nReconcileSec\n", 2,
                     "ReconcileSec: expected KEY=VALUE, a [Section] or a # remark");
        expect_error("[Daemon]\nReconcileSec: 5s\n", 2,
                     "ReconcileSec: 5s: expected KEY=VALUE, a [Section] or a # remark");
        expect_error("[Device dax1.0]\nZone:normal=yes\n", 2,
                     "Zone:normal=yes: expected KEY=VALUE, a [Section] or a # remark");
        expect_error("[Daemon]\n=5s\n", 2, "=5s: expected KEY=VALUE, a [Section] or a # remark");
        expect_error("[Daemon]\nReconcileSec=5s\n\x1b[31m\n", 3,
                     "expected UTF-8 text without control characters");
        expect_error("[Daemon]\nReconcileSec=caf\xe9\n", 2,
                     "expected UTF-8 text without control characters");
}

/* inih would cut the line at 200 bytes and take the rest for a line of its own. */
Test(config, a_line_too_long_for_inih_is_refused_not_cut)
{
        char text[400] = "[Tier cheap]\nNodes=";
        size_t length = strlen(text);

        memset(text + length, '1', 250);
        expect_error(text, 2,
                     "the line has 256 bytes: expected at most 198; shorten a path with *");

        /* Lines of a hundred thousand bytes neither. */
        _cleanup_(freep) char *huge = malloc(100001);
        cr_assert_not_null(huge);
        memset(huge, 'x', 100000);
        huge[100000] = '\0';
        expect_error(huge, 1,
                     "the line has 100000 bytes: expected at most 198; shorten a path with *");
}

/* inih would join the line to the value above. */
Test(config, an_indented_line_is_a_line_of_its_own)
{
        _cleanup_(config_deinit) Config config;

        config_init(&config);
        assert_merges(&config, "a.conf",
                      "  [Device dax1.0]\n\tOnline=no\n\tZone = normal\r\n\r\n ; remark\n");
        cr_expect_not(config.devices[0].online);
        cr_expect_eq(config.devices[0].zone, ZONE_NORMAL);
        expect_error("[Device dax1.0]\nZone=normal\n  movable\n", 3,
                     "movable: expected KEY=VALUE, a [Section] or a # remark");
}

Test(config, reads_a_byte_order_mark_and_a_last_line_without_newline)
{
        _cleanup_(config_deinit) Config config;

        config_init(&config);
        assert_merges(&config, "a.conf", "\xef\xbb\xbf[Daemon]\nReconcileSec=7s");
        cr_expect_eq(config.reconcile_usec, 7 * SECOND);
        assert_merges(&config, "b.conf", "");
        expect_error("[Daemon]\nReconcileSec=7x", 2,
                     "ReconcileSec=7x: expected a time of at least 1s, such as 30s or 1min 30s");
}

Test(config, stops_at_the_first_error)
{
        expect_error("[Daemon]\nFoo=1\nBar=2\n[Nonsense]\n", 2,
                     "unknown key Foo= in [Daemon]; did you mean Damon=?");
}

Test(config, a_node_in_both_tiers_is_an_error_of_the_whole)
{
        _cleanup_(config_deinit) Config config;
        _cleanup_(config_error_deinit) ConfigError error = {};

        config_init(&config);
        assert_merges(&config, "a.conf", "[Tier cheap]\nNodes=1-3\n");
        assert_merges(&config, "b.conf", "\n[Tier fast]\n\nNodes=0,2\n");
        cr_assert_eq(config_check(&config, &error), -EBADMSG);
        cr_expect_str_eq(error.file, "b.conf");
        cr_expect_eq(error.line, 4);
        cr_expect_str_eq(error.message,
                         "node 2 is in [Tier fast] and, by a.conf:2, in [Tier cheap]: expected "
                         "every node in one tier at most");

        /* A later file may mend it: only the whole counts. */
        assert_merges(&config, "c.conf", "[Tier cheap]\nNodes=1,3\n");
        cr_expect_eq(config_check(&config, NULL), 0);
}

Test(config, an_error_reads_as_one_line)
{
        ConfigError error = { .file = (char *)"/etc/a.conf", .line = 3, .message = (char *)"no" };
        char *text;

        cr_assert_eq(config_error_format(&error, &text), 0);
        cr_expect_str_eq(text, "/etc/a.conf:3: no");
        free(text);

        error.line = 0;
        cr_assert_eq(config_error_format(&error, &text), 0);
        cr_expect_str_eq(text, "/etc/a.conf: no");
        free(text);
}

/* Bytes that a fixed generator makes, half of them from the alphabet of real files. */
Test(config, survives_any_bytes)
{
        static const char alphabet[] = "[]=:;# \t\n\nDeviceTrNosZn.dax10-*/";
        uint64_t state = 88172645463325252;

        for (unsigned round = 0; round < 20000; round++) {
                _cleanup_(config_deinit) Config config;
                _cleanup_(config_error_deinit) ConfigError error = {};
                char text[256];
                int r;

                for (size_t i = 0; i < sizeof(text); i++) {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        text[i] = round % 2 ? alphabet[state % (sizeof(alphabet) - 1)]
                                            : (char)(state >> 24);
                }
                text[sizeof(text) - 1] = '\0';

                config_init(&config);
                r = config_merge(&config, "a.conf", text, &error);
                cr_assert(r == 0 || (r == -EBADMSG && error.line > 0 && error.message));
        }
}
