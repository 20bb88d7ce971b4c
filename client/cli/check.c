/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/cli/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/kernel/feature.h"
#include "policy/macro.h"

const Check checks[] = {
        { "device", probe_devices },
        { "kmem", probe_feature, FEATURE_KMEM },
        { "memory-hotplug", probe_feature, FEATURE_MEMORY_HOTPLUG },
        { "named-device", probe_named },
        { "cheap-tier", probe_cheap },
        { "daemon", probe_daemon },
        { "injector", probe_injector },
        { "ptrace", probe_ptrace },
        { "cgroup2", probe_cgroup2 },
        { "auto-online", probe_auto_online },
        { "mount", probe_mounts },
        { "cpuset", probe_cpuset },
        { "overcommit", probe_overcommit },
        { "numa-balancing", probe_numa_balancing },
        { "damon-busy", probe_damon },
        { "demotion", probe_demotion },
        { "relocation", probe_relocation },
        { "cold-memory", probe_cold },
        { "fast-max", probe_fast_max },
        { "lockdown", probe_lockdown },
        { "preferred-many", probe_feature, FEATURE_PREFERRED_MANY },
        { "perf-cgroup", probe_feature, FEATURE_PERF_CGROUP },
        { "suspend-seccomp", probe_feature, FEATURE_SUSPEND_SECCOMP },
        { "damon", probe_feature, FEATURE_DAMON },
        { "damon-migrate", probe_feature, FEATURE_DAMON_MIGRATE },
        { "uffd-wp-async", probe_feature, FEATURE_UFFD_WP_ASYNC },
        { "pagemap-scan", probe_feature, FEATURE_PAGEMAP_SCAN },
        { "cachestat", probe_feature, FEATURE_CACHESTAT },
};
const size_t n_checks = ARRAY_SIZE(checks);

const Check *check_find(const char *id)
{
        for (size_t i = 0; i < n_checks; i++)
                if (strcmp(checks[i].id, id) == 0)
                        return &checks[i];
        return NULL;
}

const char *verdict_name(Verdict verdict)
{
        static const char *const names[] = {
                [VERDICT_OK] = "ok",     [VERDICT_INFO] = "info", [VERDICT_UNKNOWN] = "unknown",
                [VERDICT_WARN] = "warn", [VERDICT_FAIL] = "fail",
        };

        return names[verdict];
}

static char *text_vformat(const char *format, va_list arguments)
{
        char *text;

        /* On failure the C library leaves @text undefined. */
        return vasprintf(&text, format, arguments) < 0 ? NULL : text;
}

char *text_format(const char *format, ...)
{
        va_list arguments;
        char *text;

        va_start(arguments, format);
        text = text_vformat(format, arguments);
        va_end(arguments);
        return text;
}

char *text_quote(const char *text)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "/._@:+,=-";
        char *quoted, *at;

        if (*text && text[strspn(text, plain)] == '\0')
                return strdup(text);

        quoted = malloc(4 * strlen(text) + 3);
        if (!quoted)
                return NULL;

        at = quoted;
        *at++ = '\'';
        for (; *text; text++)
                if (*text == '\'')
                        at = stpcpy(at, "'\\''");
                else
                        *at++ = *text;
        stpcpy(at, "'");
        return quoted;
}

int findings_add(Findings *findings, Verdict verdict, const char *mend, const char *reason, ...)
{
        _cleanup_(freep) char *mend_copy = NULL, *text = NULL;
        Finding *items;
        va_list arguments;

        if (mend) {
                mend_copy = strdup(mend);
                if (!mend_copy)
                        return -ENOMEM;
        }

        va_start(arguments, reason);
        text = text_vformat(reason, arguments);
        va_end(arguments);
        if (!text)
                return -ENOMEM;

        items = reallocarray(findings->items, findings->n_items + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        findings->items = items;
        items[findings->n_items++] = (Finding){
                .verdict = verdict,
                .reason = TAKE_PTR(text),
                .mend = TAKE_PTR(mend_copy),
        };
        return 0;
}

void findings_deinit(Findings *findings)
{
        for (size_t i = 0; i < findings->n_items; i++) {
                free(findings->items[i].reason);
                free(findings->items[i].mend);
        }
        free(findings->items);
        *findings = (Findings){};
}
