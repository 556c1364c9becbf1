/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A laptop that wanders between networks for weeks, each of which lets through some ways and not
 * others, and changes its mind. What is checked needs no knowledge of how fallback.c decides:
 * where something works it is found in time, UDP is come back to, and looking for it costs little.
 */
#include <stdlib.h>

#include "../unit/test.h"
#include "carrier/fallback.h"
#include "sys/random.h"

enum { WAYS = 4, NETWORKS = 12, SOAK_DAYS = 1000, DAYS = 60 };

#define TICK_NS (FALLBACK_SECOND / 5)
#define DAY_NS	(UINT64_C(86400) * FALLBACK_SECOND)
/* Every way in vain once, the longest pause, and one that was lost before that. */
#define FOUND_NS \
	(FALLBACK_SILENCE_NS + 2 * WAYS * FALLBACK_PATIENCE_NS + 2 * FALLBACK_LAST_PAUSE_NS)

static uint64_t state;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

/* The world: which ways each network lets through, and since when that is so. */
struct world {
	struct fallback f;
	uint64_t now;
	uint64_t since; /* nothing changed since then, but for time passing */
	unsigned int open[NETWORKS];
	unsigned int network;
	bool is_busy;
	uint64_t busy_since;
	uint64_t probing_ns;
	uint64_t settled_ns; /* on a carrier, with traffic */
	unsigned int moves;
};

static void change(struct world *w)
{
	switch (draw(4)) {
	case 0:
	case 1:
		w->network = (unsigned int)draw(NETWORKS);
		fallback_moved(&w->f, w->network, w->now);
		w->moves++;
		break;
	case 2:
		w->open[w->network] = (unsigned int)draw(1U << WAYS);
		break;
	case 3:
		w->is_busy = !w->is_busy;
		w->busy_since = w->now;
		break;
	}
	w->since = w->now;
}

static bool works(const struct world *w, unsigned int way)
{
	return w->open[w->network] >> way & 1;
}

static void judge(struct world *w)
{
	uint64_t quiet = w->now - w->since;

	if (!w->is_busy || w->now - w->busy_since < quiet)
		quiet = w->is_busy ? w->now - w->busy_since : 0;
	if (quiet > FOUND_NS && w->open[w->network] != 0 && w->f.state != FALLBACK_PROBING) {
		CHECK(w->f.state == FALLBACK_SETTLED);
		CHECK(works(w, w->f.way));
	}
	if (quiet > FOUND_NS + FALLBACK_LAST_PROBE_NS + FALLBACK_PROBE_NS &&
	    works(w, FALLBACK_UDP))
		CHECK(w->f.way == FALLBACK_UDP);
	CHECK(w->f.way < WAYS && w->f.n_memory <= FALLBACK_NETWORKS_MAX);
}

static void tick(struct world *w)
{
	unsigned int way;

	if (w->is_busy)
		fallback_sent(&w->f, w->now);
	if (w->is_busy && works(w, w->f.way) && draw(3) == 0)
		fallback_heard(&w->f, w->now);
	else if (!works(w, w->f.way) && w->f.way != FALLBACK_UDP && draw(50) == 0)
		fallback_refused(&w->f, w->now);
	way = fallback_step(&w->f, w->now);
	CHECK(way == w->f.way);
	CHECK(fallback_deadline_ns(&w->f) > w->now);
	if (w->f.state == FALLBACK_PROBING)
		w->probing_ns += TICK_NS;
	else if (w->f.state == FALLBACK_SETTLED && way != FALLBACK_UDP)
		w->settled_ns += TICK_NS;
	judge(w);
}

static void wanders_for_weeks_and_always_finds_a_way(void)
{
	unsigned int days = getenv("CULVERT_SOAK") ? SOAK_DAYS : DAYS;
	struct world w = { .now = FALLBACK_SECOND, .is_busy = true };
	uint64_t end = days * DAY_NS, next = 0;

	random_fill(&state, sizeof(state));
	state |= 1;
	printf("# seed %llu\n", (unsigned long long)state);
	printf("# scale: %u days, full %u\n", days, SOAK_DAYS);
	for (unsigned int n = 0; n < NETWORKS; n++)
		w.open[n] = (unsigned int)draw(1U << WAYS);
	fallback_begin(&w.f, WAYS, 0, w.now);
	for (; w.now < end && !test_failed; w.now += TICK_NS) {
		if (w.now >= next) {
			change(&w);
			next = w.now + (10 + draw(4 * 3600)) * FALLBACK_SECOND;
		}
		tick(&w);
	}
	printf("# %u moves; of the time on carriers %.3f %% went into looking for UDP\n",
	       w.moves,
	       100.0 * (double)w.probing_ns / (double)(w.probing_ns + w.settled_ns + 1));
	CHECK(w.moves > days);
	CHECK(w.probing_ns * 20 < w.settled_ns);
}

int main(void)
{
	RUN(wanders_for_weeks_and_always_finds_a_way);
	return DONE();
}
