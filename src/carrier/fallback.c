/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/fallback.h"

#include <assert.h>

/* --- What is remembered --- */

static struct fallback_memory *recall(struct fallback *f)
{
	for (size_t i = 0; i < f->n_memory; i++) {
		if (f->memory[i].network == f->network)
			return &f->memory[i];
	}
	return NULL;
}

/* Where a network that is new goes: a free row, or that of the one not used for longest. */
static struct fallback_memory *make_row(struct fallback *f)
{
	struct fallback_memory *oldest = &f->memory[0];

	if (f->n_memory < FALLBACK_NETWORKS_MAX)
		return &f->memory[f->n_memory++];
	for (size_t i = 1; i < f->n_memory; i++) {
		if (f->memory[i].used < oldest->used)
			oldest = &f->memory[i];
	}
	return oldest;
}

static void remember(struct fallback *f, unsigned int way)
{
	struct fallback_memory *m = recall(f);

	if (!m)
		m = make_row(f);
	*m = (struct fallback_memory){ .network = f->network, .used = ++f->uses, .way = way };
}

/* --- States --- */

static void use(struct fallback *f, enum fallback_state state, unsigned int way,
		uint64_t now_ns)
{
	f->state = state;
	f->way = way;
	f->since_ns = now_ns;
	f->sent_ns = 0;
}

static void settle(struct fallback *f, unsigned int way, uint64_t now_ns)
{
	use(f, FALLBACK_SETTLED, way, now_ns);
	f->failed = 0;
	f->rest_until_ns = 0;
	f->pause_ns = FALLBACK_FIRST_PAUSE_NS;
	f->probe_at_ns = way == FALLBACK_UDP ? UINT64_MAX : now_ns + f->probe_every_ns;
}

/* The way in use is none: the next, and after the last of them a pause. */
static void give_up(struct fallback *f, uint64_t now_ns)
{
	f->failed++;
	use(f, FALLBACK_TRYING, (f->way + 1) % f->ways, now_ns);
	if (f->failed % f->ways != 0)
		return;
	f->rest_until_ns = now_ns + f->pause_ns;
	f->pause_ns *= 2;
	if (f->pause_ns > FALLBACK_LAST_PAUSE_NS)
		f->pause_ns = FALLBACK_LAST_PAUSE_NS;
}

/* A probe in which nothing was sent says nothing about UDP. */
static void go_home(struct fallback *f, uint64_t now_ns)
{
	if (f->sent_ns != 0)
		f->probe_every_ns *= 2;
	if (f->probe_every_ns > FALLBACK_LAST_PROBE_NS)
		f->probe_every_ns = FALLBACK_LAST_PROBE_NS;
	settle(f, f->home, now_ns);
}

static void begin_here(struct fallback *f, uint64_t now_ns)
{
	const struct fallback_memory *m = recall(f);

	f->failed = 0;
	f->rest_until_ns = 0;
	f->pause_ns = FALLBACK_FIRST_PAUSE_NS;
	f->probe_every_ns = FALLBACK_FIRST_PROBE_NS;
	f->probe_at_ns = UINT64_MAX;
	use(f, FALLBACK_TRYING, m && m->way < f->ways ? m->way : FALLBACK_UDP, now_ns);
}

void fallback_begin(struct fallback *f, unsigned int ways, uint64_t network, uint64_t now_ns)
{
	assert(ways >= 1 && ways <= FALLBACK_WAYS_MAX);
	*f = (struct fallback){ .ways = ways, .network = network };
	begin_here(f, now_ns);
}

void fallback_moved(struct fallback *f, uint64_t network, uint64_t now_ns)
{
	f->network = network;
	begin_here(f, now_ns);
}

void fallback_sent(struct fallback *f, uint64_t now_ns)
{
	if (f->sent_ns == 0)
		f->sent_ns = now_ns > 0 ? now_ns : 1;
}

void fallback_shaken(struct fallback *f, uint64_t now_ns)
{
	f->session_ns = now_ns > 0 ? now_ns : 1;
}

void fallback_heard(struct fallback *f, uint64_t now_ns)
{
	if (f->session_ns != 0 && now_ns - f->session_ns >= FALLBACK_SESSION_NS)
		return;
	f->sent_ns = 0;
	if (f->state == FALLBACK_SETTLED)
		return;
	if (f->way == FALLBACK_UDP)
		f->probe_every_ns = FALLBACK_FIRST_PROBE_NS;
	settle(f, f->way, now_ns);
	remember(f, f->way);
}

void fallback_refused(struct fallback *f, uint64_t now_ns)
{
	if (f->state == FALLBACK_PROBING)
		go_home(f, now_ns);
	else if (f->rest_until_ns <= now_ns)
		give_up(f, now_ns);
}

static void step_settled(struct fallback *f, uint64_t now_ns)
{
	if (f->sent_ns != 0 && now_ns - f->sent_ns >= FALLBACK_SILENCE_NS) {
		give_up(f, now_ns);
	} else if (now_ns >= f->probe_at_ns) {
		f->home = f->way;
		use(f, FALLBACK_PROBING, FALLBACK_UDP, now_ns);
	}
}

static void step_trying(struct fallback *f, uint64_t now_ns)
{
	if (f->rest_until_ns != 0 && now_ns >= f->rest_until_ns) {
		f->rest_until_ns = 0;
		f->sent_ns = 0; /* its patience begins behind the pause */
	}
	if (f->rest_until_ns == 0 && f->sent_ns != 0 &&
	    now_ns - f->sent_ns >= FALLBACK_PATIENCE_NS)
		give_up(f, now_ns);
}

unsigned int fallback_step(struct fallback *f, uint64_t now_ns)
{
	switch (f->state) {
	case FALLBACK_TRYING:
		step_trying(f, now_ns);
		break;
	case FALLBACK_SETTLED:
		step_settled(f, now_ns);
		break;
	case FALLBACK_PROBING:
		if (now_ns - f->since_ns >= FALLBACK_PROBE_NS)
			go_home(f, now_ns);
		break;
	}
	return f->way;
}

uint64_t fallback_deadline_ns(const struct fallback *f)
{
	uint64_t at = f->probe_at_ns;

	switch (f->state) {
	case FALLBACK_TRYING:
		if (f->rest_until_ns != 0)
			return f->rest_until_ns;
		return f->sent_ns != 0 ? f->sent_ns + FALLBACK_PATIENCE_NS : UINT64_MAX;
	case FALLBACK_PROBING:
		return f->since_ns + FALLBACK_PROBE_NS;
	case FALLBACK_SETTLED:
		break;
	}
	if (f->sent_ns != 0 && f->sent_ns + FALLBACK_SILENCE_NS < at)
		at = f->sent_ns + FALLBACK_SILENCE_NS;
	return at;
}
