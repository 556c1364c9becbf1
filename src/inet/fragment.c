/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/fragment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "inet/tcp_ranges.h"

enum {
	V4_HEADER = 20,
	V6_HEADER = 40,
	V6_FRAGMENT = 44,
	V6_FRAGMENT_LEN = 8,
	V4_MORE = 0x2000,
	V4_OFFSET = 0x1fff,
	PACKET_MAX = 65535,
	FIRST_ROOM = 4096,
	TOTAL_UNKNOWN = UINT32_MAX,
};

/**
 * struct waiting - One packet that is not complete
 * @data:	FRAGMENT_HEADERS_MAX octets of room, then the payload
 * @header_len:	Of the first piece, already in front of the payload; 0: it is not here yet
 */
struct waiting {
	struct ip_addr source;
	struct ip_addr destination;
	uint32_t id;
	uint8_t protocol; /* IPv4: part of the key; IPv6: of the first piece */
	bool is_used;
	uint64_t until_ns;
	uint8_t *data;
	uint32_t room;
	uint32_t header_len;
	uint32_t total; /* payload octets */
	struct tcp_ranges ranges;
};

struct fragments {
	struct fragments_count count;
	struct waiting waiting[FRAGMENT_PACKETS];
};

/* One piece, read. */
struct piece {
	struct inet_ip ip;
	uint32_t header_len; /* without the fragment header */
	uint32_t next_at;    /* IPv6: where the header before names the fragment header */
	uint32_t id;
	uint32_t start;
	uint8_t protocol;
	bool has_more;
	const uint8_t *payload;
	uint32_t len;
};

int fragments_new(struct fragments **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void forget(struct waiting *w)
{
	free(w->data);
	tcp_ranges_done(&w->ranges);
	*w = (struct waiting){ 0 };
}

struct fragments *fragments_free(struct fragments *f)
{
	if (!f)
		return NULL;
	for (int i = 0; i < FRAGMENT_PACKETS; i++)
		forget(&f->waiting[i]);
	free(f);
	return NULL;
}

const struct fragments_count *fragments_count(const struct fragments *f)
{
	return &f->count;
}

/* --- Reading a piece --- */

static bool read_v4(const uint8_t *packet, struct piece *p)
{
	uint16_t field = get_be16(packet + 6);

	p->header_len = (packet[0] & 15U) * 4;
	p->id = get_be16(packet + 4);
	p->protocol = packet[9];
	p->start = (uint32_t)(field & V4_OFFSET) * 8;
	p->has_more = field & V4_MORE;
	p->payload = packet + p->header_len;
	p->len = p->ip.len - p->header_len;
	return true;
}

static bool is_extension(uint8_t next)
{
	return next == 0 || next == 43 || next == 60;
}

static bool read_v6(const uint8_t *packet, struct piece *p)
{
	uint32_t at = V6_HEADER, next_at = 6;

	while (is_extension(packet[next_at])) {
		if (at + 8 > p->ip.len)
			return false;
		next_at = at;
		at += (packet[at + 1] + 1U) * 8;
		if (at > FRAGMENT_HEADERS_MAX)
			return false;
	}
	if (packet[next_at] != V6_FRAGMENT || at + V6_FRAGMENT_LEN > p->ip.len)
		return false;
	p->header_len = at;
	p->next_at = next_at;
	p->protocol = packet[at];
	p->start = get_be16(packet + at + 2) & 0xfff8U;
	p->has_more = packet[at + 3] & 1;
	p->id = get_be32(packet + at + 4);
	p->payload = packet + at + V6_FRAGMENT_LEN;
	p->len = p->ip.len - at - V6_FRAGMENT_LEN;
	return true;
}

static bool read_piece(const uint8_t *packet, uint32_t len, struct piece *p)
{
	if (!inet_ip_parse(packet, len, &p->ip))
		return false;
	if (!(p->ip.source.family == ADDR_V4 ? read_v4(packet, p) : read_v6(packet, p)))
		return false;
	if (p->len == 0 || (p->has_more && p->len % 8))
		return false;
	return p->header_len + p->start + p->len <= PACKET_MAX;
}

/* --- Finding its packet --- */

static bool belongs(const struct waiting *w, const struct piece *p)
{
	return w->is_used && w->id == p->id && ip_addr_equal(&w->source, &p->ip.source) &&
	       ip_addr_equal(&w->destination, &p->ip.destination) &&
	       (p->ip.source.family == ADDR_V6 || w->protocol == p->protocol);
}

static struct waiting *begin(struct fragments *f, const struct piece *p, uint64_t now_ns)
{
	struct waiting *at = &f->waiting[0];

	for (int i = 0; i < FRAGMENT_PACKETS && at->is_used; i++)
		if (!f->waiting[i].is_used || f->waiting[i].until_ns < at->until_ns)
			at = &f->waiting[i];
	if (at->is_used)
		f->count.expired++;
	forget(at);
	at->source = p->ip.source;
	at->destination = p->ip.destination;
	at->id = p->id;
	at->protocol = p->protocol;
	at->is_used = true;
	at->until_ns = now_ns + FRAGMENT_WAIT_NS;
	at->total = TOTAL_UNKNOWN;
	return at;
}

static struct waiting *find(struct fragments *f, const struct piece *p, uint64_t now_ns)
{
	struct waiting *found = NULL;

	for (int i = 0; i < FRAGMENT_PACKETS; i++) {
		struct waiting *w = &f->waiting[i];

		if (w->is_used && w->until_ns <= now_ns) {
			forget(w);
			f->count.expired++;
		}
		if (belongs(w, p))
			found = w;
	}
	return found ? found : begin(f, p, now_ns);
}

/* --- Storing --- */

static bool make_room(struct waiting *w, uint32_t end)
{
	uint32_t room = w->room ? w->room : FIRST_ROOM;
	uint8_t *data = NULL;

	if (end <= w->room)
		return true;
	while (room < end)
		room *= 2;
	data = realloc(w->data, FRAGMENT_HEADERS_MAX + room);
	if (!data)
		return false;
	w->data = data;
	w->room = room;
	return true;
}

static bool overlaps(const struct tcp_ranges *r, uint32_t start, uint32_t end)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->at[i].start < end && start < r->at[i].end)
			return true;
	return false;
}

/* Do the pieces agree on where the packet ends? */
static bool fits_total(const struct waiting *w, const struct piece *p, uint32_t end)
{
	if (!p->has_more)
		return (w->total == TOTAL_UNKNOWN || w->total == end) &&
		       (w->ranges.n == 0 || w->ranges.at[w->ranges.n - 1].end <= end);
	return w->total == TOTAL_UNKNOWN || end <= w->total;
}

static void keep_header(struct waiting *w, const uint8_t *packet, const struct piece *p)
{
	uint8_t *to = w->data + FRAGMENT_HEADERS_MAX - p->header_len;

	memcpy(to, packet, p->header_len);
	if (p->ip.source.family == ADDR_V6)
		to[p->next_at] = p->protocol;
	w->header_len = p->header_len;
}

/* Return: false when the whole packet is to be given up. */
static bool store(struct waiting *w, const uint8_t *packet, const struct piece *p)
{
	uint32_t end = p->start + p->len;

	if (!fits_total(w, p, end))
		return false;
	if (overlaps(&w->ranges, p->start, end))
		return tcp_ranges_contain(&w->ranges, p->start, end) &&
		       memcmp(w->data + FRAGMENT_HEADERS_MAX + p->start, p->payload, p->len) ==
			       0;
	if (!make_room(w, end) || !tcp_ranges_add(&w->ranges, p->start, end))
		return false;
	memcpy(w->data + FRAGMENT_HEADERS_MAX + p->start, p->payload, p->len);
	if (!p->has_more)
		w->total = end;
	if (p->start == 0)
		keep_header(w, packet, p);
	return true;
}

static bool is_complete(const struct waiting *w)
{
	return w->header_len && w->total != TOTAL_UNKNOWN &&
	       w->header_len + w->total <= PACKET_MAX &&
	       tcp_ranges_contain(&w->ranges, 0, w->total);
}

/* The header of the first piece becomes that of the whole. */
static void finish(struct waiting *w, uint8_t **ret, uint32_t *ret_len)
{
	uint8_t *packet = w->data + FRAGMENT_HEADERS_MAX - w->header_len;
	uint32_t len = w->header_len + w->total;

	if (w->source.family == ADDR_V4) {
		put_be16(packet + 2, (uint16_t)len);
		put_be16(packet + 6, 0);
		put_be16(packet + 10, 0);
		inet_checksum_put(packet + 10, inet_sum_words(packet, w->header_len));
	} else {
		put_be16(packet + 4, (uint16_t)(len - V6_HEADER));
	}
	*ret = packet;
	*ret_len = len;
	w->until_ns = 0; /* the octets stay until the next call */
}

bool fragment_add(struct fragments *f, uint64_t now_ns, const uint8_t *packet, uint32_t len,
		  uint8_t **ret, uint32_t *ret_len)
{
	struct piece p = { 0 };
	struct waiting *w = NULL;

	for (int i = 0; i < FRAGMENT_PACKETS; i++) /* what was completed by the last call */
		if (f->waiting[i].is_used && f->waiting[i].until_ns == 0)
			forget(&f->waiting[i]);
	if (!read_piece(packet, len, &p)) {
		f->count.refused++;
		return false;
	}
	w = p.start == 0 && !p.has_more ? begin(f, &p, now_ns) : find(f, &p, now_ns);
	if (!store(w, packet, &p)) {
		f->count.refused++;
		forget(w);
		return false;
	}
	if (!is_complete(w))
		return false;
	finish(w, ret, ret_len);
	f->count.completed++;
	return true;
}

/* --- Cutting --- */

static uint32_t header_of(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? V4_HEADER : V6_HEADER;
}

void fragment_cut_begin(struct fragment_cut *c, const uint8_t *packet, uint32_t len,
			uint32_t mtu, uint32_t id)
{
	uint32_t headers = packet[0] >> 4 == 4 ? V4_HEADER : V6_HEADER + V6_FRAGMENT_LEN;

	*c = (struct fragment_cut){
		.packet = packet, .len = len, .room = (mtu - headers) & ~7U, .id = id
	};
}

static uint32_t write_v4(const struct fragment_cut *c, uint32_t n, bool has_more, uint8_t *out)
{
	memcpy(out, c->packet, V4_HEADER);
	put_be16(out + 2, (uint16_t)(V4_HEADER + n));
	put_be16(out + 4, (uint16_t)c->id);
	put_be16(out + 6, (uint16_t)((has_more ? V4_MORE : 0) | c->at / 8));
	put_be16(out + 10, 0);
	inet_checksum_put(out + 10, inet_sum_words(out, V4_HEADER));
	return V4_HEADER;
}

static uint32_t write_v6(const struct fragment_cut *c, uint32_t n, bool has_more, uint8_t *out)
{
	memcpy(out, c->packet, V6_HEADER);
	put_be16(out + 4, (uint16_t)(V6_FRAGMENT_LEN + n));
	out[6] = V6_FRAGMENT;
	out[V6_HEADER] = c->packet[6];
	out[V6_HEADER + 1] = 0;
	put_be16(out + V6_HEADER + 2, (uint16_t)(c->at | has_more));
	put_be32(out + V6_HEADER + 4, c->id);
	return V6_HEADER + V6_FRAGMENT_LEN;
}

uint32_t fragment_cut_next(struct fragment_cut *c, uint8_t *out)
{
	uint32_t header_len = header_of(c->packet), left = c->len - header_len - c->at;
	uint32_t n = left < c->room ? left : c->room, len = 0;

	if (left == 0)
		return 0;
	len = header_len == V4_HEADER ? write_v4(c, n, n < left, out)
				      : write_v6(c, n, n < left, out);
	memcpy(out + len, c->packet + header_len + c->at, n);
	c->at += n;
	return len + n;
}
