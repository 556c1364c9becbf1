/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "../test.h"
#include "net/public_addr.h"

static struct ip_addr address(const char *text)
{
	struct ip_addr a = { .family = ADDR_NONE };

	if (ip_addr_parse(text, &a) < 0)
		abort();
	return a;
}

/* The first and the last address of each range, by hand from the registries of IANA. */
static const char *const closed[] = {
	"0.0.0.0",
	"0.255.255.255",
	"10.0.0.0",
	"10.255.255.255",
	"100.64.0.0",
	"100.127.255.255",
	"127.0.0.0",
	"127.0.0.1",
	"127.255.255.255",
	"169.254.0.0",
	"169.254.169.254",
	"172.16.0.0",
	"172.31.255.255",
	"192.0.0.0",
	"192.0.0.255",
	"192.0.2.0",
	"192.88.99.1",
	"192.168.0.0",
	"192.168.255.255",
	"198.18.0.0",
	"198.19.255.255",
	"198.51.100.7",
	"203.0.113.255",
	"224.0.0.0",
	"239.255.255.255",
	"240.0.0.0",
	"255.255.255.255",
	"::",
	"::1",
	"::ffff:127.0.0.1",
	"::ffff:10.0.0.1",
	"64:ff9b::a00:1",
	"64:ff9b::7f00:1",
	"64:ff9b:1::1",
	"100::1",
	"2001::1",
	"2001:1ff:ffff::1",
	"2001:db8::1",
	"2001:db8:ffff:ffff::1",
	"2002:7f00:1::",
	"2002:a00:1::1",
	"3fff::1",
	"3fff:fff:ffff::1",
	"5f00::1",
	"fc00::1",
	"fd00:ec2::254",
	"fe80::1",
	"febf::1",
	"ff02::1",
	"4000::1",
	"1fff::1",
};

static const char *const open_[] = {
	"1.0.0.0",	    "9.255.255.255",	 "11.0.0.0",
	"100.63.255.255",   "100.128.0.0",	 "126.255.255.255",
	"128.0.0.0",	    "169.253.255.255",	 "169.255.0.0",
	"172.15.255.255",   "172.32.0.0",	 "192.0.1.0",
	"192.0.3.0",	    "192.88.98.255",	 "192.88.100.0",
	"192.167.255.255",  "192.169.0.0",	 "198.17.255.255",
	"198.20.0.0",	    "198.51.99.255",	 "203.0.112.255",
	"223.255.255.255",  "::ffff:8.8.8.8",	 "64:ff9b::808:808",
	"2000::1",	    "2001:200::1",	 "2001:4860:4860::8888",
	"2001:db7:ffff::1", "2001:db9::1",	 "2002:808:808::1",
	"2003::1",	    "2a00:1450:4001::1", "3ffe::1",
	"3fff:1000::1",
};

static void the_edges_of_every_range_are_where_the_registries_have_them(void)
{
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		struct ip_addr a = address(closed[i]);

		if (public_addr_is(&a))
			printf("# %s\n", closed[i]);
		CHECK(!public_addr_is(&a));
	}
	for (size_t i = 0; i < sizeof(open_) / sizeof(open_[0]); i++) {
		struct ip_addr a = address(open_[i]);

		if (!public_addr_is(&a))
			printf("# %s\n", open_[i]);
		CHECK(public_addr_is(&a) && !public_addr_is_never(&a));
	}
}

static void no_operator_opens_metadata_multicast_and_link_local(void)
{
	static const char *const never[] = { "0.0.0.0",
					     "169.254.169.254",
					     "224.0.0.1",
					     "255.255.255.255",
					     "::",
					     "fe80::1",
					     "ff02::1",
					     "fd00:ec2::254",
					     "64:ff9b::a9fe:a9fe",
					     "2002:a9fe:a9fe::1" };
	static const char *const perhaps[] = { "10.0.0.1", "127.0.0.1",	  "::1",
					       "fd00::1",  "192.168.1.1", "100.64.0.1" };

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		struct ip_addr a = address(never[i]);

		CHECK(public_addr_is_never(&a));
	}
	for (size_t i = 0; i < sizeof(perhaps) / sizeof(perhaps[0]); i++) {
		struct ip_addr a = address(perhaps[i]);

		CHECK(!public_addr_is_never(&a) && !public_addr_is(&a));
	}
}

static void no_address_at_all_is_not_public(void)
{
	const struct ip_addr none = { .family = ADDR_NONE };
	struct ip_addr v4 = address("127.0.0.2"), v6 = address("::1"), other = address("::2");

	CHECK(!public_addr_is(&none) && public_addr_is_never(&none));
	CHECK(public_addr_is_loopback(&v4) && public_addr_is_loopback(&v6));
	CHECK(!public_addr_is_loopback(&other) && !public_addr_is_loopback(&none));
}

int main(void)
{
	RUN(the_edges_of_every_range_are_where_the_registries_have_them);
	RUN(no_operator_opens_metadata_multicast_and_link_local);
	RUN(no_address_at_all_is_not_public);
	return DONE();
}
