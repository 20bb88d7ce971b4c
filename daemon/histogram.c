/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/histogram.h"

#include <inttypes.h>

#define NS_PER_SEC 1e9

static unsigned bucket_of(uint64_t ns)
{
        unsigned log2, part;

        if (ns < UINT64_C(1) << HISTOGRAM_FIRST)
                return 0;
        if (ns >= UINT64_C(1) << HISTOGRAM_LAST)
                return HISTOGRAM_BUCKETS - 1;

        log2 = 63u - (unsigned)__builtin_clzll(ns);
        part = (unsigned)((ns - (UINT64_C(1) << log2)) * HISTOGRAM_PARTS >> log2);
        return 1 + (log2 - HISTOGRAM_FIRST) * HISTOGRAM_PARTS + part;
}

/* Every value of the bucket is below it. */
static uint64_t bucket_end(unsigned bucket)
{
        unsigned log2 = HISTOGRAM_FIRST + (bucket - 1) / HISTOGRAM_PARTS;
        unsigned part = (bucket - 1) % HISTOGRAM_PARTS;

        if (bucket == 0)
                return UINT64_C(1) << HISTOGRAM_FIRST;
        return (UINT64_C(1) << log2) + ((UINT64_C(1) << log2) / HISTOGRAM_PARTS) * (part + 1);
}

void histogram_add(Histogram *histogram, uint64_t ns)
{
        histogram->counts[bucket_of(ns)]++;
        histogram->n++;
        histogram->sum_ns += ns;
        if (ns > histogram->max_ns)
                histogram->max_ns = ns;
}

uint64_t histogram_quantile(const Histogram *histogram, unsigned per_mille)
{
        uint64_t wanted = (histogram->n * per_mille + 999) / 1000, seen = 0;

        if (histogram->n == 0)
                return 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
                seen += histogram->counts[i];
                if (seen >= wanted)
                        return bucket_end(i) < histogram->max_ns ? bucket_end(i)
                                                                 : histogram->max_ns;
        }
        return histogram->max_ns;
}

static double seconds(uint64_t ns)
{
        return (double)ns / NS_PER_SEC;
}

void histogram_print(const Histogram *histogram, const char *name, const char *help, FILE *stream)
{
        uint64_t seen = 0;

        fprintf(stream, "# TYPE %s histogram\n# UNIT %s seconds\n# HELP %s %s\n", name, name, name,
                help);
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
                seen += histogram->counts[i];
                if (i % HISTOGRAM_PARTS == 0)
                        fprintf(stream, "%s_bucket{le=\"%.9f\"} %" PRIu64 "\n", name,
                                seconds(bucket_end(i)), seen);
        }
        fprintf(stream, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9f\n%s_count %" PRIu64 "\n",
                name, histogram->n, name, seconds(histogram->sum_ns), name, histogram->n);

        fprintf(stream,
                "# TYPE %s_quantile gauge\n# HELP %s_quantile The same: median, 99 %%, maximum.\n",
                name, name);
        fprintf(stream, "%s_quantile{quantile=\"0.5\"} %.9f\n", name,
                seconds(histogram_quantile(histogram, 500)));
        fprintf(stream, "%s_quantile{quantile=\"0.99\"} %.9f\n", name,
                seconds(histogram_quantile(histogram, 990)));
        fprintf(stream, "%s_quantile{quantile=\"1\"} %.9f\n", name, seconds(histogram->max_ns));
}
