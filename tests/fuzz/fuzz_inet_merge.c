/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a program that makes packets, because random octets have no right checksum.
 * Each step is an operation octet and its arguments:
 *
 *	bits 0-1  0: a new packet from the next octets (length, then the octets)
 *	          1, 2, 3: the packet that follows the last, or the one that many steps ago:
 *	          next sequence and identification, the same headers
 *	bit 2     change one octet (offset, value), before it is sealed
 *	bit 3     another payload length (one octet)
 *	bit 4     leave the checksums as they are, however wrong
 *	bit 5     may not be merged
 *
 * Holds: everything comes back from the slow segmenter, octet for octet, and nothing that
 * may belong to one flow is reordered.
 */
#include "../unit/inet/packets.h"
#include "fuzz.h"
#include "inet/merge.h"

enum { STEPS = 200, ROOM = 600 };

struct sent {
	uint8_t original[ROOM];
	uint8_t *copy;
	uint32_t len;
	bool is_seen;
};

static struct sent sent[STEPS];
static uint32_t n_sent;

/* The fuzzer's octets, zeroes at their end. */
struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

/* --- What the packet is, read without the code under test --- */

static uint32_t upper_at(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? (p[0] & 15U) * 4 : 40;
}

static uint8_t protocol_of(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? p[9] : p[6];
}

/* Length of the headers when this is a TCP or UDP packet with its whole header, or 0. */
static uint32_t headers_of(const uint8_t *p, uint32_t len)
{
	uint32_t at = upper_at(p), size = 8;

	if (protocol_of(p) == 6)
		size = len >= at + 20 ? (p[at + 12] >> 4) * 4U : 20;
	else if (protocol_of(p) != 17)
		return 0;
	return len >= at + size ? at + size : 0;
}

static bool has_ports(const uint8_t *p, uint32_t len)
{
	if (p[0] >> 4 == 4 && ((p[0] & 15) != 5 || (get_be16(p + 6) & 0x3fff) != 0))
		return false;
	return (protocol_of(p) == 6 || protocol_of(p) == 17) && len >= upper_at(p) + 4;
}

/* May these be of one flow, so that their order counts? */
static bool is_related(const struct sent *x, const struct sent *y)
{
	const uint8_t *a = x->original, *b = y->original;
	bool is_v4 = a[0] >> 4 == 4;

	if (a[0] >> 4 != b[0] >> 4 ||
	    memcmp(a + (is_v4 ? 12 : 8), b + (is_v4 ? 12 : 8), is_v4 ? 8 : 32))
		return false;
	if (has_ports(a, x->len) && has_ports(b, y->len))
		return protocol_of(a) == protocol_of(b) &&
		       memcmp(a + upper_at(a), b + upper_at(b), 4) == 0;
	return protocol_of(a) != 1 && protocol_of(a) != 58 && protocol_of(b) != 1 &&
	       protocol_of(b) != 58;
}

/* --- Making packets --- */

static void fix_lengths(uint8_t *p, uint32_t len)
{
	uint32_t at = upper_at(p);

	if (p[0] >> 4 == 4)
		put_be16(p + 2, (uint16_t)len);
	else
		put_be16(p + 4, (uint16_t)(len - 40));
	if (protocol_of(p) == 17 && len >= at + 8)
		put_be16(p + at + 4, (uint16_t)(len - at));
}

static void fix_checksums(uint8_t *p, uint32_t len)
{
	uint32_t at = upper_at(p);

	if (p[0] >> 4 == 4 && at >= 20 && at <= len) {
		put_be16(p + 10, 0);
		put_be16(p + 10, (uint16_t)~slow_sum(p, at));
	}
	if (headers_of(p, len))
		seal(p, at, len, protocol_of(p));
}

static uint32_t make_new(struct input *in, uint8_t *p)
{
	uint32_t len = 1 + take(in) * 2U;

	for (uint32_t i = 0; i < len; i++)
		p[i] = take(in);
	return len;
}

static uint32_t make_following(uint32_t back, uint8_t *p)
{
	const struct sent *last = &sent[n_sent - back];
	uint32_t header = headers_of(last->original, last->len), at;

	memcpy(p, last->original, last->len);
	at = upper_at(p);
	if (header && protocol_of(p) == 6)
		put_be32(p + at + 4, get_be32(p + at + 4) + last->len - header);
	if (p[0] >> 4 == 4)
		put_be16(p + 4, (uint16_t)(get_be16(p + 4) + 1));
	return last->len;
}

static void step(struct inet_merge *m, struct input *in)
{
	uint8_t op = take(in), back = op & 3;
	struct sent *s = &sent[n_sent];
	struct inet_ip ip;

	if (back == 0 || back > n_sent)
		s->len = make_new(in, s->original);
	else
		s->len = make_following(back, s->original);
	if (op & 8) {
		uint32_t header = headers_of(s->original, s->len);

		if (header && header + 255 <= ROOM) {
			s->len = header + take(in);
			fix_lengths(s->original, s->len);
		}
	}
	if (op & 4) {
		uint32_t at = take(in) % s->len;

		s->original[at] ^= take(in);
	}
	if (!inet_ip_parse(s->original, s->len, &ip))
		return;
	s->len = ip.len;
	if ((op & 16) == 0)
		fix_checksums(s->original, s->len);

	s->copy = malloc(s->len); /* exact, so that the sanitizer sees each octet beyond */
	memcpy(s->copy, s->original, s->len);
	s->is_seen = false;
	n_sent++;
	inet_merge_add(m, s->copy, &ip, (op & 32) == 0);
}

/* --- Getting them back --- */

/* Equal, but for the identification of an IPv4 packet that must not be fragmented. */
static bool is_same(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	if (a[0] >> 4 != 4 || (a[6] & 0x40) == 0)
		return memcmp(a, b, len) == 0;
	return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, 4) == 0 &&
	       memcmp(a + 12, b + 12, len - 12) == 0;
}

static void receive(const uint8_t *packet, uint32_t len)
{
	uint32_t i = 0;

	while (i < n_sent && (sent[i].is_seen || sent[i].len != len ||
			      !is_same(packet, sent[i].original, len)))
		i++;
	HOLDS(i < n_sent);
	sent[i].is_seen = true;
	for (uint32_t j = 0; j < i; j++)
		HOLDS(sent[j].is_seen || !is_related(&sent[j], &sent[i]));
}

static void check_write(const struct inet_write *w, const struct iovec *slices)
{
	static uint8_t run[PACKET_MAX], segment[PACKET_MAX];
	uint32_t len = 0, at, header;

	HOLDS(w->len <= INET_MERGE_BYTES_MAX && w->n_slices <= INET_MERGE_SLICES);
	for (uint32_t i = 0; i < w->n_slices; i++) {
		memcpy(run + len, slices[w->first_slice + i].iov_base,
		       slices[w->first_slice + i].iov_len);
		len += (uint32_t)slices[w->first_slice + i].iov_len;
	}
	HOLDS(len == w->len);
	if (w->n_slices == 1) {
		HOLDS(w->offload.gso == INET_GSO_NONE);
		receive(run, len);
		return;
	}
	at = w->offload.csum_start;
	HOLDS(at == upper_at(run));
	HOLDS(get_be16(run + at + w->offload.csum_offset) ==
	      slow_pseudo_sum(run, len - at, protocol_of(run)));
	header = headers_of(run, len);
	for (uint32_t i = 0; i < w->n_slices; i++)
		receive(segment,
			slow_segment(run, len, at, header, w->offload.gso_size, i, segment));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct inet_merge *m;
	struct input in = { data, size };
	const struct inet_write *writes;
	struct iovec *slices;
	size_t n;

	HOLDS(m || inet_merge_new(STEPS, &m) == 0);
	inet_merge_reset(m);
	n_sent = 0;
	while (in.left > 0 && n_sent < STEPS)
		step(m, &in);
	n = inet_merge_finish(m, &writes, &slices);
	for (size_t i = 0; i < n; i++)
		check_write(&writes[i], slices);
	for (uint32_t i = 0; i < n_sent; i++) {
		HOLDS(sent[i].is_seen);
		free(sent[i].copy);
	}
	return 0;
}
