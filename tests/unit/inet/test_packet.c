/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths by hand, and the sixteen combinations of RFC 6040 in both families. */
#include <stdlib.h>

#include "../test.h"
#include "inet/packet.h"
#include "packets.h"

static const struct recipe tcp4 = {
	.family = 4, .protocol = 6, .tos = 0xb8, .ttl = 64, .flags = 0x10
};
static const struct recipe udp6 = {
	.family = 6, .protocol = 17, .tos = 0xb8, .ttl = 64, .payload = 9
};

static void reads_addresses_length_and_class_of_both_families(void)
{
	static const uint8_t source4[16] = { 10, 0, 1, 5 };
	uint8_t p[128];
	struct inet_ip ip;
	struct recipe r = tcp4;

	r.host = 5;
	CHECK(inet_ip_parse(p, build(&r, p) + 9, &ip)); /* padding behind is no harm */
	CHECK(ip.len == 40 && ip.tos == 0xb8 && ip.source.family == ADDR_V4);
	CHECK(memcmp(ip.source.b, source4, 16) == 0 && ip.destination.b[3] == 7);

	CHECK(inet_ip_parse(p, build(&udp6, p), &ip));
	CHECK(ip.len == 57 && ip.tos == 0xb8 && ip.destination.family == ADDR_V6);
	CHECK(ip.source.b[0] == 0xfd && ip.destination.b[15] == 0xfe);
}

/* Is every part of @p refused? Exact copies, so that reads beyond them are seen. */
static bool refuses_every_cut(const uint8_t *p, uint32_t len)
{
	struct inet_ip ip;
	bool refused = true;

	for (uint32_t available = 0; available < len; available++) {
		uint8_t *cut = malloc(available + 1);

		memcpy(cut + 1, p, available);
		refused = refused && !inet_ip_parse(cut + 1, available, &ip);
		free(cut);
	}
	return refused;
}

static void refuses_lengths_that_do_not_fit(void)
{
	uint8_t p[128];
	struct inet_ip ip;
	uint32_t len = build(&tcp4, p);

	CHECK(refuses_every_cut(p, len));
	p[3] = 19; /* total length below the header */
	CHECK(!inet_ip_parse(p, len, &ip));
	p[3] = 20;
	CHECK(inet_ip_parse(p, len, &ip) && ip.len == 20);
	p[0] = 0x44; /* header of 16 octets */
	CHECK(!inet_ip_parse(p, len, &ip));
	p[0] = 0x46; /* header of 24 octets in a packet of 20 */
	CHECK(!inet_ip_parse(p, len, &ip));

	len = build(&udp6, p);
	CHECK(refuses_every_cut(p, len));
	for (unsigned int version = 0; version < 16; version++) {
		p[0] = (uint8_t)(version << 4 | 8);
		CHECK(inet_ip_parse(p, len, &ip) == (version == 6));
	}
}

static void does_not_take_a_mapped_address_for_ipv4(void)
{
	uint8_t p[128];
	struct inet_ip ip;
	uint32_t len = build(&udp6, p);

	memset(p + 8, 0, 10);
	p[18] = p[19] = 0xff;
	CHECK(inet_ip_parse(p, len, &ip) && ip.source.family == ADDR_V6);
}

static void finds_the_transport_behind_extension_headers(void)
{
	/* hop by hop 8, routing 24 (used up), AH 24, destination options 8, then TCP */
	uint8_t p[40 + 8 + 24 + 24 + 8] = { 0x60 };
	struct inet_upper up;

	p[6] = 0;
	p[40] = 43;
	p[48] = 51;
	p[49] = 2;
	p[72] = 60;
	p[73] = 4;
	p[96] = 6;
	CHECK(inet_upper_find(p, sizeof(p), &up));
	CHECK(up.offset == sizeof(p) && up.protocol == 6 && !up.is_fragment && !up.is_routed);
	p[51] = 1; /* one segment left */
	CHECK(inet_upper_find(p, sizeof(p), &up) && up.is_routed);
	for (uint32_t len = 40; len < sizeof(p); len++)
		CHECK(!inet_upper_find(p, len, &up));
}

static void tells_first_and_later_fragments_apart(void)
{
	uint8_t p[128] = { 0x60 };
	struct inet_upper up;

	p[6] = 44;
	p[40] = 17;
	CHECK(inet_upper_find(p, 60, &up) && up.is_fragment && !up.is_later_fragment);
	CHECK(up.offset == 48 && up.protocol == 17);
	p[40] = 60; /* what follows a later fragment's header is payload, whatever it says */
	p[43] = 8;
	CHECK(inet_upper_find(p, 60, &up) && up.is_later_fragment && up.offset == 48);

	build(&tcp4, p);
	CHECK(inet_upper_find(p, 40, &up) && !up.is_fragment && up.offset == 20);
	put_be16(p + 6, 0x2000);
	CHECK(inet_upper_find(p, 40, &up) && up.is_fragment && !up.is_later_fragment);
	put_be16(p + 6, 0x0001);
	CHECK(inet_upper_find(p, 40, &up) && up.is_fragment && up.is_later_fragment);
	put_be16(p + 6, 0xc000); /* reserved bit and DF */
	CHECK(inet_upper_find(p, 40, &up) && !up.is_fragment);
}

static void gives_up_on_an_endless_chain_of_extensions(void)
{
	uint8_t p[40 + 8 * (INET_EXTENSIONS_MAX + 1)] = { 0x60 };
	struct inet_upper up;

	p[sizeof(p) - 8] = 6;
	CHECK(!inet_upper_find(p, sizeof(p), &up));
	p[sizeof(p) - 16] = 6; /* the last but one is the last extension */
	CHECK(inet_upper_find(p, sizeof(p), &up) && up.protocol == 6);
}

/* RFC 6040, figure 4. Rows: inner; columns: outer; both in the order not-ECT, ECT(0), ECT(1), CE. */
static const unsigned int codepoint[4] = { 0, 2, 1, 3 };
enum { DROP = 9 };
static const unsigned int decapsulated[4][4] = {
	{ 0, 0, 0, DROP },
	{ 2, 2, 1, 3 },
	{ 1, 1, 1, 3 },
	{ 3, 3, 3, 3 },
};

static void check_combination(const struct recipe *base, unsigned int inner, unsigned int outer)
{
	uint8_t p[128], want[128];
	struct recipe r = *base;
	unsigned int expected = decapsulated[inner][outer];
	uint32_t len;
	bool kept;

	random_state = 7; /* the same payload in both */
	r.tos = (uint8_t)(0xb8 | codepoint[inner]);
	len = build(&r, p);
	kept = inet_ecn_decap((uint8_t)(0x48 | codepoint[outer]), p);
	CHECK(kept == (expected != DROP));
	if (!kept)
		return;

	random_state = 7;
	r.tos = (uint8_t)(0xb8 | expected);
	build(&r, want);
	CHECK(memcmp(p, want, len) == 0); /* the IPv4 checksum included */
}

static void decapsulates_ecn_in_all_16_combinations_of_rfc_6040(void)
{
	for (unsigned int inner = 0; inner < 4; inner++) {
		for (unsigned int outer = 0; outer < 4; outer++) {
			check_combination(&tcp4, inner, outer);
			check_combination(&udp6, inner, outer);
		}
	}
}

static void leaves_a_wrong_header_checksum_wrong(void)
{
	uint8_t p[128];
	struct recipe r = tcp4;

	r.tos = 2;
	build(&r, p);
	p[10] ^= 0x5a;
	CHECK(inet_ecn_decap(3, p) && p[1] == 3);
	CHECK(slow_sum(p, 20) != 0xffff);
}

static void copies_ecn_and_not_dscp_to_the_outer_header(void)
{
	for (unsigned int tos = 0; tos < 256; tos++)
		CHECK(inet_ecn_encap((uint8_t)tos) == (tos & 3));
}

int main(void)
{
	RUN(reads_addresses_length_and_class_of_both_families);
	RUN(refuses_lengths_that_do_not_fit);
	RUN(does_not_take_a_mapped_address_for_ipv4);
	RUN(finds_the_transport_behind_extension_headers);
	RUN(tells_first_and_later_fragments_apart);
	RUN(gives_up_on_an_endless_chain_of_extensions);
	RUN(decapsulates_ecn_in_all_16_combinations_of_rfc_6040);
	RUN(leaves_a_wrong_header_checksum_wrong);
	RUN(copies_ecn_and_not_dscp_to_the_outer_header);
	return DONE();
}
