/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolve.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

/* struct name - An address as the kernel's calls take it */
struct name {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} u;
	socklen_t len;
};

static struct name write_name(const struct endpoint *e)
{
	struct name n = { .len = sizeof(n.u.v4) };

	if (e->ip.family == ADDR_V4) {
		n.u.v4.sin_family = AF_INET;
		n.u.v4.sin_port = htons(e->port);
		memcpy(&n.u.v4.sin_addr, e->ip.b, 4);
		return n;
	}
	n.u.v6.sin6_family = AF_INET6;
	n.u.v6.sin6_port = htons(e->port);
	n.u.v6.sin6_scope_id = e->scope;
	memcpy(&n.u.v6.sin6_addr, e->ip.b, 16);
	n.len = sizeof(n.u.v6);
	return n;
}

static bool read_name(const struct addrinfo *info, struct endpoint *ret)
{
	struct name n = { .len = info->ai_addrlen };
	struct endpoint e = { .port = 0 };

	if (info->ai_addrlen > sizeof(n.u))
		return false;
	memcpy(&n.u, info->ai_addr, info->ai_addrlen);
	if (info->ai_family == AF_INET) {
		e.ip = ip_addr_v4((const uint8_t *)&n.u.v4.sin_addr);
		e.port = ntohs(n.u.v4.sin_port);
	} else if (info->ai_family == AF_INET6) {
		e.ip = ip_addr_v6(n.u.v6.sin6_addr.s6_addr);
		e.port = ntohs(n.u.v6.sin6_port);
		e.scope = e.ip.family == ADDR_V6 ? n.u.v6.sin6_scope_id : 0;
	}
	if (e.ip.family == ADDR_NONE)
		return false;
	*ret = e;
	return true;
}

int resolve_endpoint(const char *host, uint16_t port, struct endpoint *ret)
{
	const struct addrinfo wanted = { .ai_family = AF_UNSPEC,
					 .ai_socktype = SOCK_DGRAM,
					 .ai_protocol = IPPROTO_UDP,
					 .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	bool found = false;
	char service[8];
	int err;

	snprintf(service, sizeof(service), "%u", port);
	err = getaddrinfo(host, service, &wanted, &list);
	if (err == EAI_MEMORY)
		return -ENOMEM;
	if (err == EAI_AGAIN || err == EAI_SYSTEM)
		return -EAGAIN;
	for (const struct addrinfo *i = err ? NULL : list; i && !found; i = i->ai_next)
		found = read_name(i, ret);
	if (list)
		freeaddrinfo(list);
	return found ? 0 : ERR_UNKNOWN;
}

int resolve_path_mtu(const struct endpoint *to, uint32_t mark, uint32_t *ret)
{
	struct name n = write_name(to);
	bool v4 = to->ip.family == ADDR_V4;
	int fd = socket(n.u.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int mtu = 0, err = 0;
	socklen_t len = sizeof(mtu);

	if (fd < 0)
		return -errno;
	if (mark) /* only root may */
		(void)setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	if (connect(fd, &n.u.any, n.len) < 0 ||
	    getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &len) <
		    0)
		err = -errno;
	else
		*ret = (uint32_t)mtu;
	close(fd);
	return err;
}
