/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own, whose interfaces are made here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sched.h>
#include <unistd.h>

#include "../test.h"
#include "api/own_address.h"
#include "base/err.h"
#include "net/netlink.h"
#include "net/tun.h"

static struct netlink *nl;

/* An interface with an address; up unless told otherwise. */
static struct tun_queue interface(const char *name, const char *address, uint8_t bits,
				  bool is_up)
{
	struct tun_queue q = { .fd = -1 };
	struct netlink_address a = { .bits = bits };
	struct netlink_link link;

	if (tun_open(name, false, &q) != 0 || netlink_link_find(nl, name, &link) != 0 ||
	    ip_addr_parse(address, &a.ip) != 0)
		abort();
	a.index = link.index;
	if (netlink_address_add(nl, &a) != 0 ||
	    (is_up && netlink_link_set_up(nl, link.index, true) != 0))
		abort();
	return q;
}

static bool is(const struct ip_addr *a, const char *text)
{
	char shown[ADDR_TEXT_MAX];

	return a->family != ADDR_NONE && strcmp(ip_addr_format(a, shown), text) == 0;
}

static void a_machine_without_a_network_has_none(void)
{
	struct ip_addr a = { .family = ADDR_NONE };

	CHECK(own_address_any("wg0", &a) == ERR_UNKNOWN && a.family == ADDR_NONE);
	CHECK(own_address_towards_internet(&a) < 0 && a.family == ADDR_NONE);
}

static void the_way_to_the_internet_decides(void)
{
	/* On the link of the address that is asked for: as good as a default route. */
	struct tun_queue other = interface("aaa", "10.1.2.3", 24, true),
			 way = interface("out", "192.0.2.9", 24, true);
	struct ip_addr a = { .family = ADDR_NONE };

	CHECK(own_address_towards_internet(&a) == 0 && is(&a, "192.0.2.9"));
	tun_close(&other);
	tun_close(&way);
	CHECK(own_address_towards_internet(&a) < 0);
}

static void any_address_is_none_of_the_tunnel_and_none_that_is_down(void)
{
	struct tun_queue tunnel = interface("wg0", "10.0.1.1", 24, true),
			 down = interface("down", "10.9.9.9", 24, false);
	struct ip_addr a = { .family = ADDR_NONE };

	CHECK(own_address_any("wg0", &a) == ERR_UNKNOWN);
	CHECK(own_address_any("", &a) == 0 && is(&a, "10.0.1.1"));

	struct tun_queue lan = interface("lan", "192.168.7.1", 24, true);

	CHECK(own_address_any("wg0", &a) == 0 && is(&a, "192.168.7.1"));
	tun_close(&lan);
	tun_close(&tunnel);
	tun_close(&down);
}

static void a_link_local_address_is_not_one_clients_can_use(void)
{
	struct tun_queue lan = interface("lan", "fe80::5", 64, true);
	struct ip_addr a = { .family = ADDR_NONE };

	CHECK(own_address_any("wg0", &a) == ERR_UNKNOWN);

	struct tun_queue more = interface("more", "2001:db8:5::5", 64, true);

	CHECK(own_address_any("wg0", &a) == 0 && is(&a, "2001:db8:5::5"));
	tun_close(&lan);
	tun_close(&more);
}

int main(void)
{
	if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0 ||
	    access("/dev/net/tun", R_OK | W_OK) != 0 || netlink_open(&nl) != 0) {
		printf("1..0 # SKIP no network namespace or no /dev/net/tun here\n");
		return 0;
	}
	RUN(a_machine_without_a_network_has_none);
	RUN(the_way_to_the_internet_decides);
	RUN(any_address_is_none_of_the_tunnel_and_none_that_is_down);
	RUN(a_link_local_address_is_not_one_clients_can_use);
	netlink_close(nl);
	return DONE();
}
