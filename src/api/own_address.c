/* SPDX-License-Identifier: Apache-2.0 */
#include "api/own_address.h"

#include <errno.h>
#include <string.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

static int address_of(const struct sockaddr *sa, struct ip_addr *ret)
{
	if (sa && sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		*ret = ip_addr_v4((const uint8_t *)&in.sin_addr);
		return 0;
	}
	if (sa && sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in;

		memcpy(&in, sa, sizeof(in));
		*ret = ip_addr_v6(in.sin6_addr.s6_addr);
		return 0;
	}
	return ERR_UNKNOWN;
}

/* Connecting a UDP socket makes the kernel choose a route and a source, and sends nothing. */
static int source_towards(const struct sockaddr *to, socklen_t len, struct ip_addr *ret)
{
	struct sockaddr_storage own = { 0 };
	socklen_t own_len = sizeof(own);
	int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, to, len) < 0 || getsockname(fd, (struct sockaddr *)&own, &own_len) < 0)
		err = -errno;
	close(fd);
	return err == 0 ? address_of((const struct sockaddr *)&own, ret) : err;
}

/* Addresses for documentation (RFC 5737, RFC 3849): no route is more special than the
 * default one towards them. */
int own_address_towards_internet(struct ip_addr *ret)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	int err;

	inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
	inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
	err = source_towards((const struct sockaddr *)&v4, sizeof(v4), ret);
	if (err != 0)
		err = source_towards((const struct sockaddr *)&v6, sizeof(v6), ret);
	return err;
}

static bool is_candidate(const struct ifaddrs *i, const char *except)
{
	struct ip_addr a;

	if (!(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK) ||
	    strcmp(i->ifa_name, except) == 0 || address_of(i->ifa_addr, &a) != 0)
		return false;
	return a.family == ADDR_V4 || !(a.b[0] == 0xfe && (a.b[1] & 0xc0) == 0x80);
}

int own_address_any(const char *except, struct ip_addr *ret)
{
	struct ifaddrs *all = NULL;
	int err = ERR_UNKNOWN;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *i = all; i && err != 0; i = i->ifa_next)
		if (is_candidate(i, except))
			err = address_of(i->ifa_addr, ret);
	freeifaddrs(all);
	return err;
}
