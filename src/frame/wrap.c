/* SPDX-License-Identifier: Apache-2.0 */
/* The way out: padding, trailers, masks, and what goes before an initiation. */
#include <string.h>

#include "frame/frame.h"
#include "frame/mask.h"

/* WireGuard's rule: to a multiple of 16, never beyond the MTU; for what is longer than the MTU
 * the rule applies to the last MTU-sized part of it. */
static uint32_t pad_to_sixteen(uint32_t len, uint32_t last, uint32_t mtu)
{
	uint32_t up = (last + 15) & ~UINT32_C(15);

	if (mtu && len && last == 0)
		return 0;
	return (mtu && up > mtu ? mtu : up) - last;
}

uint32_t frame_content_padding(const struct frame_profile *p, uint32_t len, uint32_t mtu,
			       uint32_t window, struct generator *g)
{
	const struct frame_range *range = &p->parameters.content_padding;
	bool trailers = p->parameters.random_trailers;
	uint32_t last = mtu && len > mtu ? len % mtu : len;
	uint32_t room = mtu ? mtu - last : FRAME_DATAGRAM_MAX;
	uint32_t sent = len + frame_data_overhead(p), drawn = 0;

	if (p->is_plain || (frame_range_is_zero(*range) && !trailers))
		return pad_to_sixteen(len, mtu ? len % mtu : len, mtu);
	if (room == 0 || (len && last == 0))
		return 0;
	if (!frame_range_is_zero(*range))
		drawn = generator_between(g, range->lo, range->hi);
	else if (window > sent)
		drawn = generator_between(g, 0, window - sent - 1);
	if (drawn > room)
		drawn = room;
	return sent + drawn <= FRAME_DATAGRAM_MAX ? drawn : 0;
}

uint32_t frame_trailer(const struct frame_profile *p, enum message_type type, uint32_t window,
		       uint32_t cap, struct generator *g)
{
	uint32_t framed = p->pad[type] + frame_message_len(type);

	if (!p->parameters.random_trailers || window <= framed || cap <= framed)
		return 0;
	/* Not drawn first and cut then: half of the answers would be as long as their questions. */
	return generator_between(g, 0, (window - 1 < cap ? window - 1 : cap) - framed);
}

/* The keystream of a whole handshake message is 3 blocks at most. */
static void mask_one(const struct frame_profile *p, enum message_type type, uint8_t *data)
{
	frame_mask_message(p, data, data + p->pad[type], frame_message_len(type));
}

static void mask_batch(const struct frame_profile *p, const struct frame_message *messages,
		       uint32_t n)
{
	const uint8_t *nonces[FRAME_BATCH] = { 0 };
	uint8_t blocks[FRAME_BATCH][FRAME_MASK_LEN];

	for (uint32_t i = 0; i < n; i++)
		nonces[i] = messages[i].data;
	frame_mask_heads(p, nonces, n, blocks);
	for (uint32_t i = 0; i < n; i++)
		frame_xor(messages[i].data + p->pad[MESSAGE_DATA], blocks[i],
			  sizeof(struct msg_data));
}

void frame_wrap(const struct frame_profile *p, enum message_type type,
		const struct frame_message *messages, uint32_t n, struct generator *g)
{
	if (p->is_plain)
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t end = p->pad[type] + frame_message_len(type);

		generator_fill(g, messages[i].data, p->pad[type]);
		if (type != MESSAGE_DATA)
			generator_fill(g, messages[i].data + end, messages[i].len - end);
	}
	if (!p->is_protected)
		return;
	if (type == MESSAGE_DATA)
		mask_batch(p, messages, n);
	else
		for (uint32_t i = 0; i < n; i++)
			mask_one(p, type, messages[i].data);
}

/* --- Before an initiation --- */

uint32_t frame_prelude(const struct frame_profile *p, struct generator *g, uint32_t unix_s,
		       uint32_t *counter, uint8_t *buffer, struct frame_prelude_packet *out)
{
	const struct frame_parameters *from = &p->parameters;
	uint32_t n = 0;

	for (int i = 0; i < FRAME_SIGNATURES; i++) {
		const struct frame_signature *s = &p->signature[i];

		if (!s->len)
			continue;
		frame_signature_render(s, g, unix_s, (*counter)++, buffer);
		out[n++] = (struct frame_prelude_packet){ .data = buffer, .len = s->len };
		buffer += s->len;
	}
	for (uint32_t i = 0; from->jmax && i < from->jc; i++) {
		uint32_t len = generator_between(g, from->jmin, from->jmax);

		if (!len) /* legal UDP, and nothing to see */
			continue;
		generator_fill(g, buffer, len);
		out[n++] = (struct frame_prelude_packet){ .data = buffer, .len = len };
		buffer += len;
	}
	return n;
}
