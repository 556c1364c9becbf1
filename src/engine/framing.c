/* SPDX-License-Identifier: Apache-2.0 */
/* The profiles of an interface: published whole, retired through the epoch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

static struct engine_framing *framing_of_node(struct epoch_node *node)
{
	return (struct engine_framing *)(void *)((char *)node -
						 offsetof(struct engine_framing, epoch_node));
}

void framing_release(struct epoch_node *node)
{
	engine_framing_free(framing_of_node(node));
}

struct engine_framing *engine_framing_free(struct engine_framing *f)
{
	if (f)
		frame_set_done(&f->set);
	free(f);
	return NULL;
}

/* What one peer may cause in one look of the keeper: a prelude, and messages padded by the
 * longest PAD. */
static void measure(struct engine_framing *f)
{
	uint32_t room = 0, packets = 0;

	for (uint32_t i = 0; i < f->set.n; i++) {
		const struct frame_profile *p = &f->set.profiles[i];
		uint32_t longest = p->pad[MESSAGE_DATA];

		for (int type = MESSAGE_INITIATION; type < MESSAGE_DATA; type++)
			if (p->pad[type] > longest)
				longest = p->pad[type];
		if (p->parameters.random_trailers)
			longest += TRAILER_WINDOW;
		if (!frame_range_is_zero(p->parameters.content_padding))
			longest += p->parameters.content_padding.hi;
		if (p->prelude_max + 2 * longest > room)
			room = p->prelude_max + 2 * longest;
		if (p->prelude_packets > packets)
			packets = p->prelude_packets;
		f->has_end |= p->until_s != 0;
	}
	f->keeper_room = room + KEEPER_ROOM;
	f->keeper_outputs = packets + KEEPER_OUTPUTS;
}

struct engine_framing *framing_plain(void)
{
	struct engine_framing *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	frame_set_init(&f->set);
	measure(f);
	return f;
}

int engine_framing_new(struct engine *e, const struct frame_profile_source *sources, uint32_t n,
		       struct engine_framing **ret)
{
	struct engine_framing *f = calloc(1, sizeof(*f));
	int err = f ? frame_set_make(&framing_now(e)->set, sources, n, &f->set) : -ENOMEM;

	if (err < 0) {
		free(f);
		return err;
	}
	measure(f);
	*ret = f;
	return 0;
}

/* Who is pinned to a profile that is gone would be heard under none. */
static void lift_pins(struct engine *e, const struct frame_set *set)
{
	for (struct peer *p = e->peers_first; p; p = p->list_next) {
		uint32_t pinned = atomic_load_explicit(&p->pinned, memory_order_relaxed);

		if (pinned && frame_set_find(set, pinned)->number != pinned)
			engine_peer_pin_profile(p, FRAME_NUMBER_NONE);
	}
}

void engine_framing_publish(struct engine_worker *w, struct engine_framing *f)
{
	struct engine *e = w->engine;
	struct engine_framing *old =
		atomic_exchange_explicit(&e->framing, f, memory_order_acq_rel);

	lift_pins(e, &f->set);
	epoch_retire(&e->epoch, &old->epoch_node, framing_release);
}

void framing_note_ends(struct engine *e, uint64_t wall_ns)
{
	struct engine_framing *f = atomic_load_explicit(&e->framing, memory_order_acquire);
	uint32_t over = 0;

	if (!f->has_end)
		return;
	for (uint32_t i = 0; i < f->set.n; i++) {
		uint64_t until_s = f->set.profiles[i].until_s;

		if (until_s && wall_ns / ENGINE_SECOND >= until_s)
			over |= UINT32_C(1) << i;
	}
	atomic_store_explicit(&f->over, over, memory_order_relaxed);
}

const struct frame_set *engine_framing_set(const struct engine_framing *f)
{
	return &f->set;
}

const struct frame_set *engine_profiles(const struct engine *e)
{
	return &framing_now(e)->set;
}

/* --- How sources frame what they send --- */

/* Only a first guess comes from here, so sources may share a place. The key keeps strangers
 * from choosing whose. */
static uint32_t place_of(const struct engine_worker *w, const struct endpoint *source)
{
	uint32_t hash = w->source_key ^ source->port;

	for (int i = 0; i < 16; i += 4)
		hash = (hash ^ get_be32(source->ip.b + i)) * UINT32_C(0x9e3779b1);
	return (hash ^ hash >> 16) & (SOURCES_REMEMBERED - 1);
}

uint32_t source_profile(const struct engine_worker *w, const struct endpoint *source)
{
	return w->sources[place_of(w, source)];
}

void source_remember(struct engine_worker *w, const struct endpoint *source, uint32_t profile)
{
	w->sources[place_of(w, source)] = profile;
}
