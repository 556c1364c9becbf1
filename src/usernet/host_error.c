/* SPDX-License-Identifier: Apache-2.0 */
/* The error queue of a socket: ICMP that the host received about what was sent (ip(7), IP_RECVERR). */
#include <string.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "usernet/internal.h"

static const struct sock_extended_err *find(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			return (const void *)CMSG_DATA(c);
	return NULL;
}

static void fill(struct host_error *e, const struct sock_extended_err *from)
{
	enum inet_icmp_error error = INET_ICMP_HOST_UNREACHABLE;
	uint16_t port;

	e->source = (struct ip_addr){ 0 };
	if (from->ee_origin == SO_EE_ORIGIN_ICMP || from->ee_origin == SO_EE_ORIGIN_ICMP6) {
		e->kind =
			(struct inet_icmp_kind){ .type = from->ee_type, .code = from->ee_code };
		host_address_read(SO_EE_OFFENDER(from), &e->source, &port);
		if ((from->ee_type == 3 && from->ee_code == 4 && e->to.family == ADDR_V4) ||
		    (from->ee_type == 2 && e->to.family == ADDR_V6))
			e->kind.info = from->ee_info;
	} else if (answer_errno(-(int)from->ee_errno, &error)) {
		e->kind = inet_icmp_kind(error, e->to.family, from->ee_info);
	} else {
		e->kind = inet_icmp_kind(INET_ICMP_HOST_UNREACHABLE, e->to.family, 0);
	}
}

int host_error_read(int fd, struct host_error *ret, uint8_t *payload, size_t room)
{
	_Alignas(struct cmsghdr) uint8_t control[512];
	struct sockaddr_storage to = { 0 };
	struct iovec slice = { payload, room };
	struct msghdr msg = { .msg_name = &to,
			      .msg_namelen = sizeof(to),
			      .msg_iov = &slice,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);
	const struct sock_extended_err *from = n < 0 ? NULL : find(&msg);

	if (!from)
		return -1;
	host_address_read(&to, &ret->to, &ret->to_port);
	fill(ret, from);
	return (int)n;
}
