/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/conffiles.h"
#include "policy/macro.h"
#include "tests/unit/scratch.h"

/* The manual pages and the files in conf/ say what the parser's tables say: the same sections, the
 * same keys, the same defaults. */

static char *conf_read(const char *name)
{
        _cleanup_(closep) int fd = fixture_open("../../conf");
        char *text;
        size_t size;
        int r = attr_read_all(fd, name, CONFFILE_BYTES_MAX, &text, &size);

        cr_assert_eq(r, 0, "%s: %s", name, strerror(-r));
        return text;
}

static bool starts_with(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Where the page describes @section: from behind its "## [NAME" to the next heading. */
static char *manual_section(const char *page, const char *section)
{
        const char *start, *end;
        char heading[64];

        snprintf(heading, sizeof(heading), "\n## [%s", section);
        start = strstr(page, heading);
        cr_assert_not_null(start, "no heading \"## [%s…]\"", section);
        end = strstr(start + strlen(heading), "\n#");
        cr_assert_not_null(end);

        return strndup(start, (size_t)(end - start));
}

/* Every key of @section has an entry that begins with itself and its default. */
static void expect_keys_described(const char *page, const IniSection *section)
{
        _cleanup_(freep) char *part = manual_section(page, section->name);

        for (size_t i = 0; i < section->n_keys; i++) {
                const IniKey *key = &section->keys[i];
                char entry[128];

                if (*key->fallback != '\0')
                        snprintf(entry, sizeof(entry), "\n*%s=*_%s_\n\t", key->name, key->fallback);
                else
                        snprintf(entry, sizeof(entry), "\n*%s=*\n\t", key->name);
                cr_expect_not_null(strstr(part, entry), "[%s] lacks the entry:%s", section->name,
                                   entry);
        }
}

static bool schema_has_key(const IniSchema *schema, const char *name, size_t length)
{
        for (size_t i = 0; i < schema->n_sections; i++)
                for (size_t k = 0; k < schema->sections[i].n_keys; k++) {
                        const char *known = schema->sections[i].keys[k].name;

                        if (strlen(known) == length && strncmp(known, name, length) == 0)
                                return true;
                }

        return false;
}

/* Every entry, a line that begins with "*NAME=*", is a key of the parser. */
static void expect_entries_known(const char *page, const IniSchema *schema)
{
        size_t n = 0;

        for (const char *line = page; line; line = strchr(line, '\n')) {
                size_t length;

                line += *line == '\n';
                length = *line == '*' ? strcspn(line + 1, "=*\n") : 0;
                if (length == 0 || line[1 + length] != '=')
                        continue;

                n++;
                cr_expect(schema_has_key(schema, line + 1, length), "described but not known: %.*s",
                          (int)length, line + 1);
        }

        cr_expect_gt(n, 0);
}

static void expect_manual_matches(const char *name, const IniSchema *schema)
{
        _cleanup_(freep) char *page = conf_read(name);

        for (size_t i = 0; i < schema->n_sections; i++)
                expect_keys_described(page, &schema->sections[i]);
        expect_entries_known(page, schema);
}

Test(manual, daxtierd_conf_describes_every_key_with_its_default)
{
        expect_manual_matches("daxtierd.conf.5.scd", &config_schema);
}

Test(manual, daxtier_policy_describes_every_key_with_its_default)
{
        expect_manual_matches("daxtier-policy.5.scd", &rule_schema);
}

Test(manual, the_installed_configuration_changes_nothing)
{
        _cleanup_(freep) char *text = conf_read("daxtierd.conf");
        _cleanup_(config_deinit) Config config;
        ConfigError error = {};

        config_init(&config);
        config.reconcile_usec = 77;
        cr_assert_eq(config_merge(&config, "daxtierd.conf", text, &error), 0, "%u: %s", error.line,
                     error.message);
        cr_expect_eq(config.reconcile_usec, 77);
        cr_expect_eq(config.n_devices, 0);
        cr_expect_null(config.cheap.file);
        cr_expect_null(config.fast.file);
}

Test(manual, the_installed_configuration_shows_every_key_with_its_default)
{
        _cleanup_(freep) char *text = conf_read("daxtierd.conf");

        for (size_t i = 0; i < config_schema.n_sections; i++)
                for (size_t k = 0; k < config_schema.sections[i].n_keys; k++) {
                        const IniKey *key = &config_schema.sections[i].keys[k];
                        char line[128];

                        snprintf(line, sizeof(line), "\n#%s=%s\n", key->name, key->fallback);
                        cr_expect_not_null(strstr(text, line), "missing:%s", line);
                }

        /* What is behind a "#" that touches the text is meant to be taken out of the remark. */
        for (char *line = text; line; line = strchr(line + 1, '\n'))
                if (starts_with(line, "\n#") && line[2] != ' ' && line[2] != '\n')
                        line[1] = ' ';

        _cleanup_(config_deinit) Config config;
        ConfigError error = {};
        config_init(&config);
        cr_assert_eq(config_merge(&config, "daxtierd.conf", text, &error), 0, "%u: %s", error.line,
                     error.message);
        cr_expect_eq(config.n_devices, 1);
        cr_expect_not_null(config.fast.file);
}

Test(manual, the_examples_are_policies)
{
        static const char *const names[] = {
                "examples/50-vm-clones.conf.example",
                "examples/60-jvm.conf.example",
                "examples/70-redis.conf.example",
                "examples/80-batch.conf.example",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_(freep) char *text = conf_read(names[i]);
                _cleanup_(rule_deinit) Rule rule = {};
                ConfigError error = {};

                cr_expect_eq(rule_parse(names[i], text, &rule, &error), 0, "%s:%u: %s", names[i],
                             error.line, error.message);
        }
}
