/* SPDX-License-Identifier: Apache-2.0 */
/**
 * merge.c - Theory of operation
 *
 * Every packet becomes a slice at once; slices of a run are chained by index and laid
 * out side by side in _finish(). A run that may still grow has an entry in "open", the
 * most recent one first, because the next packet is most likely of the same flow. An
 * entry holds what changes as the run grows; all that must stay the same is compared
 * with the first packet itself, which nobody touches before _finish().
 */
#include "inet/merge.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "inet/checksum.h"

enum {
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_ECE = 0x40,
	TCP_HEADER = 20,
	TCP_CHECK = 16,
	UDP_HEADER = 8,
	UDP_CHECK = 6,
	V4_HEADER = 20,
	V6_HEADER = 40,
	V4_DF = 0x4000,
};

static const uint32_t no_slice = UINT32_MAX; /* end of a chain */

/* How the IPv4 identification moves through a run; two packets tell. */
enum id_step {
	ID_UNKNOWN,
	ID_FIXED,
	ID_COUNTS,
};

/**
 * struct shape - One packet, measured
 * @hash:	Of addresses, protocol and ports; the latter only when @has_ports
 * @transport, @header_len: Offsets of the transport header and of the payload
 * @has_ports:	They follow the IP header: the flow is known
 * @can_join:	Nothing in the packet alone speaks against a run
 * @closes:	May be the last of a run only (PSH)
 */
struct shape {
	uint8_t *packet;
	uint32_t len;
	uint32_t hash;
	uint16_t transport;
	uint16_t header_len;
	uint8_t family;
	uint8_t protocol;
	bool has_ports;
	bool can_join;
	bool closes;
};

/**
 * struct run - A write that may still grow
 * @first:	Its first packet
 * @write:	Index of the write
 * @last:	Its last slice
 * @segment:	Payload octets of the first packet
 * @is_verified: The first packet's checksums are known to be right
 */
struct run {
	struct shape first;
	uint32_t write;
	uint32_t last;
	uint32_t next_sequence;
	uint32_t segment;
	enum id_step id_step;
	uint16_t next_id;
	bool is_verified;
};

struct inet_merge {
	uint32_t packets_max;
	uint32_t n_slices;
	uint32_t n_writes;
	uint32_t n_open;
	bool allow_tcp;
	bool allow_udp;
	uint8_t order[INET_MERGE_FLOWS]; /* of "open", most recent first */
	struct run open[INET_MERGE_FLOWS];
	struct inet_write *writes; /* at worst every packet stands alone */
	struct iovec *slices;	   /* as added */
	struct iovec *laid_out;	   /* as returned */
	uint32_t *next;		   /* slice that follows in the same run, or no_slice */
};

int inet_merge_new(uint32_t packets_max, struct inet_merge **ret)
{
	struct inet_merge *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->packets_max = packets_max;
	m->writes = calloc(packets_max, sizeof(*m->writes));
	m->slices = calloc(packets_max, sizeof(*m->slices));
	m->laid_out = calloc(packets_max, sizeof(*m->laid_out));
	m->next = calloc(packets_max, sizeof(*m->next));
	if (!m->writes || !m->slices || !m->laid_out || !m->next) {
		inet_merge_free(m);
		return -ENOMEM;
	}
	inet_merge_allow(m, true, true);
	inet_merge_reset(m);
	*ret = m;
	return 0;
}

struct inet_merge *inet_merge_free(struct inet_merge *m)
{
	if (m) {
		free(m->writes);
		free(m->slices);
		free(m->laid_out);
		free(m->next);
		free(m);
	}
	return NULL;
}

void inet_merge_reset(struct inet_merge *m)
{
	m->n_slices = 0;
	m->n_writes = 0;
	m->n_open = 0;
	for (uint8_t i = 0; i < INET_MERGE_FLOWS; i++)
		m->order[i] = i;
}

void inet_merge_allow(struct inet_merge *m, bool tcp, bool udp)
{
	m->allow_tcp = tcp;
	m->allow_udp = udp;
}

bool inet_merge_is_full(const struct inet_merge *m)
{
	return m->n_slices == m->packets_max;
}

/* --- Measuring a packet --- */

static uint64_t mix(uint64_t hash, const uint8_t *data)
{
	uint64_t v;

	memcpy(&v, data, 8);
	hash = (hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static uint32_t flow_hash(const struct shape *s)
{
	uint8_t last[8] = { s->protocol, s->family };
	uint64_t hash = 0;

	if (s->has_ports)
		memcpy(last + 4, s->packet + s->transport, 4);
	hash = mix(hash, last);
	if (s->family == ADDR_V4)
		return (uint32_t)mix(hash, s->packet + 12);
	for (int i = 8; i < V6_HEADER; i += 8)
		hash = mix(hash, s->packet + i);
	return (uint32_t)hash;
}

/* Fill header_len, can_join and closes from the TCP header. */
static void measure_tcp(struct shape *s)
{
	const uint8_t *tcp = s->packet + s->transport;
	uint32_t header;

	if (s->len < s->transport + (uint32_t)TCP_HEADER)
		return;
	header = (uint32_t)(tcp[12] >> 4) * 4;
	if (header < TCP_HEADER || s->transport + header >= s->len)
		return;
	s->header_len = (uint16_t)(s->transport + header);
	s->can_join = (tcp[13] & ~(TCP_PSH | TCP_ECE)) == TCP_ACK;
	s->closes = (tcp[13] & TCP_PSH) != 0;
}

static void measure_udp(struct shape *s)
{
	const uint8_t *udp = s->packet + s->transport;

	if (s->len <= s->transport + (uint32_t)UDP_HEADER)
		return;
	s->header_len = (uint16_t)(s->transport + UDP_HEADER);
	s->can_join = get_be16(udp + 4) == s->len - s->transport && get_be16(udp + 6) != 0;
}

static void measure(struct shape *s, uint8_t *packet, const struct inet_ip *ip)
{
	bool is_plain;

	*s = (struct shape){ .packet = packet, .len = ip->len, .family = ip->source.family };
	if (s->family == ADDR_V4) {
		s->protocol = packet[9];
		s->transport = (uint16_t)((packet[0] & 15) * 4);
		is_plain = s->transport == V4_HEADER && (get_be16(packet + 6) & 0x3fff) == 0;
	} else {
		s->protocol = packet[6];
		s->transport = V6_HEADER;
		is_plain = true; /* an extension header is another protocol */
	}

	s->has_ports = is_plain && s->len >= s->transport + 4U &&
		       (s->protocol == INET_TCP || s->protocol == INET_UDP);
	if (s->has_ports && s->protocol == INET_TCP)
		measure_tcp(s);
	else if (s->has_ports)
		measure_udp(s);
	s->hash = flow_hash(s);
}

static bool has_right_checksums(const struct shape *s)
{
	uint32_t transport_len = s->len - s->transport;
	uint64_t sum = inet_sum_pseudo(s->packet, s->protocol) +
		       inet_sum_number((uint16_t)transport_len);

	if (s->family == ADDR_V4 && !inet_sum_is_valid(inet_sum_words(s->packet, V4_HEADER)))
		return false;
	return inet_sum_is_valid(sum + inet_sum(s->packet + s->transport, transport_len));
}

/* --- Comparing with a run --- */

static bool equal(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
	return memcmp(a + from, b + from, to - from) == 0;
}

static bool has_same_addresses(const struct shape *a, const struct shape *b)
{
	if (a->family != b->family)
		return false;
	return a->family == ADDR_V4 ? equal(a->packet, b->packet, 12, 20)
				    : equal(a->packet, b->packet, 8, 40);
}

static bool is_same_flow(const struct shape *a, const struct shape *b)
{
	return a->hash == b->hash && a->protocol == b->protocol && has_same_addresses(a, b) &&
	       equal(a->packet + a->transport, b->packet + b->transport, 0, 4);
}

static bool continues_ip(const struct run *r, const struct shape *s)
{
	const uint8_t *a = r->first.packet, *b = s->packet;
	uint16_t id;

	if (s->family == ADDR_V6)
		return equal(a, b, 0, 4) && a[7] == b[7];
	if (a[1] != b[1] || a[8] != b[8] || !equal(a, b, 6, 8))
		return false;

	id = get_be16(b + 4);
	if (r->id_step != ID_FIXED && id == r->next_id)
		return true;
	return r->id_step != ID_COUNTS && (get_be16(b + 6) & V4_DF) && id == get_be16(a + 4);
}

/* Everything behind the sequence number is equal, the header's length first, but for PSH
 * and the checksum. */
static bool continues_tcp(const struct run *r, const struct shape *s)
{
	const uint8_t *a = r->first.packet + r->first.transport;
	const uint8_t *b = s->packet + s->transport;

	return get_be32(b + 4) == r->next_sequence && equal(a, b, 8, 13) &&
	       ((a[13] ^ b[13]) & ~TCP_PSH) == 0 && equal(a, b, 14, TCP_CHECK) &&
	       equal(a, b, TCP_CHECK + 2, s->header_len - s->transport);
}

static bool continues(const struct inet_merge *m, struct run *r, const struct shape *s)
{
	const struct inet_write *w = &m->writes[r->write];
	uint32_t payload = s->len - s->header_len;

	if (!s->can_join || payload > r->segment)
		return false;
	if (w->n_slices == INET_MERGE_SLICES || w->len + payload > INET_MERGE_BYTES_MAX)
		return false;
	if (!continues_ip(r, s) || (s->protocol == INET_TCP && !continues_tcp(r, s)))
		return false;
	if (!r->is_verified && !has_right_checksums(&r->first))
		return false;
	r->is_verified = true;
	return has_right_checksums(s);
}

/* --- Runs --- */

static void add_slice(struct inet_merge *m, uint8_t *data, uint32_t len)
{
	m->slices[m->n_slices] = (struct iovec){ .iov_base = data, .iov_len = len };
	m->next[m->n_slices] = no_slice;
	m->n_slices++;
}

/* Forget the run at place @i of the order; its entry becomes the first free one. */
static void close_run(struct inet_merge *m, uint32_t i)
{
	uint8_t entry = m->order[i];

	m->n_open--;
	memmove(m->order + i, m->order + i + 1, m->n_open - i);
	m->order[m->n_open] = entry;
}

/* Entry that is now most recent: the one at place @i, or with @i == n_open a free one. */
static struct run *bring_to_front(struct inet_merge *m, uint32_t i)
{
	uint8_t entry = m->order[i];

	memmove(m->order + 1, m->order, i);
	m->order[0] = entry;
	return &m->open[entry];
}

static void open_run(struct inet_merge *m, const struct shape *s)
{
	struct run *r;

	if (m->n_open == INET_MERGE_FLOWS)
		close_run(m, m->n_open - 1);
	r = bring_to_front(m, m->n_open);
	m->n_open++;
	*r = (struct run){
		.first = *s,
		.write = m->n_writes - 1,
		.last = m->n_slices - 1,
		.segment = s->len - s->header_len,
	};
	if (s->family == ADDR_V4)
		r->next_id = (uint16_t)(get_be16(s->packet + 4) + 1);
	if (s->protocol == INET_TCP)
		r->next_sequence = get_be32(s->packet + s->transport + 4) + r->segment;
}

/* A write of one packet; it stays open if others may follow it. */
static void begin_write(struct inet_merge *m, const struct shape *s, bool is_open)
{
	m->writes[m->n_writes++] = (struct inet_write){
		.first_slice = m->n_slices,
		.n_slices = 1,
		.len = s->len,
		.flow_hash = s->hash,
		.header = s->packet,
	};
	add_slice(m, s->packet, s->len);
	if (is_open && !s->closes)
		open_run(m, s);
}

/* The run at place @i takes @s in. */
static void extend(struct inet_merge *m, uint32_t i, const struct shape *s)
{
	struct run *r = bring_to_front(m, i);
	struct inet_write *w = &m->writes[r->write];
	uint32_t payload = s->len - s->header_len;

	m->next[r->last] = m->n_slices;
	r->last = m->n_slices;
	add_slice(m, s->packet + s->header_len, payload);
	w->n_slices++;
	w->len += payload;
	w->offload.gso_size = (uint16_t)r->segment;
	r->next_sequence += payload;
	if (s->family == ADDR_V4) {
		uint16_t id = get_be16(s->packet + 4);

		if (w->n_slices == 2)
			r->id_step = id == r->next_id ? ID_COUNTS : ID_FIXED;
		r->next_id = (uint16_t)(r->next_id + 1);
	}
	if (s->closes) /* PSH; the first packet is rewritten anyway */
		r->first.packet[s->transport + 13] |= TCP_PSH;
	if (s->closes || payload < r->segment)
		close_run(m, 0);
}

/* A packet whose ports are out of sight may belong to any run between its addresses. */
static void close_between(struct inet_merge *m, const struct shape *s)
{
	for (uint32_t i = m->n_open; i-- > 0;) {
		if (has_same_addresses(&m->open[m->order[i]].first, s))
			close_run(m, i);
	}
}

void inet_merge_add(struct inet_merge *m, uint8_t *packet, const struct inet_ip *ip,
		    bool can_merge)
{
	struct shape s;

	assert(!inet_merge_is_full(m));
	measure(&s, packet, ip);
	if (s.protocol == INET_TCP ? !m->allow_tcp : !m->allow_udp)
		can_merge = false;

	if (!s.has_ports && s.protocol != INET_ICMP4 && s.protocol != INET_ICMP6)
		close_between(m, &s);
	for (uint32_t i = 0; s.has_ports && i < m->n_open; i++) {
		struct run *r = &m->open[m->order[i]];

		if (!is_same_flow(&r->first, &s))
			continue;
		if (can_merge && continues(m, r, &s)) {
			extend(m, i, &s);
			return;
		}
		close_run(m, i);
		break; /* a flow has one open run at most */
	}
	begin_write(m, &s, can_merge && s.can_join);
}

/* --- Writing out --- */

/* Make the first packet's headers those of the whole run. */
static void write_headers(struct inet_write *w)
{
	uint8_t *ip = w->header;
	bool is_v4 = ip[0] >> 4 == 4;
	uint8_t protocol = is_v4 ? ip[9] : ip[6];
	uint16_t start = is_v4 ? V4_HEADER : V6_HEADER;
	uint16_t transport_len = (uint16_t)(w->len - start);
	uint16_t offset = protocol == INET_TCP ? TCP_CHECK : UDP_CHECK;

	if (is_v4) {
		uint16_t before = get_be16(ip + 2);

		put_be16(ip + 2, (uint16_t)w->len);
		inet_checksum_update(ip + 10, before, (uint16_t)w->len);
	} else {
		put_be16(ip + 4, transport_len);
	}
	if (protocol == INET_UDP)
		put_be16(ip + start + 4, transport_len);
	inet_sum_put(ip + start + offset, inet_sum_fold(inet_sum_pseudo(ip, protocol) +
							inet_sum_number(transport_len)));
	w->offload.needs_csum = true;
	w->offload.csum_start = start;
	w->offload.csum_offset = offset;
	if (protocol == INET_UDP)
		w->offload.gso = INET_GSO_UDP;
	else
		w->offload.gso = is_v4 ? INET_GSO_TCP4 : INET_GSO_TCP6;
}

size_t inet_merge_finish(struct inet_merge *m, const struct inet_write **ret_writes,
			 struct iovec **ret_slices)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < m->n_writes; i++) {
		struct inet_write *w = &m->writes[i];
		uint32_t slice = w->first_slice;

		w->first_slice = at;
		for (; slice != no_slice; slice = m->next[slice])
			m->laid_out[at++] = m->slices[slice];
		if (w->n_slices > 1)
			write_headers(w);
	}
	*ret_writes = m->writes;
	*ret_slices = m->laid_out;
	return m->n_writes;
}
