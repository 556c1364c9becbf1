/* SPDX-License-Identifier: Apache-2.0 */
/* Segments against a model that copies each one and sums every octet. */
#include <stdlib.h>

#include "../test.h"
#include "base/err.h"
#include "inet/split.h"
#include "packets.h"

static struct inet_offload offload_for(const struct recipe *r, uint16_t gso_size)
{
	struct inet_offload o = {
		.gso = r->protocol == 17 ? INET_GSO_UDP
		       : r->family == 4	 ? INET_GSO_TCP4
					 : INET_GSO_TCP6,
		.gso_size = gso_size,
		.needs_csum = true,
		.csum_start = (uint16_t)transport_offset(r),
		.csum_offset = r->protocol == 17 ? 6 : 16,
	};
	return o;
}

/* Cut what @r builds and compare every segment. */
static void compare(const struct recipe *r, uint16_t gso_size)
{
	static uint8_t original[PACKET_MAX], want[PACKET_MAX];
	uint32_t len = build(r, original), n = 0, got_len, want_len;
	uint8_t *packet = malloc(len), *segment; /* exact: a write beyond is seen */
	struct inet_offload offload = offload_for(r, gso_size);
	struct inet_split s;

	memcpy(packet, original, len);
	CHECK(inet_split_begin(&s, packet, len, &offload) == 0);
	CHECK(memcmp(packet, original, len) == 0);
	while ((segment = inet_split_next(&s, &got_len)) != NULL) {
		want_len = slow_segment(original, len, transport_offset(r), header_length(r),
					gso_size, n, want);
		CHECK(got_len == want_len && memcmp(segment, want, want_len) == 0);
		n++;
	}
	CHECK(slow_segment(original, len, transport_offset(r), header_length(r), gso_size, n,
			   want) == 0);
	CHECK(n == s.count && inet_split_next(&s, &got_len) == NULL);
	free(packet);
}

static void cuts_a_full_super_frame_into_45_segments(void)
{
	struct recipe r = { .family = 4,
			    .protocol = 6,
			    .ttl = 64,
			    .flags = 0x18,
			    .df = true,
			    .options = 12,
			    .payload = 44 * 1448 + 700,
			    .sequence = 0xfffff000 };
	struct inet_offload o = offload_for(&r, 1448);
	static uint8_t p[PACKET_MAX];
	struct inet_split s;

	CHECK(inet_split_begin(&s, p, build(&r, p), &o) == 0);
	CHECK(s.count == 45 && s.header_len == 52);
	compare(&r, 1448);
}

static void keeps_cwr_on_the_first_and_fin_and_psh_on_the_last(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = {
		.family = 6, .protocol = 6, .ttl = 64, .flags = 0xd9, .payload = 3000
	};
	struct inet_offload o = offload_for(&r, 1000);
	struct inet_split s;
	uint8_t flags[3] = { 0 }, *segment;
	uint32_t len;

	CHECK(inet_split_begin(&s, p, build(&r, p), &o) == 0);
	for (int i = 0; (segment = inet_split_next(&s, &len)) != NULL; i++)
		flags[i] = segment[40 + 13];
	CHECK(flags[0] == 0xd0 && flags[1] == 0x50 && flags[2] == 0x59);
}

static struct recipe random_recipe(void)
{
	struct recipe r = {
		.family = next_random() % 2 ? 4 : 6,
		.protocol = next_random() % 3 ? 6 : 17,
		.host = (uint8_t)next_random(),
		.tos = (uint8_t)next_random(),
		.ttl = (uint8_t)next_random(),
		.flags = (uint8_t)next_random(),
		.df = next_random() % 2,
		.id = (uint16_t)next_random(),
		.source_port = (uint16_t)next_random(),
		.window = (uint16_t)next_random(),
		.sequence = next_random() << 1,
		.ack = next_random(),
	};

	if (r.family == 6 && next_random() % 3 == 0)
		r.extension = 8 + next_random() % 16 * 8;
	if (r.protocol == 6)
		r.options = next_random() % 11 * 4;
	r.payload = next_random() % (next_random() % 8 ? 3000 : 65535 - header_length(&r) + 1);
	return r;
}

static void agrees_with_a_plain_copy_on_random_super_frames(void)
{
	for (int i = 0; i < 1500; i++) {
		struct recipe r = random_recipe();
		uint32_t gso_size = 1 + next_random() % 1500;

		if (r.payload > 3000)
			gso_size += 500;
		compare(&r, (uint16_t)gso_size);
	}
}

static void a_super_frame_without_payload_is_one_segment(void)
{
	struct recipe r = { .family = 4, .protocol = 6, .flags = 0x19, .options = 4 };

	compare(&r, 100);
	r.protocol = 17;
	compare(&r, 100);
}

static void writes_0xffff_where_udp_would_sum_to_zero(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = { .family = 4, .protocol = 17, .payload = 20 };
	struct inet_offload o = offload_for(&r, 10);
	struct inet_split s;
	uint32_t len = build(&r, p), got_len;
	uint8_t *segment;

	/* Choose the first payload word of slice 0 such that everything sums to 0xffff. */
	put_be16(p + 28, 0);
	put_be16(p + 24, 18);
	put_be16(p + 26, 0);
	put_be16(p + 28, slow_transport_checksum(p, 20, 18, 17));
	CHECK(inet_split_begin(&s, p, len, &o) == 0);
	segment = inet_split_next(&s, &got_len);
	CHECK(segment && got_len == 38 && get_be16(segment + 26) == 0xffff);
}

/* @packet is changed by no refusal. */
static bool refuses(const uint8_t *packet, uint32_t len, const struct inet_offload *o)
{
	uint8_t *copy = malloc(len + 1); /* exact, so that reads beyond it are seen */
	struct inet_split s;
	bool refused;

	memcpy(copy, packet, len);
	refused = inet_split_begin(&s, copy, len, o) == ERR_FORMAT &&
		  memcmp(copy, packet, len) == 0;
	free(copy);
	return refused;
}

static void refuses_headers_and_offloads_that_do_not_agree(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = { .family = 4, .protocol = 6, .flags = 0x10, .payload = 2000 };
	struct inet_offload o = offload_for(&r, 1000), wrong;
	uint32_t len = build(&r, p);

	for (uint32_t short_len = 0; short_len < len; short_len += short_len < 60 ? 1 : 97)
		CHECK(refuses(p, short_len, &o));
	wrong = o;
	wrong.gso_size = 0;
	CHECK(refuses(p, len, &wrong));
	wrong = o;
	wrong.gso = INET_GSO_NONE;
	CHECK(refuses(p, len, &wrong));
	wrong.gso = INET_GSO_UDP;
	CHECK(refuses(p, len, &wrong));
	wrong.gso = INET_GSO_TCP6;
	CHECK(refuses(p, len, &wrong));
	wrong = o;
	wrong.csum_start = 24;
	CHECK(refuses(p, len, &wrong));

	p[32] = 0xf0; /* TCP header of 60 octets in 59 */
	put_be16(p + 2, 79);
	CHECK(refuses(p, len, &o));
	put_be16(p + 2, 80);
	CHECK(!refuses(p, len, &o));
	put_be16(p + 2, (uint16_t)len);
	p[32] = 0x40; /* TCP header of 16 octets */
	CHECK(refuses(p, len, &o));
	p[32] = 0x50;
	p[6] = 0x20; /* a fragment */
	CHECK(refuses(p, len, &o));
	p[6] = 0;
	p[9] = 47; /* GRE */
	CHECK(refuses(p, len, &o));
	p[9] = 6;
	CHECK(!refuses(p, len, &o));
}

static void refuses_a_routing_header_that_is_not_used_up(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = {
		.family = 6, .protocol = 6, .flags = 0x10, .extension = 24, .payload = 2000
	};
	struct inet_offload o = offload_for(&r, 1000);
	uint32_t len = build(&r, p);

	p[6] = 43;
	p[43] = 0;
	CHECK(!refuses(p, len, &o));
	p[43] = 1;
	CHECK(refuses(p, len, &o));
}

static void refuses_more_than_65535_octets(void)
{
	static uint8_t p[PACKET_MAX + 100];
	struct recipe r = { .family = 6, .protocol = 6, .flags = 0x10, .payload = 65535 - 60 };
	struct inet_offload o = offload_for(&r, 1000);

	CHECK(!refuses(p, build(&r, p), &o));
	r.payload++;
	CHECK(refuses(p, build(&r, p), &o));
}

static void refuses_headers_longer_than_it_can_keep(void)
{
	static uint8_t p[PACKET_MAX];
	struct recipe r = { .family = 6, .protocol = 6, .flags = 0x10, .payload = 100 };
	struct inet_offload o;

	r.extension =
		INET_SPLIT_HEADER_MAX - 60; /* exactly as long as allowed, and a bit more */
	r.extension -= r.extension % 8;
	o = offload_for(&r, 50);
	CHECK(!refuses(p, build(&r, p), &o));
	r.extension += 8;
	o = offload_for(&r, 50);
	CHECK(refuses(p, build(&r, p), &o));
}

static void finishes_the_checksum_the_kernel_left_open(void)
{
	static uint8_t p[PACKET_MAX], want[PACKET_MAX];

	for (int i = 0; i < 300; i++) {
		struct recipe r = random_recipe();
		struct inet_offload o = offload_for(&r, 0);
		uint32_t len = build(&r, p), at = transport_offset(&r);
		uint32_t field = at + o.csum_offset;

		memcpy(want, p, len);
		if (get_be16(want + field) == 0)
			put_be16(want + field, 0xffff);
		put_be16(p + field, slow_pseudo_sum(p, len - at, r.protocol));
		o.gso = INET_GSO_NONE;
		CHECK(inet_checksum_finish(p, len, &o) == 0);
		CHECK(memcmp(p, want, len) == 0);
	}
}

static void finishes_a_sum_of_zero_as_0xffff(void)
{
	uint8_t p[64];
	struct recipe r = { .family = 4, .protocol = 17, .payload = 10 };
	struct inet_offload o = offload_for(&r, 0);
	uint32_t len = build(&r, p);

	put_be16(p + 28, 0);
	put_be16(p + 26, 0);
	put_be16(p + 28, slow_transport_checksum(p, 20, 18, 17));
	put_be16(p + 26, slow_pseudo_sum(p, 18, 17));
	CHECK(inet_checksum_finish(p, len, &o) == 0 && get_be16(p + 26) == 0xffff);
}

static void refuses_checksum_offsets_outside_the_packet(void)
{
	uint8_t p[64] = { 0 };
	struct inet_offload o = { .needs_csum = true, .csum_start = 46, .csum_offset = 16 };

	CHECK(inet_checksum_finish(p, 64, &o) == 0);
	CHECK(inet_checksum_finish(p, 63, &o) == ERR_FORMAT);
	o.csum_start = 65;
	o.csum_offset = 0;
	CHECK(inet_checksum_finish(p, 64, &o) == ERR_FORMAT);
	o.csum_start = 65535;
	o.csum_offset = 65535;
	CHECK(inet_checksum_finish(p, 64, &o) == ERR_FORMAT);
}

int main(void)
{
	RUN(cuts_a_full_super_frame_into_45_segments);
	RUN(keeps_cwr_on_the_first_and_fin_and_psh_on_the_last);
	RUN(agrees_with_a_plain_copy_on_random_super_frames);
	RUN(a_super_frame_without_payload_is_one_segment);
	RUN(writes_0xffff_where_udp_would_sum_to_zero);
	RUN(refuses_headers_and_offloads_that_do_not_agree);
	RUN(refuses_a_routing_header_that_is_not_used_up);
	RUN(refuses_more_than_65535_octets);
	RUN(refuses_headers_longer_than_it_can_keep);
	RUN(finishes_the_checksum_the_kernel_left_open);
	RUN(finishes_a_sum_of_zero_as_0xffff);
	RUN(refuses_checksum_offsets_outside_the_packet);
	return DONE();
}
