/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What message is in a datagram. Input: four octets, the set of profiles (framings.h), the guess, how
 * find_index() and has_mac1() answer, and the time; then datagrams:
 *
 *	how     bit 7: a message that is dressed as it should be, otherwise the octets as they are
 *	        bits 0-1: its kind; bits 2-3: its profile; bit 4: with a trailer, where there may be one
 *	length  two octets, then so many octets
 *
 * Holds: a message lies within its datagram, is of its profile, and was confirmed; nothing around it
 * was touched, and a datagram without one not at all; a batch says what its datagrams say one by one;
 * what was dressed is found; a wrong guess loses nothing.
 */
#include <stdbool.h>

#include "base/wire.h"
#include "framings.h"

enum { ROOM = 700, TRAILER = 100, UNTIL_S = 1000 };

static struct frame_set sets[FRAMINGS];

static struct item {
	uint8_t octets[FRAMING_PAD_MAX + ROOM + TRAILER];
	uint32_t len;
	const struct frame_profile *dressed; /* NULL: as it came */
	enum message_type type;
} items[FRAME_BATCH];

/* --- Input --- */

struct input {
	const uint8_t *at;
	size_t left;
};

static uint32_t take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static uint32_t take_octets(struct input *in, uint8_t *out, uint32_t max)
{
	uint32_t n = take(in) << 8;

	n |= take(in);
	n = n < max ? n : max;
	n = n < in->left ? n : (uint32_t)in->left;
	if (n)
		memcpy(out, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

/* --- Who is asked: the same answer each time --- */

static uint32_t word_at(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* @answers: 0 always, 1 never, otherwise to one of four. */
static bool says_yes(uint32_t answers, uint32_t asked)
{
	return answers == 0 || (answers != 1 && asked % 4 == answers % 4);
}

/* Of some numbers only a handshake is under way: a cookie reply may name those, data may not. */
static void *find_index(void *context, uint32_t index, enum message_type type)
{
	static char sessions[8];
	const uint8_t *answers = context;
	bool is_pending = *answers & 8 && index % 3 == 0;

	return says_yes(*answers & 15, index) && (type == MESSAGE_COOKIE || !is_pending)
		       ? &sessions[index % 8]
		       : NULL;
}

static bool has_mac1(void *context, const void *message, uint32_t len)
{
	const uint8_t *answers = context;

	return says_yes(*answers >> 4, ((const uint8_t *)message)[len - 32]);
}

/* --- Making datagrams --- */

static void make_sets(void)
{
	struct frame_profile_source sources[FRAMING_PROFILES];

	for (uint32_t i = 0; i < FRAMINGS; i++) {
		uint32_t n = framing_sources(i, UNTIL_S, sources);

		for (uint32_t p = 0; p < n; p++)
			HOLDS(frame_parameters_check(sources[p].parameters, NULL) ==
			      FRAME_RULE_NONE);
		HOLDS(frame_set_make(NULL, sources, n, &sets[i]) == 0);
	}
}

/* The octets as a message of kind @type: as long as that is, its word from the range. */
static void dress(struct item *it, const struct frame_profile *p, enum message_type type,
		  bool trailer, struct generator *g)
{
	uint8_t message[ROOM] = { 0 };
	uint32_t len = frame_message_len(type), width = p->header[type].hi - p->header[type].lo;
	uint32_t word;
	le32 type_word;

	if (type == MESSAGE_DATA)
		len = it->len < MESSAGE_DATA_MIN ? MESSAGE_DATA_MIN : it->len;
	memcpy(message, it->octets, it->len < len ? it->len : len);
	word = word_at(message);
	word = p->header[type].lo + (width == UINT32_MAX ? word : word % (width + 1));
	type_word = le32_from(word);
	memcpy(message, &type_word, sizeof(type_word));
	trailer = trailer && p->parameters.random_trailers && type != MESSAGE_DATA;
	it->len = framing_dress(p, type, message, len, trailer ? TRAILER : 0, g, it->octets);
	it->dressed = p;
	it->type = type;
}

static uint32_t make_items(struct input *in, const struct frame_set *set)
{
	uint8_t seed[GENERATOR_SEED_LEN] = { 1 };
	struct generator g;
	uint32_t n = 0;

	generator_init(&g, seed);
	for (; n < FRAME_BATCH && in->left; n++) {
		struct item *it = &items[n];
		uint32_t how = take(in);

		it->dressed = NULL;
		it->len = take_octets(in, it->octets, ROOM);
		if (how & 0x80)
			dress(it, &set->profiles[(how >> 2 & 3) % set->n],
			      (enum message_type)(1 + how % 4), how & 0x10, &g);
	}
	return n;
}

/* --- Judging --- */

/* What one call says, on copies of exactly their size. */
struct answer {
	struct frame_view views[FRAME_BATCH];
	struct frame_datagram copies[FRAME_BATCH];
};

static void copy(struct answer *a, uint32_t i)
{
	a->copies[i].data = malloc(items[i].len ? items[i].len : 1);
	a->copies[i].len = items[i].len;
	HOLDS(a->copies[i].data);
	if (items[i].len)
		memcpy(a->copies[i].data, items[i].octets, items[i].len);
}

static void discard(struct answer *a, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(a->copies[i].data);
}

static bool is_over(const struct frame_profile *p, const struct frame_lookup *lookup)
{
	return p->until_s && lookup->wall_s >= p->until_s;
}

static void check_confirmed(const struct frame_view *v, const struct frame_lookup *lookup)
{
	if (v->type == MESSAGE_INITIATION || v->type == MESSAGE_RESPONSE)
		HOLDS(lookup->has_mac1(lookup->context, v->message, v->len));
	else
		HOLDS(v->found &&
		      v->found == lookup->find_index(lookup->context, word_at(v->message + 4),
						     v->type));
}

static void check_message(const struct frame_set *set, const struct item *it,
			  const uint8_t *data, const struct frame_view *v,
			  const struct frame_lookup *lookup)
{
	uint32_t at = (uint32_t)(v->message - data), masked = v->len;

	HOLDS(v->miss == FRAME_NO_MISS);
	HOLDS(v->message >= data && at <= it->len && v->len <= it->len - at);
	HOLDS(v->profile >= set->profiles && v->profile < set->profiles + set->n);
	HOLDS(!is_over(v->profile, lookup));
	HOLDS(frame_range_has(v->profile->header[v->type], word_at(v->message)));
	if (v->type == MESSAGE_DATA) {
		masked = sizeof(struct msg_data);
		HOLDS(v->len >= MESSAGE_DATA_MIN && at + v->len == it->len);
		HOLDS(at == v->profile->pad[MESSAGE_DATA] || v->len == MESSAGE_DATA_MIN);
	} else {
		HOLDS(v->len == frame_message_len(v->type) && at == v->profile->pad[v->type]);
		HOLDS(at + v->len == it->len || v->profile->parameters.random_trailers);
	}
	check_confirmed(v, lookup);
	HOLDS(memcmp(data, it->octets, at) == 0);
	HOLDS(memcmp(data + at + masked, it->octets + at + masked, it->len - at - masked) == 0);
}

static void check_view(const struct frame_set *set, const struct item *it, const uint8_t *data,
		       const struct frame_view *v, const struct frame_lookup *lookup)
{
	if (v->type) {
		check_message(set, it, data, v, lookup);
		return;
	}
	HOLDS(v->miss != FRAME_NO_MISS && !v->message);
	HOLDS(it->len == 0 || memcmp(data, it->octets, it->len) == 0);
}

static bool is_same(const struct answer *a, const struct answer *b, uint32_t i)
{
	const struct frame_view *x = &a->views[i], *y = &b->views[i];

	if (x->type != y->type || x->miss != y->miss)
		return false;
	if (x->type && (x->len != y->len || x->profile != y->profile || x->found != y->found ||
			x->message - a->copies[i].data != y->message - b->copies[i].data))
		return false;
	return memcmp(a->copies[i].data, b->copies[i].data, a->copies[i].len) == 0;
}

/* Has it been dressed so that whoever is asked says yes? */
static bool is_to_be_found(const struct item *it, const struct frame_lookup *lookup)
{
	const uint8_t *answers = lookup->context;

	return it->dressed && !is_over(it->dressed, lookup) && *answers == 0;
}

static void judge(const struct frame_set *set, const struct frame_profile *guess, uint32_t n,
		  const struct frame_lookup *lookup)
{
	static struct answer batch, single, wrong;

	for (uint32_t i = 0; i < n; i++) {
		copy(&batch, i);
		copy(&single, i);
		copy(&wrong, i);
	}
	frame_classify(set, guess, batch.copies, n, lookup, batch.views);
	for (uint32_t i = 0; i < n; i++) {
		const struct frame_profile *other = &set->profiles[i % set->n];

		check_view(set, &items[i], batch.copies[i].data, &batch.views[i], lookup);
		HOLDS(batch.views[i].type || !is_to_be_found(&items[i], lookup));
		frame_classify(set, guess, &single.copies[i], 1, lookup, &single.views[i]);
		HOLDS(is_same(&batch, &single, i));
		frame_classify(set, other, &wrong.copies[i], 1, lookup, &wrong.views[i]);
		check_view(set, &items[i], wrong.copies[i].data, &wrong.views[i], lookup);
		HOLDS(!batch.views[i].type == !wrong.views[i].type);
	}
	discard(&batch, n);
	discard(&single, n);
	discard(&wrong, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .left = size };
	const struct frame_set *set;
	uint32_t framing, guess;
	uint8_t answers;
	struct frame_lookup lookup = { .find_index = find_index,
				       .has_mac1 = has_mac1,
				       .context = &answers };

	if (sets[0].n == 0)
		make_sets();
	framing = take(&in);
	set = &sets[framing % FRAMINGS];
	guess = take(&in) % (set->n + 1);
	answers = (uint8_t)take(&in);
	lookup.wall_s = take(&in) % 2 ? UNTIL_S : 0;
	judge(set, guess ? &set->profiles[guess - 1] : NULL, make_items(&in, set), &lookup);
	return 0;
}
