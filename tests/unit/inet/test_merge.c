/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each rule by hand with two packets; then random streams of many flows: what goes in
 * comes out of the slow segmenter again, and runs are as long as a plain model makes them.
 */
#include <stdlib.h>

#include "../test.h"
#include "inet/merge.h"
#include "packets.h"

enum { BATCH = 300, ROOM = 2048 };

/* Packets as sent, and exact copies of them in buffers of their own. */
static struct {
	uint8_t original[BATCH][ROOM];
	uint8_t *copy[BATCH];
	uint32_t len[BATCH];
	uint32_t n;
} sent;

static struct inet_merge *merge;
static const struct inet_write *writes;
static struct iovec *slices;
static size_t n_writes;

static void start(void)
{
	for (uint32_t i = 0; i < sent.n; i++)
		free(sent.copy[i]);
	sent.n = 0;
	inet_merge_reset(merge);
}

static void add_bytes(const uint8_t *packet, uint32_t len, bool can_merge)
{
	struct inet_ip ip;
	uint8_t *copy = malloc(len);

	memcpy(copy, packet, len);
	memmove(sent.original[sent.n], packet, len);
	sent.copy[sent.n] = copy;
	sent.len[sent.n++] = len;
	CHECK(inet_ip_parse(copy, len, &ip) && !inet_merge_is_full(merge));
	inet_merge_add(merge, copy, &ip, can_merge);
}

static void add(const struct recipe *r)
{
	static uint8_t p[PACKET_MAX];

	add_bytes(p, build(r, p), true);
}

static size_t finish(void)
{
	n_writes = inet_merge_finish(merge, &writes, &slices);
	return n_writes;
}

static const struct recipe tcp4 = { .family = 4,
				    .protocol = 6,
				    .host = 5,
				    .ttl = 64,
				    .flags = 0x10,
				    .id = 0xffff,
				    .df = true,
				    .source_port = 1000,
				    .window = 501,
				    .sequence = 0xffffff00,
				    .ack = 77,
				    .options = 12,
				    .payload = 1000 };
static const struct recipe tcp6 = { .family = 6,
				    .protocol = 6,
				    .host = 5,
				    .ttl = 64,
				    .flags = 0x10,
				    .source_port = 1000,
				    .window = 501,
				    .sequence = 0xffffff00,
				    .ack = 77,
				    .options = 12,
				    .payload = 1000 };
static const struct recipe udp4 = { .family = 4,
				    .protocol = 17,
				    .host = 5,
				    .ttl = 64,
				    .id = 9,
				    .source_port = 1000,
				    .payload = 1000 };
static const struct recipe udp6 = {
	.family = 6, .protocol = 17, .host = 5, .ttl = 64, .source_port = 1000, .payload = 1000
};
static const struct recipe *const kinds[] = { &tcp4, &tcp6, &udp4, &udp6 };

/* The packet a sender would send after @r. */
static struct recipe following(struct recipe r)
{
	r.sequence += r.payload;
	r.id++;
	return r;
}

/* --- Giving back --- */

/* Equal, but for the identification of an IPv4 packet that must not be fragmented. */
static bool is_same(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	if (a[0] >> 4 != 4 || (a[6] & 0x40) == 0)
		return memcmp(a, b, len) == 0;
	return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, 4) == 0 &&
	       (slow_sum(a, 20) == 0xffff) == (slow_sum(b, 20) == 0xffff) &&
	       memcmp(a + 12, b + 12, len - 12) == 0;
}

static uint32_t flow_of(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? (uint32_t)p[15] << 8 | p[21]
			      : 0x10000U | (uint32_t)p[23] << 8 | p[41];
}

/* Strike off the oldest packet of the flow of @packet; it must be this one. */
static void receive(bool *seen, const uint8_t *packet, uint32_t len)
{
	for (uint32_t i = 0; i < sent.n; i++) {
		if (seen[i] || flow_of(sent.original[i]) != flow_of(packet))
			continue;
		CHECK(sent.len[i] == len && is_same(packet, sent.original[i], len));
		seen[i] = true;
		return;
	}
	FAIL("a packet nobody sent");
}

static void check_headers(const struct inet_write *w, const uint8_t *p)
{
	uint32_t at = w->offload.csum_start;
	bool is_v4 = p[0] >> 4 == 4, is_tcp = (is_v4 ? p[9] : p[6]) == 6;

	CHECK(w->offload.needs_csum && w->offload.gso_size > 0);
	CHECK(at == (is_v4 ? 20U : 40U) && w->offload.csum_offset == (is_tcp ? 16 : 6));
	CHECK(w->offload.gso == (!is_tcp ? INET_GSO_UDP
				 : is_v4 ? INET_GSO_TCP4
					 : INET_GSO_TCP6));
	CHECK(get_be16(p + at + w->offload.csum_offset) ==
	      slow_pseudo_sum(p, w->len - at, is_tcp ? 6 : 17));
	if (is_v4)
		CHECK(get_be16(p + 2) == w->len && slow_sum(p, 20) == 0xffff);
	else
		CHECK(get_be16(p + 4) == w->len - 40);
	if (!is_tcp)
		CHECK(get_be16(p + at + 4) == w->len - at);
}

static uint32_t gather(const struct inet_write *w, uint8_t *out)
{
	uint32_t len = 0;

	CHECK(slices[w->first_slice].iov_base == w->header);
	for (uint32_t i = 0; i < w->n_slices; i++) {
		const struct iovec *v = &slices[w->first_slice + i];

		memcpy(out + len, v->iov_base, v->iov_len);
		len += (uint32_t)v->iov_len;
	}
	CHECK(len == w->len && len <= INET_MERGE_BYTES_MAX);
	return len;
}

/* All that was sent comes back, in order per flow, octet for octet. */
static void check_that_segmentation_gives_back_what_was_sent(void)
{
	static uint8_t run[PACKET_MAX + ROOM], segment[PACKET_MAX];
	bool seen[BATCH] = { false };

	for (size_t k = 0; k < n_writes; k++) {
		const struct inet_write *w = &writes[k];
		uint32_t len = gather(w, run), header, n;

		if (w->n_slices == 1) {
			CHECK(w->offload.gso == INET_GSO_NONE && !w->offload.needs_csum);
			receive(seen, run, len);
			continue;
		}
		check_headers(w, run);
		header = w->offload.csum_start;
		header += w->offload.gso == INET_GSO_UDP ? 8U : (run[header + 12] >> 4) * 4U;
		for (uint32_t i = 0; i < w->n_slices; i++) {
			n = slow_segment(run, len, w->offload.csum_start, header,
					 w->offload.gso_size, i, segment);
			receive(seen, segment, n);
		}
	}
	for (uint32_t i = 0; i < sent.n; i++)
		CHECK(seen[i]);
}

static size_t writes_for(const struct recipe *first, const struct recipe *second)
{
	start();
	add(first);
	add(second);
	finish();
	check_that_segmentation_gives_back_what_was_sent();
	return n_writes;
}

/* --- By hand --- */

static void joins_a_batch_of_45_packets_into_one_write(void)
{
	for (size_t k = 0; k < 4; k++) {
		struct recipe r = *kinds[k];

		start();
		for (int i = 0; i < 45; i++) {
			if (i == 44)
				r.payload = 333;
			add(&r);
			r = following(r);
		}
		CHECK(finish() == 1 && writes[0].n_slices == 45);
		CHECK(writes[0].offload.gso_size == 1000);
		check_that_segmentation_gives_back_what_was_sent();
	}
}

static void leaves_a_single_packet_untouched(void)
{
	for (size_t k = 0; k < 4; k++) {
		start();
		add(kinds[k]);
		CHECK(finish() == 1 && writes[0].n_slices == 1);
		CHECK(memcmp(sent.copy[0], sent.original[0], sent.len[0]) == 0);
		CHECK(writes[0].len == sent.len[0] && writes[0].offload.gso == INET_GSO_NONE);
	}
}

static void a_shorter_packet_closes_the_run_and_a_longer_one_opens_another(void)
{
	for (size_t k = 0; k < 4; k++) {
		struct recipe a = *kinds[k], b = following(a), c;

		b.payload = 999;
		CHECK(writes_for(&a, &b) == 1);
		b.payload = 1001;
		CHECK(writes_for(&a, &b) == 2);

		start();
		add(&a);
		b.payload = 999;
		add(&b);
		c = following(b);
		add(&c);
		CHECK(finish() == 2);
		check_that_segmentation_gives_back_what_was_sent();
	}
}

static void a_packet_out_of_sequence_stands_apart(void)
{
	for (size_t k = 0; k < 2; k++) {
		struct recipe b = following(*kinds[k]);

		b.sequence++;
		CHECK(writes_for(kinds[k], &b) == 2);
		b.sequence -= 2;
		CHECK(writes_for(kinds[k], &b) == 2);
		b = *kinds[k]; /* sent twice */
		CHECK(writes_for(kinds[k], &b) == 2);
	}
}

static void only_ack_push_and_an_equal_ece_are_merged(void)
{
	for (unsigned int flags = 0; flags < 256; flags++) {
		for (size_t k = 0; k < 2; k++) {
			struct recipe a = *kinds[k], b = following(a);

			b.flags = (uint8_t)flags;
			CHECK(writes_for(&a, &b) == (flags == 0x10 || flags == 0x18 ? 1 : 2));
			a.flags = (uint8_t)flags; /* equal on both */
			CHECK(writes_for(&a, &b) == (flags == 0x10 || flags == 0x50 ? 1 : 2));
		}
	}
}

static void push_closes_the_run_and_reaches_its_header(void)
{
	struct recipe a = tcp4, b = following(a), c = following(b);

	start();
	add(&a);
	b.flags = 0x18;
	add(&b);
	add(&c);
	CHECK(finish() == 2 && writes[0].n_slices == 2 && writes[0].header[33] == 0x18);
	check_that_segmentation_gives_back_what_was_sent();
}

static void packets_without_payload_stand_alone(void)
{
	for (size_t k = 0; k < 4; k++) {
		struct recipe a = *kinds[k], b = following(a);

		b.payload = 0;
		CHECK(writes_for(&a, &b) == 2);
		a.payload = 0;
		CHECK(writes_for(&a, &b) == 2);
		b.payload = 1;
		CHECK(writes_for(&a, &b) == 2);
	}
}

/* @change is done to the second packet's octets, which are then sealed again. */
static size_t writes_after(const struct recipe *first, uint32_t offset, uint8_t change)
{
	static uint8_t p[PACKET_MAX];
	struct recipe b = following(*first);
	uint32_t len = build(&b, p);

	start();
	add(first);
	p[offset] ^= change;
	if (p[0] >> 4 == 4) {
		put_be16(p + 10, 0);
		put_be16(p + 10, (uint16_t)~slow_sum(p, 20));
	}
	seal(p, transport_offset(&b), len, b.protocol);
	add_bytes(p, len, true);
	finish();
	return n_writes;
}

static void every_header_octet_that_segmentation_would_lose_must_be_equal(void)
{
	/* TOS, id, flags, TTL, protocol-independent; then what belongs to TCP */
	static const uint32_t v4[] = { 1, 4, 5, 6, 8, 12, 15, 16, 19, 20, 21, 22, 23 };
	static const uint32_t v6[] = { 0, 1, 2, 3, 7, 8, 23, 24, 39, 40, 41, 42, 43 };
	static const uint32_t tcp[] = { 4, 5, 6, 7, 8, 11, 14, 15, 18, 19, 20, 31 };

	for (size_t k = 0; k < 4; k++) {
		const struct recipe *r = kinds[k];
		const uint32_t *at = r->family == 4 ? v4 : v6;

		CHECK(writes_after(r, 60, 0) == 1);
		for (size_t i = 0; i < 13; i++) {
			if (r->family == 6 && at[i] == 0) /* the version is there, too */
				CHECK(writes_after(r, 0, 0x01) == 2);
			else if (r->family == 4 && at[i] == 6)
				CHECK(writes_after(r, 6, 0x40) == 2);
			else
				CHECK(writes_after(r, at[i], 0x10) == 2);
		}
		for (size_t i = 0; r->protocol == 6 && i < sizeof(tcp) / sizeof(*tcp); i++)
			CHECK(writes_after(r, transport_offset(r) + tcp[i], 0x10) == 2);
		if (r->protocol == 6) /* AE, of AccECN */
			CHECK(writes_after(r, transport_offset(r) + 12, 0x01) == 2);
	}
}

static void options_of_another_length_stand_apart(void)
{
	struct recipe b = following(tcp4);

	b.options = 8;
	CHECK(writes_for(&tcp4, &b) == 2);
	b.payload = 996;
	b.options = 16;
	CHECK(writes_for(&tcp4, &b) == 2);
}

static void the_identification_counts_up_or_stays_under_df(void)
{
	struct recipe a = tcp4, b = following(a), c = following(b);

	b.id = a.id;
	CHECK(writes_for(&a, &b) == 1);
	b.id = (uint16_t)(a.id + 2);
	CHECK(writes_for(&a, &b) == 2);
	a.df = b.df = false;
	b.id = a.id;
	CHECK(writes_for(&a, &b) == 2);
	b.id = (uint16_t)(a.id + 1);
	CHECK(writes_for(&a, &b) == 1);

	a = tcp4; /* counting, then standing still; standing still, then counting */
	b = following(a);
	start();
	add(&a);
	add(&b);
	c.id = b.id;
	add(&c);
	CHECK(finish() == 2 && writes[0].n_slices == 2);
	start();
	b.id = a.id;
	c.id = (uint16_t)(a.id + 1);
	add(&a);
	add(&b);
	add(&c);
	CHECK(finish() == 2 && writes[0].n_slices == 2);
	start();
	c.id = (uint16_t)(a.id + 2);
	add(&a);
	add(&b);
	add(&c);
	CHECK(finish() == 2 && writes[0].n_slices == 2);
}

static void add_broken(const struct recipe *r, uint32_t offset)
{
	static uint8_t p[PACKET_MAX];
	uint32_t len = build(r, p);

	p[offset] ^= 0x04;
	add_bytes(p, len, true);
}

static void a_wrong_checksum_never_joins_a_run(void)
{
	for (size_t k = 0; k < 4; k++) {
		const struct recipe *r = kinds[k];
		const struct recipe b = following(*r), c = following(b);
		uint32_t broken[] = { 500, header_length(r) + 999, transport_offset(r) + 7,
				      10 };

		for (size_t i = r->protocol == 17 ? 1 : 0; i < (r->family == 4 ? 4 : 3); i++) {
			if (r->protocol == 17 && i == 2)
				continue;
			start(); /* in the second packet: the third opens a new run */
			add(r);
			add_broken(&b, broken[i]);
			add(&c);
			CHECK(finish() == 3);
			check_that_segmentation_gives_back_what_was_sent();
			start(); /* in the first packet */
			add_broken(r, broken[i]);
			add(&b);
			add(&c);
			CHECK(finish() == 2 && writes[1].n_slices == 2);
			check_that_segmentation_gives_back_what_was_sent();
		}
	}
}

static void udp_without_checksum_stands_alone(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = udp4;

	start();
	for (int i = 0; i < 3; i++, r = following(r)) {
		uint32_t len = build(&r, p);

		put_be16(p + 26, 0);
		add_bytes(p, len, true);
	}
	CHECK(finish() == 3);
	check_that_segmentation_gives_back_what_was_sent();
}

static void udp_without_checksum_stands_alone_even_where_zero_is_the_right_sum(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = udp4;

	start();
	for (int i = 0; i < 3; i++, r = following(r)) {
		uint32_t len = build(&r, p);

		put_be16(p + 28, 0);
		put_be16(p + 26, 0);
		put_be16(p + 28, slow_transport_checksum(p, 20, len - 20, 17));
		CHECK(slow_transport_checksum(p, 20, len - 20, 17) == 0);
		add_bytes(p, len, true);
	}
	CHECK(finish() == 3);
}

static void a_udp_length_that_is_not_the_packets_stands_alone(void)
{
	CHECK(writes_after(&udp4, 25, 1) == 2);
	CHECK(writes_after(&udp6, 45, 1) == 2);
}

static void fragments_and_options_pass_untouched_and_close_the_run(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = tcp4;
	uint32_t len;

	r.df = false;
	start();
	for (int i = 0; i < 6; i++, r = following(r)) {
		len = build(&r, p);
		if (i == 2 || i == 3)
			put_be16(p + 6, i == 2 ? 0x2000 : 0x0001);
		put_be16(p + 10, 0);
		put_be16(p + 10, (uint16_t)~slow_sum(p, 20));
		add_bytes(p, len, true);
	}
	CHECK(finish() == 4 && writes[0].n_slices == 2 && writes[3].n_slices == 2);
	check_that_segmentation_gives_back_what_was_sent();

	start(); /* nothing but first fragments */
	for (int i = 0; i < 3; i++, r = following(r)) {
		len = build(&r, p);
		put_be16(p + 6, 0x2000);
		put_be16(p + 10, 0);
		put_be16(p + 10, (uint16_t)~slow_sum(p, 20));
		add_bytes(p, len, true);
	}
	CHECK(finish() == 3);

	r = udp6;
	start();
	for (int i = 0; i < 5; i++) {
		r.extension = i == 2 ? 16 : 0;
		add(&r);
	}
	CHECK(finish() == 3 && writes[0].n_slices == 2 && writes[2].n_slices == 2);
}

/* A packet of @r with IPv4 options and right checksums. */
static uint32_t build_with_option(const struct recipe *r, uint8_t *p)
{
	uint32_t len = build(r, p);

	memmove(p + 24, p + 20, len - 20);
	memset(p + 20, 0, 4); /* end of options: adds nothing to a sum */
	p[0] = 0x46;
	put_be16(p + 2, (uint16_t)(len + 4));
	put_be16(p + 10, 0);
	put_be16(p + 10, (uint16_t)~slow_sum(p, 24));
	return len + 4;
}

static void packets_with_ipv4_options_stand_alone(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = tcp4;

	start();
	for (int i = 0; i < 3; i++, r = following(r))
		add_bytes(p, build_with_option(&r, p), true);
	CHECK(finish() == 3);
	for (uint32_t i = 0; i < sent.n; i++)
		CHECK(memcmp(sent.copy[i], sent.original[i], sent.len[i]) == 0);
}

static void a_tcp_header_shorter_than_20_octets_stands_alone(void)
{
	CHECK(writes_after(&tcp4, 32, 0) == 1);
	for (size_t k = 0; k < 2; k++) {
		static uint8_t p[PACKET_MAX];
		struct recipe r = *kinds[k];

		start();
		for (int i = 0; i < 2; i++) {
			uint32_t len = build(&r, p);

			p[transport_offset(&r) + 12] = 0x40;
			seal(p, transport_offset(&r), len, 6);
			add_bytes(p, len, true);
			r.sequence += len - transport_offset(&r) - 16;
			r.id++;
		}
		CHECK(finish() == 2);
	}
}

static void a_fragment_between_other_hosts_does_not_close_the_run(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe a = tcp4, b = following(a), other = udp4;
	uint32_t len;

	other.host++;
	len = build(&other, p);
	put_be16(p + 6, 0x0001);
	start();
	add(&a);
	add_bytes(p, len, true);
	add(&b);
	CHECK(finish() == 2 && writes[0].n_slices == 2);
}

static void icmp_between_the_same_hosts_does_not_close_the_run(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe a = tcp4, b = following(a), ping = udp4;
	uint32_t len = build(&ping, p);

	start();
	add(&a);
	p[9] = 1;
	add_bytes(p, len, true);
	add(&b);
	CHECK(finish() == 2 && writes[0].n_slices == 2);
}

static void nothing_is_merged_where_it_is_not_allowed(void)
{
	for (size_t k = 0; k < 4; k++) {
		static uint8_t p[PACKET_MAX];
		struct recipe b = following(*kinds[k]);
		bool is_tcp = kinds[k]->protocol == 6;

		start();
		add(kinds[k]);
		add_bytes(p, build(&b, p), false);
		b = following(b);
		add(&b);
		CHECK(finish() == 3);
		b = following(*kinds[k]);
		inet_merge_allow(merge, false, true);
		CHECK(writes_for(kinds[k], &b) == (is_tcp ? 2 : 1));
		inet_merge_allow(merge, true, false);
		CHECK(writes_for(kinds[k], &b) == (is_tcp ? 1 : 2));
		inet_merge_allow(merge, true, true);
	}
}

static void a_run_ends_at_64_slices(void)
{
	struct recipe r = udp4;

	start();
	r.payload = 10;
	for (int i = 0; i < 130; i++, r = following(r))
		add(&r);
	CHECK(finish() == 3 && writes[0].n_slices == 64 && writes[1].n_slices == 64);
	check_that_segmentation_gives_back_what_was_sent();
}

static void a_run_ends_at_65535_octets(void)
{
	for (size_t k = 0; k < 4; k++) {
		struct recipe r = *kinds[k];

		start();
		r.payload = 1900;
		for (int i = 0; i < 40; i++, r = following(r))
			add(&r);
		CHECK(finish() == 2 && writes[0].n_slices == 34);
		CHECK(writes[0].len <= 65535 && writes[0].len + 1900 > 65535);
		check_that_segmentation_gives_back_what_was_sent();
	}
}

static void sixteen_flows_at_once_are_kept_apart_and_merged(void)
{
	struct recipe flows[INET_MERGE_FLOWS];

	start();
	for (size_t k = 0; k < INET_MERGE_FLOWS; k++) {
		flows[k] = *kinds[k % 4];
		flows[k].source_port = (uint16_t)(1000 + k);
	}
	for (int i = 0; i < 10; i++) {
		for (size_t k = 0; k < INET_MERGE_FLOWS; k++) {
			add(&flows[k]);
			flows[k] = following(flows[k]);
		}
	}
	CHECK(finish() == INET_MERGE_FLOWS);
	for (size_t k = 0; k < INET_MERGE_FLOWS; k++)
		CHECK(writes[k].n_slices == 10 && writes[k].header == sent.copy[k]);
	check_that_segmentation_gives_back_what_was_sent();
}

static void with_one_flow_more_the_oldest_run_is_closed(void)
{
	struct recipe flows[INET_MERGE_FLOWS + 1];

	start();
	for (size_t k = 0; k <= INET_MERGE_FLOWS; k++) {
		flows[k] = udp4;
		flows[k].host = (uint8_t)k;
		add(&flows[k]);
	}
	flows[1] = following(flows[1]);
	add(&flows[1]); /* joins: was touched after 0 */
	flows[0] = following(flows[0]);
	add(&flows[0]);
	CHECK(finish() == INET_MERGE_FLOWS + 2 && writes[1].n_slices == 2);
	check_that_segmentation_gives_back_what_was_sent();
}

static void a_flow_has_one_hash_and_flows_differ(void)
{
	struct recipe a = tcp4, b = tcp4;

	start();
	add(&a);
	a.flags = 0x11;
	a.sequence += 5;
	add(&a);
	b.source_port++;
	add(&b);
	b.source_port--;
	b.host++;
	add(&b);
	CHECK(finish() == 4 && writes[0].flow_hash == writes[1].flow_hash);
	CHECK(writes[0].flow_hash != writes[2].flow_hash);
	CHECK(writes[0].flow_hash != writes[3].flow_hash);
}

struct hashed {
	uint32_t hash, value;
};

static int by_hash(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/*
 * Two packets alike but for the four octets at @offset, whose flows have the same hash: the
 * birthday paradox finds a pair among 2^18. They must not be joined. Returns pairs found.
 */
static uint32_t count_pairs_kept_apart(uint32_t offset)
{
	enum { TRIES = 1 << 18 };
	static struct hashed all[TRIES];
	static uint8_t p[2][ROOM];
	uint32_t len = build(&udp4, p[0]), found = 0;
	struct inet_ip ip;

	for (uint32_t i = 0; i < TRIES; i++) {
		all[i].value = next_random() << 1;
		put_be32(p[0] + offset, all[i].value);
		inet_merge_reset(merge);
		inet_ip_parse(p[0], len, &ip);
		inet_merge_add(merge, p[0], &ip, true);
		finish();
		all[i].hash = writes[0].flow_hash;
	}
	qsort(all, TRIES, sizeof(*all), by_hash);
	for (uint32_t i = 1; i < TRIES; i++) {
		struct recipe r = udp4;

		if (all[i].hash != all[i - 1].hash || all[i].value == all[i - 1].value)
			continue;
		found++;
		start();
		for (uint32_t k = 0; k < 2; k++, r = following(r)) {
			build(&r, p[k]);
			put_be32(p[k] + offset, all[i - k].value);
			put_be16(p[k] + 10, 0);
			put_be16(p[k] + 10, (uint16_t)~slow_sum(p[k], 20));
			seal(p[k], 20, len, 17);
			add_bytes(p[k], len, true);
		}
		CHECK(finish() == 2 && writes[0].flow_hash == writes[1].flow_hash);
	}
	return found;
}

static void flows_with_the_same_hash_are_kept_apart(void)
{
	CHECK(count_pairs_kept_apart(12) > 0); /* source addresses */
	CHECK(count_pairs_kept_apart(20) > 0); /* ports */
}

static void is_full_at_its_number_of_packets(void)
{
	struct inet_merge *small = NULL;
	struct recipe r = udp4;
	uint8_t p[2][ROOM];
	struct inet_ip ip;

	CHECK(inet_merge_new(2, &small) == 0);
	for (int i = 0; i < 2; i++, r = following(r)) {
		CHECK(!inet_merge_is_full(small));
		inet_ip_parse(p[i], build(&r, p[i]), &ip);
		inet_merge_add(small, p[i], &ip, true);
	}
	CHECK(inet_merge_is_full(small));
	CHECK(inet_merge_finish(small, &writes, &slices) == 1);
	inet_merge_reset(small);
	CHECK(!inet_merge_is_full(small) && inet_merge_finish(small, &writes, &slices) == 0);
	CHECK(inet_merge_free(small) == NULL && inet_merge_free(NULL) == NULL);

	start();
	for (int i = 0; i < BATCH; i++) {
		CHECK(!inet_merge_is_full(merge));
		r.payload = 0;
		add(&r);
	}
	CHECK(inet_merge_is_full(merge) && finish() == BATCH);
	check_that_segmentation_gives_back_what_was_sent();
}

/* --- Random streams against a model --- */

/* The last run of a flow, as the model sees it; n == 0: there is none that may grow. */
struct model {
	struct recipe first, last;
	uint32_t n, bytes;
	bool counts, stays;
};

/* Would a reader of the rules in merge.h join @r to the run? */
static bool joins(const struct model *m, const struct recipe *r)
{
	const struct recipe *a = &m->first;
	bool counts = r->id == (uint16_t)(m->last.id + 1) && !m->stays;
	bool stays = r->id == a->id && a->df && !m->counts;

	if (m->n == 0 || m->n == INET_MERGE_SLICES || m->bytes + r->payload > 65535)
		return false;
	if (r->payload == 0 || r->payload > a->payload || r->tos != a->tos || r->ttl != a->ttl)
		return false;
	if (r->family == 4 && (r->df != a->df || !(counts || stays)))
		return false;
	if (r->protocol == 17)
		return true;
	return (r->flags & ~8) == a->flags && r->options == a->options && r->ack == a->ack &&
	       r->window == a->window && r->sequence == m->last.sequence + m->last.payload;
}

/* Returns true if @r begins a new write. */
static bool advance(struct model *m, const struct recipe *r)
{
	bool is_new = !joins(m, r);
	bool may_join = r->payload > 0 && (r->protocol == 17 || (r->flags & ~0x48) == 0x10);

	if (is_new) {
		*m = (struct model){ .first = *r, .bytes = header_length(r) };
	} else {
		m->counts = m->counts || (m->n == 1 && r->id == (uint16_t)(m->first.id + 1));
		m->stays = m->stays || (m->n == 1 && r->id == m->first.id);
	}
	m->last = *r;
	m->n++;
	m->bytes += r->payload;
	if (!may_join || r->payload < m->first.payload || (r->protocol == 6 && (r->flags & 8)))
		m->n = 0;
	return is_new;
}

/* Now and then something changes in the middle of a flow. */
static void disturb(struct recipe *r)
{
	switch (next_random() % 60) {
	case 0:
		r->sequence += 100;
		break;
	case 1:
		r->tos ^= 3;
		break;
	case 2:
		r->ttl--;
		break;
	case 3:
		r->id = (uint16_t)(r->id - 1);
		break;
	case 4:
		r->ack += 7;
		break;
	case 5:
		r->window++;
		break;
	case 6:
		r->options = 12 - r->options;
		break;
	case 7:
		r->flags ^= (uint8_t)(1U << next_random() % 8);
		break;
	case 8:
		r->df = !r->df;
		break;
	default:
		break;
	}
}

static struct recipe next_packet(struct recipe *flow)
{
	struct recipe r;

	disturb(flow);
	r = *flow;
	if (next_random() % 25 == 0)
		r.flags |= 8;
	if (next_random() % 20 == 0)
		r.payload = next_random() % (flow->payload + 100);
	flow->sequence += r.payload;
	flow->id = (uint16_t)(flow->id + (next_random() % 20 != 0));
	if (next_random() % 10 == 0) {
		flow->flags = 0x10;
		flow->tos = 0;
	}
	return r;
}

static void random_streams_are_merged_as_the_model_says_and_given_back(void)
{
	for (int round = 0; round < 400; round++) {
		struct recipe flows[12];
		struct model models[12] = { 0 };
		uint32_t n_flows = 1 + next_random() % 12, at = 0, expected = 0;

		start();
		for (uint32_t k = 0; k < n_flows; k++) {
			flows[k] = *kinds[next_random() % 4];
			flows[k].source_port = (uint16_t)(1000 + k);
			flows[k].payload = 1 + next_random() % 1600;
			flows[k].id = (uint16_t)next_random();
		}
		while (!inet_merge_is_full(merge)) {
			struct recipe r;

			if (next_random() % 4 == 0)
				at = next_random() % n_flows;
			r = next_packet(&flows[at]);
			expected += advance(&models[at], &r);
			add(&r);
		}
		CHECK(finish() == expected);
		check_that_segmentation_gives_back_what_was_sent();
	}
}

int main(void)
{
	CHECK(inet_merge_new(BATCH, &merge) == 0);
	RUN(joins_a_batch_of_45_packets_into_one_write);
	RUN(leaves_a_single_packet_untouched);
	RUN(a_shorter_packet_closes_the_run_and_a_longer_one_opens_another);
	RUN(a_packet_out_of_sequence_stands_apart);
	RUN(only_ack_push_and_an_equal_ece_are_merged);
	RUN(push_closes_the_run_and_reaches_its_header);
	RUN(packets_without_payload_stand_alone);
	RUN(every_header_octet_that_segmentation_would_lose_must_be_equal);
	RUN(options_of_another_length_stand_apart);
	RUN(the_identification_counts_up_or_stays_under_df);
	RUN(a_wrong_checksum_never_joins_a_run);
	RUN(udp_without_checksum_stands_alone);
	RUN(udp_without_checksum_stands_alone_even_where_zero_is_the_right_sum);
	RUN(a_udp_length_that_is_not_the_packets_stands_alone);
	RUN(fragments_and_options_pass_untouched_and_close_the_run);
	RUN(packets_with_ipv4_options_stand_alone);
	RUN(a_tcp_header_shorter_than_20_octets_stands_alone);
	RUN(a_fragment_between_other_hosts_does_not_close_the_run);
	RUN(icmp_between_the_same_hosts_does_not_close_the_run);
	RUN(nothing_is_merged_where_it_is_not_allowed);
	RUN(a_run_ends_at_64_slices);
	RUN(a_run_ends_at_65535_octets);
	RUN(sixteen_flows_at_once_are_kept_apart_and_merged);
	RUN(with_one_flow_more_the_oldest_run_is_closed);
	RUN(a_flow_has_one_hash_and_flows_differ);
	RUN(flows_with_the_same_hash_are_kept_apart);
	RUN(is_full_at_its_number_of_packets);
	RUN(random_streams_are_merged_as_the_model_says_and_given_back);
	start();
	merge = inet_merge_free(merge);
	return DONE();
}
