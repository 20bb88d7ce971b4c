/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include "daemon/histogram.h"
#include "policy/macro.h"

Test(histogram, quantiles_are_right_to_a_bucket)
{
        Histogram histogram = {};

        for (uint64_t us = 1; us <= 1000; us++)
                histogram_add(&histogram, us * 1000);
        for (unsigned per_mille = 10; per_mille < 1000; per_mille += 10) {
                uint64_t exact = per_mille * 1000, told = histogram_quantile(&histogram, per_mille);

                cr_expect_geq(told, exact, "%u: %lu", per_mille, told);
                cr_expect_leq(told, exact + exact / 7 + 1024, "%u: %lu", per_mille, told);
        }
        cr_expect_eq(histogram_quantile(&histogram, 1000), 1000000);
        cr_expect_eq(histogram.max_ns, 1000000);
}

Test(histogram, takes_everything)
{
        Histogram histogram = {};

        cr_expect_eq(histogram_quantile(&histogram, 500), 0);
        histogram_add(&histogram, 0);
        histogram_add(&histogram, UINT64_MAX / 4);
        histogram_add(&histogram, (UINT64_C(1) << 36) - 1);
        cr_expect_eq(histogram_quantile(&histogram, 1), 1024);
        cr_expect_eq(histogram_quantile(&histogram, 1000), UINT64_MAX / 4);
        cr_expect_eq(histogram.n, 3);
}

Test(histogram, text_counts_up)
{
        _cleanup_(freep) char *text = NULL;
        Histogram histogram = {};
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        histogram_add(&histogram, 1500);
        histogram_add(&histogram, 1500);
        histogram_add(&histogram, UINT64_C(2000000000));
        histogram_print(&histogram, "wait_seconds", "Waits.", stream);
        fclose(stream);
        cr_expect(strstr(text, "wait_seconds_bucket{le=\"0.000002048\"} 2\n"), "%s", text);
        cr_expect(strstr(text, "wait_seconds_bucket{le=\"+Inf\"} 3\n"), "%s", text);
        cr_expect(strstr(text, "wait_seconds_count 3\n"), "%s", text);
        cr_expect(strstr(text, "wait_seconds_sum 2.000003000\n"), "%s", text);
        cr_expect(strstr(text, "wait_seconds_quantile{quantile=\"1\"} 2.000000000\n"), "%s", text);
}
