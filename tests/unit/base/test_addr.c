/* SPDX-License-Identifier: Apache-2.0 */
/* Text by the RFCs' own examples, the formatter against libc, masks against a bit loop. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>

#include "../test.h"
#include "base/addr.h"
#include "base/err.h"

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static bool reads_as(const char *text, const char *canonical)
{
	char out[ADDR_TEXT_MAX];
	struct ip_addr a;

	return ip_addr_parse(text, &a) == 0 && strcmp(ip_addr_format(&a, out), canonical) == 0;
}

/* RFC 4291 section 2.2 and RFC 5952 sections 1 to 5: texts and what they become. */
static void writes_ipv6_as_rfc_5952_recommends(void)
{
	static const char *const rows[][2] = {
		{ "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
		  "abcd:ef01:2345:6789:abcd:ef01:2345:6789" },
		{ "2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a" },
		{ "FF01:0:0:0:0:0:0:101", "ff01::101" },
		{ "0:0:0:0:0:0:0:1", "::1" },
		{ "0:0:0:0:0:0:0:0", "::" },
		{ "0:0:0:0:0:0:13.1.68.3", "::d01:4403" },
		{ "0:0:0:0:0:FFFF:129.144.52.38", "129.144.52.38" },
		{ "::FFFF:129.144.52.38", "129.144.52.38" },
		{ "2001:0db8::0001", "2001:db8::1" },
		{ "2001:db8:0:0:0:0:2:1", "2001:db8::2:1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1" },
		{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
		{ "fe80:0:0:0::", "fe80::" },
		{ "64:ff9b::192.0.2.33", "64:ff9b::c000:221" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(reads_as(rows[i][0], rows[i][1]));
	CHECK(reads_as("0.0.0.0", "0.0.0.0"));
	CHECK(reads_as("255.255.255.255", "255.255.255.255"));
}

static void refuses_texts_that_are_not_exactly_one_address(void)
{
	static const char *const rows[] = {
		"",
		" 1.2.3.4",
		"1.2.3.4 ",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.256",
		"01.2.3.4",
		"1.2.3.04",
		"0x1.2.3.4",
		"1.2.3.4\n",
		"16909060",
		"1.2.3.-4",
		"+1.2.3.4",
		"1..3.4",
		"localhost",
		":",
		":::",
		"1::2::3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8::",
		"::1:2:3:4:5:6:7:8",
		"12345::",
		"00001::",
		"g::",
		"::1 ",
		"::1%1",
		"::1%lo",
		"[::1]",
		"::1/128",
		"::1.2.3",
		"::1.2.3.4.5",
		"::01.2.3.4",
		"::1.2.3.4:5",
		"1:2:3:4:5:6:7:1.2.3.4",
		":1::",
		"1:",
		"1:2:3:4:5:6:7:",
		"fe80::\xc3\xa9",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0",
	};
	const struct ip_addr before = { .family = ADDR_V4, .b = { 9, 8, 7, 6 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ip_addr a = before;

		CHECK(ip_addr_parse(rows[i], &a) == ERR_FORMAT);
		CHECK(ip_addr_equal(&a, &before));
	}
}

/* libc writes ::a.b.c.d for ::/96; RFC 5952 keeps dots for prefixes known to hold IPv4. */
static void agrees_with_inet_ntop_on_random_addresses(void)
{
	char ours[ADDR_TEXT_MAX], theirs[ADDR_TEXT_MAX];
	uint64_t seed = 1;

	for (int i = 0; i < 100000; i++) {
		uint8_t b[16];
		struct ip_addr a, back;

		for (int k = 0; k < 16; k++)
			b[k] = next_random(&seed) % 3 ? 0 : (uint8_t)next_random(&seed);
		b[0] |= 0x20; /* outside ::/96 */
		a = ip_addr_v6(b);
		inet_ntop(AF_INET6, b, theirs, sizeof(theirs));
		CHECK(strcmp(ip_addr_format(&a, ours), theirs) == 0);
		CHECK(ip_addr_parse(ours, &back) == 0 && ip_addr_equal(&a, &back));
	}
}

static void turns_mapped_addresses_into_ipv4(void)
{
	const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 };
	const uint8_t plain[4] = { 192, 0, 2, 1 };
	struct ip_addr a = ip_addr_v6(mapped), b = ip_addr_v4(plain);
	struct endpoint e;

	CHECK(ip_addr_equal(&a, &b));
	CHECK(a.family == ADDR_V4 && ip_addr_bits(&a) == 32);
	CHECK(endpoint_parse("[::ffff:192.0.2.1]:7", &e) == 0 && ip_addr_equal(&e.ip, &b));
	CHECK(endpoint_parse("[::ffff:192.0.2.1%2]:7", &e) == ERR_FORMAT);
}

static bool prefix_reads_as(const char *text, const char *canonical)
{
	char out[ADDR_TEXT_MAX];
	struct ip_prefix p;

	return ip_prefix_parse(text, false, &p) == 0 &&
	       strcmp(ip_prefix_format(&p, out), canonical) == 0;
}

static void clears_the_host_bits_of_a_prefix(void)
{
	CHECK(prefix_reads_as("10.1.2.3/8", "10.0.0.0/8"));
	CHECK(prefix_reads_as("10.1.2.3", "10.1.2.3/32"));
	CHECK(prefix_reads_as("10.255.255.255/9", "10.128.0.0/9"));
	CHECK(prefix_reads_as("1.2.3.4/0", "0.0.0.0/0"));
	CHECK(prefix_reads_as("2001:db8:ffff::1/33", "2001:db8:8000::/33"));
	CHECK(prefix_reads_as("::1", "::1/128"));
	CHECK(prefix_reads_as("ffff::/0", "::/0"));
	CHECK(prefix_reads_as("::ffff:10.1.2.3/104", "10.0.0.0/8"));
	CHECK(prefix_reads_as("::ffff:10.1.2.3/96", "0.0.0.0/0"));
	CHECK(prefix_reads_as("::ffff:10.1.2.3/95", "::fffe:0:0/95"));
	CHECK(prefix_reads_as("::ffff:10.1.2.3/64", "::/64"));
}

static void refuses_prefixes_with_a_wrong_length(void)
{
	static const char *const rows[] = { "10.0.0.0/33",
					    "10.0.0.0/",
					    "10.0.0.0/-1",
					    "10.0.0.0/8 ",
					    "10.0.0.0/08",
					    "10.0.0.0/8/8",
					    "::/129",
					    "::/+1",
					    "/8",
					    "10.0.0.0/255.0.0.0",
					    "10.0.0.0/18446744073709551624",
					    "10/8" };
	struct ip_prefix p;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(ip_prefix_parse(rows[i], false, &p) == ERR_FORMAT);
	CHECK(ip_prefix_parse("10.0.0.0", true, &p) == ERR_FORMAT);
	CHECK(ip_prefix_parse("10.0.0.0/32", true, &p) == 0);
}

static bool bit_of(const struct ip_addr *a, unsigned int n)
{
	return a->b[n / 8] >> (7 - n % 8) & 1;
}

static void contains_what_shares_every_leading_bit(void)
{
	uint64_t seed = 2;

	for (int i = 0; i < 100000; i++) {
		uint8_t b[16];
		struct ip_prefix p = { .bits = (uint8_t)(next_random(&seed) % 129) };
		struct ip_addr a;
		unsigned int flip = (unsigned int)(next_random(&seed) % 128);
		bool same = true;

		for (int k = 0; k < 16; k++)
			b[k] = (uint8_t)next_random(&seed);
		p.ip = ip_addr_v6(b);
		b[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
		a = ip_addr_v6(b);
		for (unsigned int n = 0; n < p.bits; n++)
			same = same && bit_of(&a, n) == bit_of(&p.ip, n);
		CHECK(ip_prefix_contains(&p, &a) == same);
		ip_prefix_mask(&p);
		for (unsigned int n = p.bits; n < 128; n++)
			CHECK(!bit_of(&p.ip, n));
		CHECK(ip_prefix_contains(&p, &a) == same);
	}
}

static void keeps_the_families_apart(void)
{
	struct ip_prefix all4, all6;
	struct ip_addr v4, v6;

	CHECK(ip_prefix_parse("0.0.0.0/0", true, &all4) == 0);
	CHECK(ip_prefix_parse("::/0", true, &all6) == 0);
	CHECK(ip_addr_parse("1.2.3.4", &v4) == 0 && ip_addr_parse("2::", &v6) == 0);
	CHECK(ip_prefix_contains(&all4, &v4) && !ip_prefix_contains(&all4, &v6));
	CHECK(ip_prefix_contains(&all6, &v6) && !ip_prefix_contains(&all6, &v4));
}

static bool endpoint_reads_as(const char *text, const char *canonical)
{
	char out[ADDR_TEXT_MAX];
	struct endpoint e, back;

	return endpoint_parse(text, &e) == 0 &&
	       strcmp(endpoint_format(&e, out), canonical) == 0 &&
	       endpoint_parse(out, &back) == 0 && endpoint_same_remote(&e, &back);
}

static void reads_and_writes_endpoints(void)
{
	struct endpoint e;

	CHECK(endpoint_reads_as("192.0.2.1:51820", "192.0.2.1:51820"));
	CHECK(endpoint_reads_as("[2001:DB8::1]:1", "[2001:db8::1]:1"));
	CHECK(endpoint_reads_as("[fe80::1%7]:65535", "[fe80::1%7]:65535"));
	CHECK(endpoint_reads_as("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
				"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535"));
	CHECK(endpoint_parse("[fe80::1%7]:9", &e) == 0);
	CHECK(e.scope == 7 && e.port == 9 && e.ip.family == ADDR_V6);
	CHECK(e.local.family == ADDR_NONE && e.local_if == 0);
}

static void refuses_endpoints_it_would_have_to_guess_at(void)
{
	static const char *const rows[] = {
		"",
		":",
		":1",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		"1.2.3.4:-1",
		"1.2.3.4:+1",
		"1.2.3.4: 1",
		"1.2.3.4:1 ",
		"1.2.3.4:01",
		"1.2.3.4:0x1",
		"1.2.3.4:http",
		"::1:1",
		"2001:db8::1:51820",
		"[::1]",
		"[::1]:",
		"[::1]1",
		"::1]:1",
		"[::1:1",
		"[]:1",
		"[1.2.3.4]:1",
		"[::1%]:1",
		"[fe80::1%eth0]:1",
		"[fe80::1%4294967296]:1",
		"[fe80::1%-1]:1",
		"[%1]:1",
		"1.2.3.4%1:1",
		"[[::1]]:1",
		"host:1",
		"[fe80::1%1%2]:1",
		"[fe80::1%01]:1",
	};
	struct endpoint e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(endpoint_parse(rows[i], &e) == ERR_FORMAT);
}

static void compares_remotes_without_the_local_side(void)
{
	struct endpoint a, b;

	CHECK(endpoint_parse("[fe80::1%7]:9", &a) == 0);
	b = a;
	b.local_if = 3;
	b.local.family = ADDR_V6;
	CHECK(endpoint_same_remote(&a, &b));
	b.port++;
	CHECK(!endpoint_same_remote(&a, &b));
	b = a;
	b.scope++;
	CHECK(!endpoint_same_remote(&a, &b));
	b = a;
	b.ip.b[15] ^= 1;
	CHECK(!endpoint_same_remote(&a, &b));
}

int main(void)
{
	RUN(writes_ipv6_as_rfc_5952_recommends);
	RUN(refuses_texts_that_are_not_exactly_one_address);
	RUN(agrees_with_inet_ntop_on_random_addresses);
	RUN(turns_mapped_addresses_into_ipv4);
	RUN(clears_the_host_bits_of_a_prefix);
	RUN(refuses_prefixes_with_a_wrong_length);
	RUN(contains_what_shares_every_leading_bit);
	RUN(keeps_the_families_apart);
	RUN(reads_and_writes_endpoints);
	RUN(refuses_endpoints_it_would_have_to_guess_at);
	RUN(compares_remotes_without_the_local_side);
	return DONE();
}
