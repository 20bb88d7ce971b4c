/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <stdio.h>

typedef struct Histogram Histogram;

/* Each power of two nanoseconds in so many parts: a value is known to about 10 %. */
#define HISTOGRAM_PARTS 8u
/* From 1 us, below which all is one, to 2^36 ns, 69 s, above which all is one. */
#define HISTOGRAM_FIRST   10u
#define HISTOGRAM_LAST    36u
#define HISTOGRAM_BUCKETS ((HISTOGRAM_LAST - HISTOGRAM_FIRST) * HISTOGRAM_PARTS + 2u)

/* Durations. Zero-initialised it is empty. */
struct Histogram {
        uint64_t counts[HISTOGRAM_BUCKETS];
        uint64_t n;
        uint64_t sum_ns;
        uint64_t max_ns;
};

void histogram_add(Histogram *histogram, uint64_t ns);

/* The upper end of the bucket in which the @per_mille-th part of all values ends; 0: no values. */
uint64_t histogram_quantile(const Histogram *histogram, unsigned per_mille);

/* As OpenMetrics text, in seconds: a histogram by powers of two, and as gauges of @name_quantile what
 * is known better: median, 99 % and maximum. */
void histogram_print(const Histogram *histogram, const char *name, const char *help, FILE *stream);
