/* SPDX-License-Identifier: Apache-2.0 */
/* Messages written out by hand, and each case in which the RFCs forbid one. */
#include <stdlib.h>

#include "../test.h"
#include "inet/icmp.h"
#include "packets.h"

static const struct recipe udp4 = { .family = 4,
				    .protocol = 17,
				    .host = 5,
				    .ttl = 64,
				    .df = true,
				    .source_port = 9,
				    .payload = 4 };
static const struct recipe udp6 = {
	.family = 6, .protocol = 17, .host = 5, .ttl = 64, .source_port = 9, .payload = 4
};

/* The answer to an exact copy of @packet, so that reads beyond it are seen. */
static uint32_t answer(enum inet_icmp_error error, uint32_t mtu, const uint8_t *packet,
		       uint32_t len, uint8_t *out)
{
	uint8_t *copy = malloc(len ? len : 1);
	uint32_t n;

	memcpy(copy, packet, len);
	n = inet_icmp_error(error, mtu, copy, len, out);
	free(copy);
	return n;
}

static bool is_answered(const uint8_t *packet, uint32_t len)
{
	uint8_t out[INET_ICMP_MAX];

	return answer(INET_ICMP_HOST_UNREACHABLE, 0, packet, len, out) != 0;
}

static void builds_host_unreachable_for_ipv4(void)
{
	static const uint8_t want[28] = {
		0x45, 0xc0, 0x00, 60, 0x00, 0x00, 0x40, 0x00, 64, 1, 0xa9, 0x9a, 192, 168,
		2,    7,    10,	  0,  1,    5,	  3,	1,    0,  0, 0,	   0,	 0,   0,
	};
	uint8_t p[64], out[INET_ICMP_MAX];
	uint32_t len = build(&udp4, p);

	CHECK(len == 32);
	CHECK(answer(INET_ICMP_HOST_UNREACHABLE, 0, p, len, out) == 60);
	CHECK(slow_sum(out, 20) == 0xffff && slow_sum(out + 20, 40) == 0xffff);
	CHECK(memcmp(out + 28, p, 32) == 0);
	put_be16(out + 22, 0);
	CHECK(memcmp(out, want, 10) == 0 && memcmp(out + 12, want + 12, 16) == 0);
}

static void builds_fragmentation_needed_with_the_mtu(void)
{
	uint8_t p[64], out[INET_ICMP_MAX];
	uint32_t len = build(&udp4, p);

	CHECK(answer(INET_ICMP_TOO_BIG, 1380, p, len, out) == 60);
	CHECK(out[20] == 3 && out[21] == 4 && get_be16(out + 24) == 0 &&
	      get_be16(out + 26) == 1380);
	CHECK(slow_sum(out, 20) == 0xffff && slow_sum(out + 20, 40) == 0xffff);
	CHECK(answer(INET_ICMP_TOO_BIG, 70000, p, len, out) == 60 &&
	      get_be16(out + 26) == 65535);
	p[6] = 0; /* no DF: it can be fragmented */
	CHECK(answer(INET_ICMP_TOO_BIG, 1380, p, len, out) == 0);
}

static void builds_both_messages_for_ipv6(void)
{
	uint8_t p[64], out[INET_ICMP_MAX];
	uint32_t len = build(&udp6, p);

	CHECK(answer(INET_ICMP_HOST_UNREACHABLE, 0, p, len, out) == 48 + 52);
	CHECK(get_be32(out) == 0x60000000 && get_be16(out + 4) == 60 && out[6] == 58 &&
	      out[7] == 64);
	CHECK(memcmp(out + 8, p + 24, 16) == 0 && memcmp(out + 24, p + 8, 16) == 0);
	CHECK(out[40] == 1 && out[41] == 3 && get_be32(out + 44) == 0);
	CHECK(memcmp(out + 48, p, 52) == 0);
	CHECK(slow_transport_checksum(out, 40, 60, 58) == 0);

	CHECK(answer(INET_ICMP_TOO_BIG, 1400, p, len, out) == 100);
	CHECK(out[40] == 2 && out[41] == 0 && get_be32(out + 44) == 1400);
	CHECK(slow_transport_checksum(out, 40, 60, 58) == 0);
}

static void quotes_as_much_as_576_and_1280_octets_hold(void)
{
	static uint8_t p[2048];
	uint8_t out[INET_ICMP_MAX];
	struct recipe r = udp4;
	uint32_t len;

	for (r.payload = 515; r.payload <= 525; r.payload++) {
		uint32_t want = 28 + 28 + r.payload < 576 ? 28 + 28 + r.payload : 576;

		len = build(&r, p);
		CHECK(answer(INET_ICMP_HOST_UNREACHABLE, 0, p, len, out) == want);
		CHECK(slow_sum(out + 20, want - 20) == 0xffff &&
		      memcmp(out + 28, p, want - 28) == 0);
	}
	r = udp6;
	for (r.payload = 1180; r.payload <= 1200; r.payload++) {
		uint32_t want = 48 + 48 + r.payload < 1280 ? 48 + 48 + r.payload : 1280;

		len = build(&r, p);
		CHECK(answer(INET_ICMP_TOO_BIG, 1280, p, len, out) == want);
		CHECK(slow_transport_checksum(out, 40, want - 40, 58) == 0);
		CHECK(memcmp(out + 48, p, want - 48) == 0);
	}
}

static void does_not_quote_what_lies_behind_the_packet(void)
{
	uint8_t p[64] = { 0 }, out[INET_ICMP_MAX];
	uint32_t len = build(&udp4, p);

	CHECK(answer(INET_ICMP_HOST_UNREACHABLE, 0, p, len + 12, out) == 28 + len);
}

static void never_answers_icmp_errors_and_unknown_messages(void)
{
	uint8_t p[64];
	uint32_t len = build(&udp4, p);

	p[9] = 1;
	for (unsigned int type = 0; type < 256; type++) {
		bool is_query = type == 0 || (type >= 8 && type <= 10) ||
				(type >= 13 && type <= 18) || type == 42 || type == 43;

		p[20] = (uint8_t)type;
		CHECK(is_answered(p, len) == is_query);
	}
	put_be16(p + 2, 20); /* cut off before the type */
	CHECK(!is_answered(p, 20));

	len = build(&udp6, p);
	p[6] = 58;
	for (unsigned int type = 0; type < 256; type++) {
		p[40] = (uint8_t)type;
		CHECK(is_answered(p, len) == (type >= 128 && type != 137));
	}
	put_be16(p + 4, 0);
	CHECK(!is_answered(p, 40));
}

static void finds_an_icmp_error_behind_extension_headers(void)
{
	uint8_t p[128];
	struct recipe r = udp6;
	uint32_t len;

	r.extension = 16;
	len = build(&r, p);
	CHECK(is_answered(p, len));
	p[40] = 58;
	p[56] = 1;
	CHECK(!is_answered(p, len));
	p[56] = 128;
	CHECK(is_answered(p, len));
	p[41] = 200; /* the extension leaves the packet */
	CHECK(!is_answered(p, len));
}

static void never_answers_later_fragments(void)
{
	uint8_t p[64];
	uint32_t len = build(&udp4, p);

	put_be16(p + 6, 0x2000);
	CHECK(is_answered(p, len));
	put_be16(p + 6, 0x2001);
	CHECK(!is_answered(p, len));
	put_be16(p + 6, 0x0001);
	CHECK(!is_answered(p, len));

	len = build(&udp6, p);
	p[6] = 44;
	p[40] = 17;
	put_be16(p + 42, 1);
	CHECK(is_answered(p, len));
	put_be16(p + 42, 8);
	CHECK(!is_answered(p, len));
}

/* Is a packet with @address in either place answered? The same must hold for both. */
static bool is_host(const struct recipe *r, const uint8_t *address, uint32_t size)
{
	uint32_t source = r->family == 4 ? 12 : 8;
	uint8_t p[64];
	uint32_t len = build(r, p);
	bool as_source, as_destination;

	memcpy(p + source, address, size);
	as_source = is_answered(p, len);
	build(r, p);
	memcpy(p + source + size, address, size);
	as_destination = is_answered(p, len);
	CHECK(as_source == as_destination);
	return as_source;
}

static void answers_single_hosts_only(void)
{
	static const uint8_t bad4[][4] = { { 0, 0, 0, 0 },	   { 0, 1, 2, 3 },
					   { 127, 0, 0, 1 },	   { 224, 0, 0, 1 },
					   { 239, 255, 255, 255 }, { 240, 0, 0, 1 },
					   { 255, 255, 255, 255 } };
	static const uint8_t good4[][4] = { { 1, 0, 0, 1 },
					    { 223, 255, 255, 254 },
					    { 126, 1, 1, 1 },
					    { 128, 0, 0, 1 },
					    { 169, 254, 1, 1 } };
	uint8_t a[16] = { 0 };

	for (size_t i = 0; i < sizeof(bad4) / 4; i++)
		CHECK(!is_host(&udp4, bad4[i], 4));
	for (size_t i = 0; i < sizeof(good4) / 4; i++)
		CHECK(is_host(&udp4, good4[i], 4));

	CHECK(!is_host(&udp6, a, 16)); /* :: */
	a[15] = 1;
	CHECK(!is_host(&udp6, a, 16)); /* ::1 */
	a[15] = 2;
	CHECK(is_host(&udp6, a, 16));
	a[0] = 0xff;
	a[1] = 0x02;
	CHECK(!is_host(&udp6, a, 16)); /* ff02::2 */
	a[0] = 0xfe;
	a[1] = 0x80;
	CHECK(is_host(&udp6, a, 16));
}

static void answers_nothing_that_is_no_ip_packet(void)
{
	uint8_t p[64];
	uint32_t len = build(&udp4, p);

	for (uint32_t n = 0; n < len; n++)
		CHECK(!is_answered(p, n));
	p[0] = 0x55;
	CHECK(!is_answered(p, len));
}

/* RFC 1812 section 5.2.7.1, 5.3.9; RFC 4443 sections 3.1 and 3.3 */
static void says_every_kind_with_its_own_numbers(void)
{
	static const struct {
		enum inet_icmp_error error;
		uint8_t v4[2], v6[2];
	} rows[] = {
		{ INET_ICMP_NO_ROUTE, { 3, 0 }, { 1, 0 } },
		{ INET_ICMP_HOST_UNREACHABLE, { 3, 1 }, { 1, 3 } },
		{ INET_ICMP_PORT_UNREACHABLE, { 3, 3 }, { 1, 4 } },
		{ INET_ICMP_PROHIBITED, { 3, 13 }, { 1, 1 } },
		{ INET_ICMP_TIME_EXCEEDED, { 11, 0 }, { 3, 0 } },
	};
	uint8_t p[96], out[INET_ICMP_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK(answer(rows[i].error, 0, p, build(&udp4, p), out) == 60);
		CHECK(out[20] == rows[i].v4[0] && out[21] == rows[i].v4[1]);
		CHECK(answer(rows[i].error, 0, p, build(&udp6, p), out) == 100);
		CHECK(out[40] == rows[i].v6[0] && out[41] == rows[i].v6[1]);
	}
}

static void speaks_for_a_router_on_the_way(void)
{
	const struct inet_icmp_kind kind = { .type = 3, .code = 4, .info = 1300 };
	const struct ip_addr router = { ADDR_V4, { 203, 0, 113, 1 } };
	const struct ip_addr other = { ADDR_V6, { 0x20 } };
	uint8_t p[64], out[INET_ICMP_MAX];
	uint32_t len = build(&udp4, p);

	CHECK(inet_icmp_error_from(&kind, &router, p, len, out) == 60);
	CHECK(memcmp(out + 12, router.b, 4) == 0 && memcmp(out + 16, p + 12, 4) == 0);
	CHECK(get_be32(out + 24) == 1300 && slow_sum(out + 20, 40) == 0xffff);
	CHECK(inet_icmp_error_from(&kind, &other, p, len, out) == 0);
	p[6] = 0; /* without DF nobody may say so */
	CHECK(inet_icmp_error_from(&kind, &router, p, len, out) == 0);
}

int main(void)
{
	RUN(builds_host_unreachable_for_ipv4);
	RUN(builds_fragmentation_needed_with_the_mtu);
	RUN(builds_both_messages_for_ipv6);
	RUN(quotes_as_much_as_576_and_1280_octets_hold);
	RUN(does_not_quote_what_lies_behind_the_packet);
	RUN(never_answers_icmp_errors_and_unknown_messages);
	RUN(finds_an_icmp_error_behind_extension_headers);
	RUN(never_answers_later_fragments);
	RUN(answers_single_hosts_only);
	RUN(answers_nothing_that_is_no_ip_packet);
	RUN(says_every_kind_with_its_own_numbers);
	RUN(speaks_for_a_router_on_the_way);
	return DONE();
}
