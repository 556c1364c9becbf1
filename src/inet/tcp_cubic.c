/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/tcp_cubic.h"

#define C_SCALE	    0.4
#define BETA	    0.7
#define ALPHA	    (3.0 * (1.0 - BETA) / (1.0 + BETA))
#define MILLISECOND UINT64_C(1000000)

enum {
	INITIAL_SEGMENTS = 10,
	INITIAL_OCTETS = 14600,
	HYSTART_SAMPLES = 8,
	CSS_GROWTH_DIVISOR = 4,
	CSS_ROUNDS = 5,
};

static double cube_root(double x)
{
	double y = x > 1 ? x / 3 : 1;

	if (x <= 0)
		return 0;
	for (int i = 0; i < 60; i++) { /* Newton from above: monotonic */
		double next = (2 * y + x / (y * y)) / 3;

		if (next >= y && i > 0)
			break;
		y = next;
	}
	return y;
}

static uint32_t clamp(double octets, uint32_t least)
{
	if (octets < least)
		return least;
	return octets > TCP_WINDOW_MAX ? TCP_WINDOW_MAX : (uint32_t)octets;
}

/* RFC 6928 section 2 */
static uint32_t initial_window(uint32_t segment)
{
	uint32_t most = 2 * segment > INITIAL_OCTETS ? 2 * segment : INITIAL_OCTETS;

	return INITIAL_SEGMENTS * segment < most ? INITIAL_SEGMENTS * segment : most;
}

void tcp_cubic_init(struct tcp_cubic *c, uint32_t segment)
{
	*c = (struct tcp_cubic){
		.window = initial_window(segment),
		.threshold = UINT32_MAX,
		.segment = segment,
	};
}

void tcp_cubic_set_segment(struct tcp_cubic *c, uint32_t segment)
{
	c->segment = segment;
	if (c->window < segment)
		c->window = segment;
}

/* --- Slow start --- */

static void grow_slowly_started(struct tcp_cubic *c, uint32_t octets)
{
	uint32_t by = c->css_rounds ? octets / CSS_GROWTH_DIVISOR : octets;
	uint64_t window = (uint64_t)c->window + by;

	if (window > c->threshold)
		window = c->threshold;
	c->window = window > TCP_WINDOW_MAX ? TCP_WINDOW_MAX : (uint32_t)window;
}

static void end_round(struct tcp_cubic *c, uint64_t next)
{
	if (c->css_rounds && ++c->css_rounds > CSS_ROUNDS) {
		c->threshold = c->window;
		c->css_rounds = 0;
	}
	c->last_round_min_ns = c->round_min_ns;
	c->round_min_ns = UINT64_MAX;
	c->round_samples = 0;
	c->round_end = next;
}

/* RFC 9406 section 4.2: an eighth longer than in the round before, within 4 to 16 ms. */
static uint64_t too_long_by(uint64_t rtt_ns)
{
	uint64_t eighth = rtt_ns / 8;

	if (eighth < 4 * MILLISECOND)
		return 4 * MILLISECOND;
	return eighth > 16 * MILLISECOND ? 16 * MILLISECOND : eighth;
}

void tcp_cubic_round(struct tcp_cubic *c, uint64_t rtt_ns, uint64_t acknowledged, uint64_t next)
{
	if (!tcp_cubic_is_slow_start(c))
		return;
	if (acknowledged >= c->round_end)
		end_round(c, next);
	if (rtt_ns < c->round_min_ns)
		c->round_min_ns = rtt_ns;
	if (++c->round_samples < HYSTART_SAMPLES || c->last_round_min_ns == UINT64_MAX ||
	    c->last_round_min_ns == 0)
		return;
	if (c->css_rounds == 0 &&
	    c->round_min_ns >= c->last_round_min_ns + too_long_by(c->last_round_min_ns)) {
		c->css_rounds = 1;
		c->css_baseline_ns = c->round_min_ns;
	} else if (c->css_rounds && c->round_min_ns < c->css_baseline_ns) {
		c->css_rounds = 0; /* it was not a queue */
	}
}

/* --- Congestion avoidance --- */

static void begin_epoch(struct tcp_cubic *c, double window, uint64_t now_ns)
{
	c->epoch_ns = now_ns;
	c->w_est = window;
	if (c->w_max <= window) {
		c->w_max = window;
		c->k_s = 0;
	} else {
		c->k_s = cube_root((c->w_max - window) / C_SCALE);
	}
}

static double cubic_at(const struct tcp_cubic *c, double t_s)
{
	double d = t_s - c->k_s;

	return C_SCALE * d * d * d + c->w_max;
}

static void grow_by_time(struct tcp_cubic *c, uint32_t octets, uint64_t rtt_ns, uint64_t now_ns)
{
	double segment = c->segment, window = c->window / segment, acked = octets / segment;
	double t = 0, target = 0, grown = 0;

	if (c->epoch_ns == 0)
		begin_epoch(c, window, now_ns);
	t = (double)(now_ns - c->epoch_ns) / 1e9;
	c->w_est += (c->w_est < c->w_prior ? ALPHA : 1.0) * acked / window;
	if (cubic_at(c, t) < c->w_est) {
		grown = c->w_est > window ? c->w_est : window;
	} else {
		target = cubic_at(c, t + (double)rtt_ns / 1e9);
		if (target > 1.5 * window)
			target = 1.5 * window;
		grown = target > window ? window + (target - window) / window * acked : window;
	}
	c->credit += (grown - window) * segment;
	if (c->credit >= 1) {
		c->window = clamp(c->window + c->credit, c->segment);
		c->credit = 0;
	}
}

void tcp_cubic_acked(struct tcp_cubic *c, uint32_t octets, uint64_t smooth_rtt_ns,
		     uint64_t now_ns)
{
	if (tcp_cubic_is_slow_start(c))
		grow_slowly_started(c, octets);
	else
		grow_by_time(c, octets, smooth_rtt_ns, now_ns);
}

void tcp_cubic_congested(struct tcp_cubic *c)
{
	double window = (double)c->window / c->segment;

	c->w_prior = window;
	c->w_max = window < c->w_max ? window * (1 + BETA) / 2 : window; /* fast convergence */
	c->threshold = clamp(c->window * BETA, 2 * c->segment);
	c->epoch_ns = 0;
	c->credit = 0;
	c->css_rounds = 0;
}

void tcp_cubic_timeout(struct tcp_cubic *c, bool is_first)
{
	if (is_first)
		tcp_cubic_congested(c);
	c->epoch_ns = 0;
	c->window = c->segment;
}

void tcp_cubic_idle(struct tcp_cubic *c, uint64_t rtos)
{
	uint32_t least = initial_window(c->segment), window = c->window;

	c->epoch_ns = 0;
	while (rtos-- > 0 && window > least)
		window /= 2;
	if (c->window > least)
		c->window = window > least ? window : least;
}
