/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	READS = 8,  /* of a stream in one piece of work */
	BLOCKS = 8, /* of datagrams, likewise */
};

static_assert((int)RELAY_READ_OCTETS > (int)FRAMING_READ_MAX, "a whole frame fits");
static_assert((int)RELAY_BACKLOG_OCTETS > (int)FRAMING_READ_MAX, "here, too");

struct relay {
	struct stream *stream;
	struct datagrams *udp;
	struct backlog *backlog;
	struct framing framing;
	struct relay_counts counts;
	bool is_held;
	size_t have;	/* octets in @in */
	size_t pending; /* octets in @out */
	size_t written; /* of them that the stream took */
	uint8_t block[DATAGRAMS_BLOCK];
	uint8_t out[RELAY_WRITE_OCTETS + FRAMING_HEADER_MAX];
	uint8_t in[RELAY_READ_OCTETS];
};

int relay_new(struct stream *stream, struct datagrams *udp, enum framing_kind kind,
	      const void *early, size_t early_len, struct relay **ret)
{
	struct relay *r;

	if (early_len > RELAY_READ_OCTETS)
		return ERR_LIMIT;
	r = malloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	memset(r, 0, offsetof(struct relay, block)); /* the buffers are touched when needed */
	r->backlog = backlog_new(RELAY_BACKLOG_OCTETS, RELAY_BACKLOG_NS);
	if (!r->backlog) {
		free(r);
		return -ENOMEM;
	}
	r->stream = stream;
	r->udp = udp;
	r->framing.kind = kind;
	if (early_len > 0)
		memcpy(r->in, early, early_len);
	r->have = early_len;
	*ret = r;
	return 0;
}

struct relay *relay_free(struct relay *r)
{
	if (!r)
		return NULL;
	backlog_free(r->backlog);
	free(r);
	return NULL;
}

/* Everything whole in @in goes out; the rest moves to the front. */
static int hand_out(struct relay *r)
{
	struct capsule_found found = { .used = 0 };
	enum capsule_step step;
	size_t at = 0;

	while ((step = framing_read(&r->framing, r->in + at, r->have - at, &found)) ==
	       CAPSULE_PAYLOAD) {
		at += found.used;
		if (found.len == 0 || r->is_held)
			continue; /* WireGuard has no such message: somebody says hello */
		r->counts.in_datagrams++;
		r->counts.in_octets += found.len;
		datagrams_send(r->udp, found.payload, found.len);
	}
	datagrams_flush(r->udp);
	if (step == CAPSULE_BROKEN)
		return ERR_FORMAT;
	at += found.used;
	r->have -= at;
	memmove(r->in, r->in + at, r->have);
	return 0;
}

int relay_from_stream(struct relay *r)
{
	int err = hand_out(r); /* what was read with the head */

	for (int i = 0; i < READS && err == 0; i++) {
		ssize_t n =
			stream_read(r->stream, r->in + r->have, RELAY_READ_OCTETS - r->have);

		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return n == 0 ? -EPIPE : (int)n;
		r->have += (size_t)n;
		err = hand_out(r);
	}
	return err;
}

static void keep(struct relay *r, uint64_t now_ns, const uint8_t *payload, size_t len)
{
	uint8_t header[FRAMING_HEADER_MAX];
	size_t header_len = framing_header(r->framing.kind, header, len);

	r->counts.out_datagrams++;
	r->counts.out_octets += len;
	backlog_put(r->backlog, now_ns, header, header_len, payload, len);
}

void relay_say(struct relay *r, uint64_t now_ns)
{
	uint8_t header[FRAMING_HEADER_MAX];
	size_t len = framing_header(r->framing.kind, header, 0);

	backlog_put(r->backlog, now_ns, header, len, header, 0);
}

void relay_offer(struct relay *r, uint64_t now_ns, const uint8_t *block, size_t len,
		 size_t segment)
{
	for (size_t at = 0; at < len; at += segment) {
		size_t left = len - at;

		keep(r, now_ns, block + at, left < segment ? left : segment);
	}
}

int relay_from_udp(struct relay *r, uint64_t now_ns)
{
	int err = 0;

	for (int i = 0; i < BLOCKS && err == 0; i++) {
		size_t segment = 0;
		int n = datagrams_receive(r->udp, r->block, &segment);

		if (n <= 0) {
			err = n;
			break;
		}
		relay_offer(r, now_ns, r->block, (size_t)n, segment);
		err = relay_flush(r, now_ns);
	}
	return err == 0 ? relay_flush(r, now_ns) : err;
}

int relay_flush(struct relay *r, uint64_t now_ns)
{
	for (;;) {
		ssize_t n;

		if (r->written == r->pending) {
			r->written = 0;
			r->pending = backlog_take(r->backlog, now_ns, r->out, sizeof(r->out));
		}
		if (r->pending == 0)
			return 0;
		n = stream_write(r->stream, r->out + r->written, r->pending - r->written);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		r->written += (size_t)n;
	}
}

void relay_hold(struct relay *r, bool is_held)
{
	r->is_held = is_held;
}

bool relay_wants_write(const struct relay *r)
{
	return r->pending > r->written || backlog_octets(r->backlog) > 0;
}

const struct relay_counts *relay_counts(const struct relay *r)
{
	return &r->counts;
}

uint64_t relay_dropped(const struct relay *r)
{
	const struct backlog_counts *c = backlog_counts(r->backlog);

	return c->crowded + c->stale + r->udp->lost + r->udp->foreign;
}
