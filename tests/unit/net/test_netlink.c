/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a network namespace of its own, on a TUN device. What was set is asked for through
 * other doors of the kernel: ioctls, getifaddrs(), /proc/net.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "net/linkwatch.h"
#include "net/netlink.h"

static struct netlink *nl;
static struct netlink_link tun;
static int watch = -1;

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = { 0 };

	CHECK(ip_addr_parse(text, &a) == 0);
	return a;
}

static bool make_tun(const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC); /* stays open: it is the device */

	strncpy(req.ifr_name, name, sizeof(req.ifr_name) - 1);
	return fd >= 0 && ioctl(fd, TUNSETIFF, &req) == 0;
}

static int ask_kernel(unsigned long request, struct ifreq *req)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result;

	strncpy(req->ifr_name, "cvt0", sizeof(req->ifr_name) - 1);
	result = ioctl(fd, request, req);
	close(fd);
	return result;
}

static bool kernel_says_up(void)
{
	struct ifreq req = { 0 };

	return ask_kernel(SIOCGIFFLAGS, &req) == 0 && (req.ifr_flags & IFF_UP);
}

static bool has_address(const char *text)
{
	char host[INET6_ADDRSTRLEN];
	struct ifaddrs *list = NULL;
	bool found = false;

	CHECK(getifaddrs(&list) == 0);
	for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
		if (!a->ifa_addr || strcmp(a->ifa_name, "cvt0") != 0)
			continue;
		if (a->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET,
				  &((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr, host,
				  sizeof(host));
		else if (a->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6,
				  &((struct sockaddr_in6 *)(void *)a->ifa_addr)->sin6_addr,
				  host, sizeof(host));
		else
			continue;
		found = found || strcmp(host, text) == 0;
	}
	freeifaddrs(list);
	return found;
}

static bool file_has(const char *path, const char *text)
{
	char line[512];
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		found = found || strstr(line, text);
	if (f)
		fclose(f);
	return found;
}

static void finds_a_link_by_name_and_nothing_under_another(void)
{
	struct netlink_link other;

	CHECK(netlink_link_find(nl, "cvt0", &tun) == 0);
	CHECK(strcmp(tun.name, "cvt0") == 0 && strcmp(tun.kind, "tun") == 0);
	CHECK(tun.index == if_nametoindex("cvt0"));
	CHECK(tun.mtu == 1500 && tun.txqueuelen == 500 && !(tun.flags & IFF_UP));
	CHECK(netlink_link_find(nl, "cvt1", &other) == -ENODEV);
	CHECK(netlink_link_find(nl, "a-name-too-long-for-the-kernel", &other) == -ENAMETOOLONG);
}

static void sets_what_a_tunnel_needs_on_its_link(void)
{
	struct netlink_link after = { 0 };
	struct ifreq req = { 0 };

	CHECK(netlink_link_set_up(nl, tun.index, true) == 0 && kernel_says_up());
	CHECK(netlink_link_set_mtu(nl, tun.index, 1420) == 0);
	CHECK(ask_kernel(SIOCGIFMTU, &req) == 0 && req.ifr_mtu == 1420);
	CHECK(netlink_link_set_txqueuelen(nl, tun.index, 4096) == 0);
	CHECK(ask_kernel(SIOCGIFTXQLEN, &req) == 0 && req.ifr_qlen == 4096);
	CHECK(netlink_link_set_gso(nl, tun.index, 32768, 32) == 0);
	CHECK(netlink_link_find(nl, "cvt0", &after) == 0);
	CHECK(after.gso_max_size == 32768 && after.gso_max_segs == 32);
	CHECK(netlink_link_set_mtu(nl, tun.index, 10) == -EINVAL);
	CHECK(netlink_link_set_mtu(nl, 9999, 1420) == -ENODEV);
}

static void adds_and_removes_addresses_of_both_families(void)
{
	struct netlink_address v4 = { ip("10.9.1.1"), 24, tun.index };
	struct netlink_address v6 = { ip("fd42:9::1"), 64, tun.index };
	struct netlink_address none = { .index = tun.index };

	CHECK(netlink_address_add(nl, &v4) == 0 && has_address("10.9.1.1"));
	CHECK(netlink_address_add(nl, &v4) == -EEXIST);
	CHECK(netlink_address_add(nl, &v6) == 0 && has_address("fd42:9::1"));
	CHECK(netlink_address_add(nl, &none) == -EINVAL);
	CHECK(file_has("/proc/net/if_inet6",
		       " 40 00 82 ")); /* permanent, no detection, not tentative */
	CHECK(netlink_address_remove(nl, &v6) == 0 && !has_address("fd42:9::1"));
	CHECK(netlink_address_remove(nl, &v4) == 0 && !has_address("10.9.1.1"));
	CHECK(netlink_address_remove(nl, &v4) == -EADDRNOTAVAIL);
}

struct walk {
	unsigned int seen;
	unsigned int stop_after;
	uint32_t first;
};

static bool count_ours(void *context, const struct netlink_address *address)
{
	struct walk *walk = context;

	if (address->index == tun.index && address->ip.family == ADDR_V4) {
		CHECK(address->bits == 32 && address->ip.b[0] == 10 && address->ip.b[1] == 77);
		walk->seen++;
	}
	return walk->seen != walk->stop_after;
}

static void a_dump_of_many_messages_is_walked_to_its_end(void)
{
	struct netlink_address a = { ip("10.77.0.0"), 32, tun.index };
	struct walk all = { 0 }, some = { .stop_after = 3 };
	struct netlink_link again;

	for (unsigned int i = 0; i < 2000; i++) {
		a.ip.b[2] = (uint8_t)(i / 200);
		a.ip.b[3] = (uint8_t)(i % 200 + 1);
		CHECK(netlink_address_add(nl, &a) == 0);
	}
	CHECK(netlink_addresses(nl, count_ours, &all) == 0 && all.seen == 2000);
	CHECK(netlink_addresses(nl, count_ours, &some) == 0 && some.seen == 3);
	CHECK(netlink_link_find(nl, "cvt0", &again) == 0); /* nothing was left on the socket */
}

static void adds_and_deletes_routes(void)
{
	struct netlink_route v4 = { .index = tun.index, .metric = 7 };
	struct netlink_route v6 = { .index = tun.index, .table = 51820 };

	CHECK(ip_prefix_parse("198.51.100.0/24", true, &v4.destination) == 0);
	CHECK(ip_prefix_parse("2001:db8::/32", true, &v6.destination) == 0);
	CHECK(netlink_route_add(nl, &v4) == 0);
	CHECK(netlink_route_add(nl, &v4) == -EEXIST);
	CHECK(file_has("/proc/net/route", "cvt0\t006433C6\t00000000\t0001\t0\t0\t7\t00FFFFFF"));
	CHECK(netlink_route_add(nl, &v6) == 0);
	CHECK(file_has("/proc/net/ipv6_route", "20010db8000000000000000000000000 20"));
	CHECK(netlink_route_delete(nl, &v4) == 0 && netlink_route_delete(nl, &v6) == 0);
	CHECK(!file_has("/proc/net/route", "006433C6"));
	CHECK(!file_has("/proc/net/ipv6_route", "20010db8"));
	CHECK(netlink_route_delete(nl, &v4) == -ESRCH);
}

/* Does a datagram to @address come back to this host? */
static bool is_ours(const char *address)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7777) }, to = any;
	int in = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int out = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char octet = 0;
	bool came = false;

	CHECK(inet_pton(AF_INET, address, &to.sin_addr) == 1);
	CHECK(bind(in, (const struct sockaddr *)&any, sizeof(any)) == 0);
	sendto(out, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to));
	came = recv(in, &octet, 1, 0) == 1;
	close(in);
	close(out);
	return came;
}

static void a_rule_leads_to_a_table_where_every_address_is_local(void)
{
	struct netlink_link loopback;
	struct netlink_route all = { .destination.ip.family = ADDR_V4,
				     .table = 100,
				     .is_local = true };
	const struct netlink_rule rule = { .family = ADDR_V4,
					   .came_by = "lo",
					   .table = 100,
					   .priority = 77,
					   .suppress_bits = -1 };

	CHECK(netlink_link_find(nl, "lo", &loopback) == 0);
	CHECK(netlink_link_set_up(nl, loopback.index, true) == 0);
	all.index = loopback.index;
	CHECK(netlink_route_add(nl, &all) == 0 && netlink_route_add(nl, &all) == -EEXIST);
	CHECK(!is_ours("203.0.113.9"));
	CHECK(netlink_rule_add(nl, &rule) == 0 && netlink_rule_add(nl, &rule) == -EEXIST);
	CHECK(is_ours("203.0.113.9"));
	CHECK(netlink_route_delete(nl, &all) == 0);
	CHECK(!is_ours("203.0.113.9"));
}

static void the_watch_saw_it_all(void)
{
	struct linkwatch_change change = { 0 };

	while (linkwatch_read(watch, tun.index, &change))
		;
	CHECK(change.link_changed && change.is_up && !change.went_down && change.mtu == 1420);
	CHECK(change.routes_changed && !change.is_gone);
}

static void the_watch_answers_and_tells_the_end(void)
{
	struct linkwatch_change change = { 0 };

	CHECK(!linkwatch_read(watch, tun.index, &change) && !change.link_changed);
	CHECK(linkwatch_ask(watch, tun.index) == 0);
	CHECK(!linkwatch_read(watch, tun.index, &change));
	CHECK(change.link_changed && change.is_up && change.mtu == 1420);
	CHECK(!change.went_down && !change.routes_changed);
	CHECK(netlink_link_set_up(nl, tun.index, false) == 0 && !kernel_says_up());
	CHECK(netlink_link_delete(nl, tun.index) == 0);
	memset(&change, 0, sizeof(change));
	while (linkwatch_read(watch, tun.index, &change))
		;
	CHECK(change.is_gone && change.went_down);
	CHECK(if_nametoindex("cvt0") == 0);
}

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no network namespaces for this user\n");
		return 0;
	}
	if (!make_tun("cvt0")) {
		printf("1..0 # SKIP no /dev/net/tun\n");
		return 0;
	}
	watch = linkwatch_open();
	if (netlink_open(&nl) < 0 || watch < 0)
		return 1;
	RUN(finds_a_link_by_name_and_nothing_under_another);
	RUN(sets_what_a_tunnel_needs_on_its_link);
	RUN(adds_and_removes_addresses_of_both_families);
	RUN(adds_and_deletes_routes);
	RUN(the_watch_saw_it_all);
	RUN(the_watch_answers_and_tells_the_end);
	CHECK(make_tun("cvt0") && netlink_link_find(nl, "cvt0", &tun) == 0);
	RUN(a_dump_of_many_messages_is_walked_to_its_end);
	RUN(a_rule_leads_to_a_table_where_every_address_is_local);
	netlink_close(nl);
	close(watch);
	return DONE();
}
