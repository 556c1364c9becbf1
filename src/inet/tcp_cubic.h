/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_cubic.h - How much may be on its way
 *
 * Source:  RFC 9438 (CUBIC); RFC 6928 (initial window); RFC 9406 (HyStart++: slow start ends
 *          when round trips get longer, before a queue overflows); RFC 5681 section 4.1 (after idling).
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { TCP_WINDOW_MAX = 1 << 26 }; /* octets in flight, at most */

/**
 * struct tcp_cubic - Windows in octets
 * @w_max, @w_prior, @w_est, @k_s: In segments and seconds, as in RFC 9438
 * @epoch_ns:	Congestion avoidance began; 0: has not
 * @credit:	A fraction of an octet or more not yet in @window
 * @round_end:	HyStart++: this round ends when this position is acknowledged
 */
struct tcp_cubic {
	uint32_t window;
	uint32_t threshold;
	uint32_t segment;
	double w_max;
	double w_prior;
	double w_est;
	double k_s;
	double credit;
	uint64_t epoch_ns;
	uint64_t round_end;
	uint64_t round_min_ns;
	uint64_t last_round_min_ns;
	uint64_t css_baseline_ns;
	uint32_t round_samples;
	uint32_t css_rounds; /* 0: ordinary slow start */
};

void tcp_cubic_init(struct tcp_cubic *c, uint32_t segment);
/* The segment size changed (a smaller path MTU). */
void tcp_cubic_set_segment(struct tcp_cubic *c, uint32_t segment);

/** tcp_cubic_acked() - @octets were acknowledged while the window was what held us back */
void tcp_cubic_acked(struct tcp_cubic *c, uint32_t octets, uint64_t smooth_rtt_ns,
		     uint64_t now_ns);

/**
 * tcp_cubic_round() - HyStart++: a sample of the round trip
 * @acknowledged, @next: Stream positions
 */
void tcp_cubic_round(struct tcp_cubic *c, uint64_t rtt_ns, uint64_t acknowledged,
		     uint64_t next);

/** tcp_cubic_congested() - Something was lost, or marked: the threshold comes down; the window is
 * brought there by the caller (RFC 6937) */
void tcp_cubic_congested(struct tcp_cubic *c);

/** tcp_cubic_timeout() - Nothing came back at all. @is_first: not again for the same octets */
void tcp_cubic_timeout(struct tcp_cubic *c, bool is_first);

/** tcp_cubic_idle() - Nothing was sent for so many RTOs: what the window says is old */
void tcp_cubic_idle(struct tcp_cubic *c, uint64_t rtos);

static inline bool tcp_cubic_is_slow_start(const struct tcp_cubic *c)
{
	return c->window < c->threshold;
}
