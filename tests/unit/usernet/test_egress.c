/* SPDX-License-Identifier: Apache-2.0 */
/* One row per way to write an address that must not be reached, and for those that must. */
#include "../test.h"
#include "usernet/egress.h"

struct row {
	const char *address;
	enum egress_verdict want;
};

static const struct row rows[] = {
	/* The open Internet. */
	{ "1.1.1.1", EGRESS_OK },
	{ "9.255.255.255", EGRESS_OK },
	{ "11.0.0.0", EGRESS_OK },
	{ "100.63.255.255", EGRESS_OK },
	{ "100.128.0.0", EGRESS_OK },
	{ "126.255.255.255", EGRESS_OK },
	{ "128.0.0.1", EGRESS_OK },
	{ "169.253.255.255", EGRESS_OK },
	{ "172.15.255.255", EGRESS_OK },
	{ "172.32.0.0", EGRESS_OK },
	{ "192.0.1.0", EGRESS_OK },
	{ "192.167.255.255", EGRESS_OK },
	{ "198.51.100.2", EGRESS_OK },
	{ "223.255.255.255", EGRESS_OK },
	{ "2606:4700:4700::1111", EGRESS_OK },
	{ "2001:db8::1", EGRESS_OK },
	{ "64:ff9b::1.1.1.1", EGRESS_OK },
	{ "2002:101:101::1", EGRESS_OK },
	/* The host itself. */
	{ "127.0.0.1", EGRESS_LOOPBACK },
	{ "127.255.255.254", EGRESS_LOOPBACK },
	{ "::1", EGRESS_LOOPBACK },
	{ "0.0.0.0", EGRESS_RESERVED },
	{ "0.1.2.3", EGRESS_RESERVED },
	{ "::", EGRESS_RESERVED },
	{ "203.0.113.9", EGRESS_OWN },
	{ "2001:db8:9::9", EGRESS_OWN },
	/* Its link, and metadata services. */
	{ "169.254.169.254", EGRESS_LINK },
	{ "169.254.170.2", EGRESS_LINK },
	{ "169.254.0.1", EGRESS_LINK },
	{ "fe80::1", EGRESS_LINK },
	{ "febf::1", EGRESS_LINK },
	{ "fd00:ec2::254", EGRESS_METADATA },
	{ "fd20:ce::254", EGRESS_METADATA },
	{ "100.100.100.200", EGRESS_METADATA },
	{ "168.63.129.16", EGRESS_METADATA },
	{ "192.0.0.192", EGRESS_METADATA },
	/* Nobody, and everybody. */
	{ "192.0.0.1", EGRESS_RESERVED },
	{ "224.0.0.1", EGRESS_MULTICAST },
	{ "239.255.255.250", EGRESS_MULTICAST },
	{ "240.0.0.1", EGRESS_RESERVED },
	{ "255.255.255.255", EGRESS_MULTICAST },
	{ "ff02::1", EGRESS_MULTICAST },
	{ "ff0e::1", EGRESS_MULTICAST },
	{ "100::1", EGRESS_RESERVED },
	/* Private networks; 10.1.0.0/16 and fd77::/16 are opened below. */
	{ "10.0.0.1", EGRESS_PRIVATE },
	{ "10.1.2.3", EGRESS_OK },
	{ "10.2.0.0", EGRESS_PRIVATE },
	{ "172.16.0.1", EGRESS_PRIVATE },
	{ "172.31.255.255", EGRESS_PRIVATE },
	{ "192.168.1.1", EGRESS_PRIVATE },
	{ "100.64.0.1", EGRESS_PRIVATE },
	{ "fc00::1", EGRESS_PRIVATE },
	{ "fd12:3456::1", EGRESS_PRIVATE },
	{ "fd77::1", EGRESS_OK },
	{ "fec0::1", EGRESS_PRIVATE },
	/* IPv4 in IPv6 clothes. */
	{ "64:ff9b::127.0.0.1", EGRESS_LOOPBACK },
	{ "64:ff9b::169.254.169.254", EGRESS_LINK },
	{ "64:ff9b::10.0.0.1", EGRESS_PRIVATE },
	{ "64:ff9b::10.1.2.3", EGRESS_OK },
	{ "64:ff9b::203.0.113.9", EGRESS_OWN },
	/* 127.0.0.1, 169.254.169.254 and 10.0.0.1 behind a /48, /56, /64 and /96 of RFC 6052 */
	{ "64:ff9b:1:7f00:0:100::", EGRESS_RESERVED },
	{ "64:ff9b:1:7f:0:1::", EGRESS_RESERVED },
	{ "64:ff9b:1:a9fe:a9:fe00::", EGRESS_RESERVED },
	{ "64:ff9b:1:ff0a::1:0:0", EGRESS_RESERVED },
	{ "64:ff9b:1:0:7f:0:100::", EGRESS_RESERVED },
	{ "64:ff9b:1::127.0.0.1", EGRESS_RESERVED },
	{ "64:ff9b:1:abcd::a9fe:a9fe", EGRESS_RESERVED },
	{ "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", EGRESS_RESERVED },
	{ "64:ff9b:2::127.0.0.1", EGRESS_OK },
	{ "2002:7f00:1::", EGRESS_LOOPBACK },
	{ "2002:a9fe:a9fe::1", EGRESS_LINK },
	{ "2002:c0a8:101::1", EGRESS_PRIVATE },
	{ "2002:cb00:7109::1", EGRESS_OWN },
	{ "::127.0.0.1", EGRESS_LOOPBACK },
	{ "::a9fe:a9fe", EGRESS_LINK },
	{ "::ffff:0:127.0.0.1", EGRESS_LOOPBACK },
	{ "2001:0:101:101::80ff:fffe", EGRESS_LOOPBACK }, /* Teredo: 127.0.0.1 inverted */
	{ "2001:0:7f00:1::fefe:fefe", EGRESS_LOOPBACK },  /* Teredo: by its server */
	{ "2001:0:101:101::fefe:fefe", EGRESS_OK },
	{ "2001:db8::5efe:7f00:1", EGRESS_LOOPBACK }, /* ISATAP */
	{ "2001:db8::200:5efe:a00:1", EGRESS_PRIVATE },
	{ "2001:db8::5efe:101:101", EGRESS_OK },
};

static void fill(struct egress *e)
{
	*e = (struct egress){ .n_allowed = 2, .n_own = 2 };
	CHECK(ip_prefix_parse("10.1.0.0/16", true, &e->allowed[0]) == 0);
	CHECK(ip_prefix_parse("fd77::/16", true, &e->allowed[1]) == 0);
	CHECK(ip_addr_parse("203.0.113.9", &e->own[0]) == 0);
	CHECK(ip_addr_parse("2001:db8:9::9", &e->own[1]) == 0);
}

static void judges_every_form_of_an_address(void)
{
	struct egress e;

	fill(&e);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ip_addr ip;

		CHECK(ip_addr_parse(rows[i].address, &ip) == 0);
		enum egress_verdict got = egress_judge(&e, &ip);

		if (got != rows[i].want)
			printf("# %s: %s, not %s\n", rows[i].address, egress_verdict_text(got),
			       egress_verdict_text(rows[i].want));
		CHECK(got == rows[i].want);
	}
}

/* As it stands in a packet: parsers of text turn it into IPv4. */
static void a_mapped_address_is_the_one_inside(void)
{
	struct ip_addr mapped = { ADDR_V6, { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };
	struct egress e;

	fill(&e);
	CHECK(egress_judge(&e, &mapped) == EGRESS_LOOPBACK);
	mapped.b[12] = 10;
	mapped.b[13] = 1;
	CHECK(egress_judge(&e, &mapped) == EGRESS_OK);
	mapped.b[13] = 2;
	CHECK(egress_judge(&e, &mapped) == EGRESS_PRIVATE);
}

static void only_private_networks_can_be_opened(void)
{
	static const char *const closed[] = {
		"127.0.0.1",   "169.254.169.254", "::1",	  "fe80::1", "224.0.0.1",
		"203.0.113.9", "64:ff9b::7f00:1", "fd00:ec2::254"
	};
	struct egress e;

	fill(&e);
	CHECK(ip_prefix_parse("0.0.0.0/0", true, &e.allowed[0]) == 0);
	CHECK(ip_prefix_parse("::/0", true, &e.allowed[1]) == 0);
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		struct ip_addr ip;

		CHECK(ip_addr_parse(closed[i], &ip) == 0);
		CHECK(egress_judge(&e, &ip) != EGRESS_OK);
	}
}

static void what_is_no_address_goes_nowhere(void)
{
	const struct ip_addr none = { 0 };
	struct egress e = { 0 };

	CHECK(egress_judge(&e, &none) == EGRESS_RESERVED);
}

int main(void)
{
	RUN(judges_every_form_of_an_address);
	RUN(a_mapped_address_is_the_one_inside);
	RUN(only_private_networks_can_be_opened);
	RUN(what_is_no_address_goes_nowhere);
	return DONE();
}
