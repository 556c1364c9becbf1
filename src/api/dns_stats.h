/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dns_stats.h - Statistics of the resolvers, by contract open to everybody
 *
 * This gateway deploys no resolver: all levels are inactive and all counts zero. Laps are kept in
 * memory all the same, the newest DNS_LAPS_MAX.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

enum { DNS_LAPS_MAX = 20 };

struct dns_laps;

int dns_laps_new(struct dns_laps **ret);
struct dns_laps *dns_laps_free(struct dns_laps *l); /* takes NULL, returns NULL */

void dns_stats_show(struct call *call);
void dns_stats_summary(struct call *call);
void dns_stats_lap(struct call *call);
void dns_stats_laps(struct call *call);
void dns_stats_since(struct call *call);
void dns_stats_clear(struct call *call);
