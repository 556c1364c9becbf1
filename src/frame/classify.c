/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: frame.h. A probe looks at a datagram as if it were framed by one profile,
 * without changing an octet; what confirms it is asked for last. Only a datagram that was
 * confirmed is unmasked in place.
 */
#include <assert.h>
#include <string.h>

#include "base/wire.h"
#include "frame/frame.h"
#include "frame/mask.h"

static const uint8_t no_mask[FRAME_MASK_LEN];

/* One datagram and what is known of it so far. */
struct probe {
	const struct frame_datagram *d;
	const struct frame_lookup *lookup;
	struct frame_view *view;
};

static uint32_t word_at(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The word @at octets into the message, which begins @pad octets into the datagram. */
static uint32_t unmasked_word(const struct probe *t, uint32_t pad, uint32_t at,
			      const uint8_t *mask)
{
	return word_at(t->d->data + pad + at) ^ word_at(mask + at);
}

static bool is_over(const struct frame_profile *p, const struct frame_lookup *lookup)
{
	return p->until_s && lookup->wall_s >= p->until_s;
}

static void found(struct probe *t, const struct frame_profile *p, enum message_type type,
		  uint32_t pad, uint32_t len)
{
	t->view->type = type;
	t->view->miss = FRAME_NO_MISS;
	t->view->message = t->d->data + pad;
	t->view->len = len;
	t->view->profile = p;
}

/* A later reason is as good as an earlier one, and better than none. */
static void missed(struct probe *t, enum frame_miss why)
{
	if (t->view->miss == FRAME_MALFORMED)
		t->view->miss = why;
}

/* The session that a message of kind @type names in its second word. */
static bool find_session(struct probe *t, enum message_type type, uint32_t pad,
			 const uint8_t *mask)
{
	uint32_t index = unmasked_word(t, pad, 4, mask);

	t->view->found = t->lookup->find_index(t->lookup->context, index, type);
	if (!t->view->found)
		missed(t, FRAME_UNKNOWN_INDEX);
	return t->view->found != NULL;
}

/* --- Transport --- */

static bool is_transport(struct probe *t, const struct frame_profile *p, const uint8_t *mask)
{
	uint32_t pad = p->pad[MESSAGE_DATA];

	if (t->d->len < pad + MESSAGE_DATA_MIN ||
	    !frame_range_has(p->header[MESSAGE_DATA], unmasked_word(t, pad, 0, mask)) ||
	    !find_session(t, MESSAGE_DATA, pad, mask))
		return false;
	if (p->is_protected)
		frame_xor(t->d->data + pad, mask, sizeof(struct msg_data));
	found(t, p, MESSAGE_DATA, pad, t->d->len - pad);
	return true;
}

/* Keepalives of early 2.0 left out the padding. */
static bool is_bare_keepalive(struct probe *t, const struct frame_profile *p)
{
	if (p->is_protected || !p->pad[MESSAGE_DATA] || t->d->len != MESSAGE_DATA_MIN ||
	    !frame_range_has(p->header[MESSAGE_DATA], word_at(t->d->data)) ||
	    !find_session(t, MESSAGE_DATA, 0, no_mask))
		return false;
	found(t, p, MESSAGE_DATA, 0, t->d->len);
	return true;
}

/* --- Handshakes --- */

static bool has_shape(struct probe *t, const struct frame_profile *p, enum message_type type,
		      const uint8_t *mask)
{
	uint32_t framed = p->pad[type] + frame_message_len(type);
	bool fits = p->parameters.random_trailers ? t->d->len >= framed : t->d->len == framed;

	return fits &&
	       frame_range_has(p->header[type], unmasked_word(t, p->pad[type], 0, mask));
}

static bool is_signed(struct probe *t, const struct frame_profile *p, enum message_type type,
		      const uint8_t *mask)
{
	uint8_t message[sizeof(struct msg_initiation)];
	uint32_t pad = p->pad[type], len = frame_message_len(type);

	if (!has_shape(t, p, type, mask))
		return false;
	memcpy(message, t->d->data + pad, len);
	if (p->is_protected)
		frame_mask_message(p, t->d->data, message, len);
	if (t->lookup->has_mac1 && !t->lookup->has_mac1(t->lookup->context, message, len)) {
		missed(t, FRAME_BAD_MAC1);
		return false;
	}
	memcpy(t->d->data + pad, message, len);
	found(t, p, type, pad, len);
	return true;
}

static bool is_cookie(struct probe *t, const struct frame_profile *p, const uint8_t *mask)
{
	uint32_t pad = p->pad[MESSAGE_COOKIE], len = sizeof(struct msg_cookie);

	if (!has_shape(t, p, MESSAGE_COOKIE, mask) ||
	    !find_session(t, MESSAGE_COOKIE, pad, mask))
		return false;
	if (p->is_protected)
		frame_mask_message(p, t->d->data, t->d->data + pad, len);
	found(t, p, MESSAGE_COOKIE, pad, len);
	return true;
}

/* The kernel module of 3.0 sends cookie replies without protection. */
static bool is_bare_cookie(struct probe *t, const struct frame_profile *p)
{
	uint32_t pad = p->pad[MESSAGE_COOKIE], len = sizeof(struct msg_cookie);

	if (!p->is_protected || t->d->len != pad + len ||
	    !frame_range_has(p->header[MESSAGE_COOKIE], word_at(t->d->data + pad)) ||
	    !find_session(t, MESSAGE_COOKIE, pad, no_mask))
		return false;
	found(t, p, MESSAGE_COOKIE, pad, len);
	return true;
}

static bool is_handshake(struct probe *t, const struct frame_profile *p, const uint8_t *mask)
{
	return is_signed(t, p, MESSAGE_INITIATION, mask) ||
	       is_signed(t, p, MESSAGE_RESPONSE, mask) || is_cookie(t, p, mask);
}

/* What fits exactly under one profile fits under its twin with trailers as well, which answers
 * with a trailer; so those that have none come first. */
static bool is_any_handshake(struct probe *t, const struct frame_profile *const *live,
			     const uint8_t *const *masks, uint32_t n, bool with_trailers)
{
	for (uint32_t i = 0; i < n; i++)
		if (live[i]->parameters.random_trailers == with_trailers &&
		    is_handshake(t, live[i], masks[i]))
			return true;
	return false;
}

/* --- Datagrams --- */

/* The first guess was wrong, or this is no data: every profile, every kind. */
static void search(struct probe *t, const struct frame_set *set,
		   const struct frame_profile *guess)
{
	uint8_t blocks[FRAME_PROFILES_MAX][FRAME_MASK_LEN];
	const struct frame_profile *live[FRAME_PROFILES_MAX];
	const uint8_t *masks[FRAME_PROFILES_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		const struct frame_profile *p = &set->profiles[i];
		const uint8_t *nonce = t->d->data;

		if (is_over(p, t->lookup))
			continue;
		masks[n] = no_mask;
		if (p->is_protected) {
			frame_mask_heads(p, &nonce, 1, &blocks[n]);
			masks[n] = blocks[n];
		}
		if (p != guess && is_transport(t, p, masks[n]))
			return;
		live[n++] = p;
	}
	if (is_any_handshake(t, live, masks, n, false) ||
	    is_any_handshake(t, live, masks, n, true))
		return;
	for (uint32_t i = 0; i < n; i++)
		if (is_bare_keepalive(t, live[i]) || is_bare_cookie(t, live[i]))
			return;
}

/* Masks of all datagrams at once; those of runts are never looked at. */
static void mask_all(const struct frame_profile *p, const struct frame_datagram *datagrams,
		     uint32_t n, uint8_t (*blocks)[FRAME_MASK_LEN])
{
	static const uint8_t runt[FRAME_NONCE_LEN];
	const uint8_t *nonces[FRAME_BATCH] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		nonces[i] = datagrams[i].len < FRAME_NONCE_LEN ? runt : datagrams[i].data;
	frame_mask_heads(p, nonces, n, blocks);
}

void frame_classify(const struct frame_set *set, const struct frame_profile *guess,
		    const struct frame_datagram *datagrams, uint32_t n,
		    const struct frame_lookup *lookup, struct frame_view *views)
{
	uint8_t blocks[FRAME_BATCH][FRAME_MASK_LEN];

	assert(n <= FRAME_BATCH);
	if (!guess || is_over(guess, lookup))
		guess = &set->profiles[0];
	if (guess->is_protected)
		mask_all(guess, datagrams, n, blocks);
	for (uint32_t i = 0; i < n; i++) {
		struct probe t = { .d = &datagrams[i], .lookup = lookup, .view = &views[i] };
		const uint8_t *mask = guess->is_protected ? blocks[i] : no_mask;

		views[i] = (struct frame_view){ .miss = FRAME_MALFORMED };
		if (datagrams[i].len >= MESSAGE_DATA_MIN && !is_transport(&t, guess, mask))
			search(&t, set, guess);
	}
}
