/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the host, as far as all flows have them in common. */
#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "usernet/internal.h"

int host_socket(uint8_t family, int kind, int protocol)
{
	const int on = 1;
	bool is_v6 = family == ADDR_V6;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC,
			protocol);

	if (fd < 0)
		return -errno;
	/* A mapped address would leave as IPv4; a raw socket does not know them. */
	if (is_v6 && kind != SOCK_RAW &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int host_watch(struct usernet *u, struct flow *flow)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				     .data.ptr = flow };

	return epoll_ctl(u->epoll, EPOLL_CTL_ADD, flow->fd, &event) < 0 ? -errno : 0;
}

unsigned int host_address(const struct ip_addr *ip, uint16_t port, void *ret)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (ip->family == ADDR_V4) {
		memcpy(&v4.sin_addr, ip->b, 4);
		memcpy(ret, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, ip->b, 16);
	memcpy(ret, &v6, sizeof(v6));
	return sizeof(v6);
}

void host_address_read(const void *address, struct ip_addr *ret_ip, uint16_t *ret_port)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	sa_family_t family;

	memcpy(&family, address, sizeof(family));
	*ret_ip = (struct ip_addr){ 0 };
	*ret_port = 0;
	if (family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		*ret_ip = ip_addr_v4((const uint8_t *)&v4.sin_addr);
		*ret_port = ntohs(v4.sin_port);
	} else if (family == AF_INET6) {
		memcpy(&v6, address, sizeof(v6));
		ret_ip->family = ADDR_V6;
		memcpy(ret_ip->b, &v6.sin6_addr, 16);
		*ret_port = ntohs(v6.sin6_port);
	}
}

bool host_is_ourselves(int fd)
{
	struct sockaddr_storage near = { 0 }, far = { 0 };
	socklen_t near_len = sizeof(near), far_len = sizeof(far);
	struct ip_addr a, b;
	uint16_t port;

	if (getsockname(fd, (struct sockaddr *)&near, &near_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&far, &far_len) < 0)
		return false;
	host_address_read(&near, &a, &port);
	host_address_read(&far, &b, &port);
	return ip_addr_equal(&a, &b);
}

static void set_if_new(int fd, int level, int option, int value, int *known)
{
	if (*known == value)
		return;
	if (setsockopt(fd, level, option, &value, sizeof(value)) == 0)
		*known = value;
}

void host_set_marks(int fd, uint8_t family, struct host_marks *marks, uint8_t hops, uint8_t tos,
		    bool df)
{
	if (family == ADDR_V4) {
		set_if_new(fd, IPPROTO_IP, IP_TTL, hops, &marks->hops);
		set_if_new(fd, IPPROTO_IP, IP_TOS, tos, &marks->tos);
		set_if_new(fd, IPPROTO_IP, IP_MTU_DISCOVER,
			   df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT, &marks->df);
	} else {
		set_if_new(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops, &marks->hops);
		set_if_new(fd, IPPROTO_IPV6, IPV6_TCLASS, tos, &marks->tos);
	}
}

void host_close_at_once(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}
