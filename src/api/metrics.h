/* SPDX-License-Identifier: Apache-2.0 */
/**
 * metrics.h - What Prometheus asks for: traffic and handshakes of every peer, and our own gauges
 *
 * The names are those of the exporter that dashboards know; "?compat=wg-easy", "wg-portal" and "wgd"
 * give those of other programs. "?peers=off" leaves out what has a line for each peer, "?peers=on"
 * asks for it where that is off by configuration.
 *
 * Octets are counted since the peer was made, across restarts. What the interface said is at most
 * METRICS_AGE_S old, unless it takes longer to answer.
 *
 * Memory:  METRICS_BLOCK octets for each answer on its way, whatever the number of peers.
 * Threads: the main loop's.
 */
#pragma once

struct call;

enum {
	METRICS_AGE_S = 4, /* a scrape is on its way for up to a second */
	METRICS_BLOCK = 32768,
};

void metrics_show(struct call *call);
