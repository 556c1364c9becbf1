/* SPDX-License-Identifier: Apache-2.0 */
#include "net/linkwatch.h"

#include <errno.h>
#include <string.h>

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DATAGRAM_MAX = 16384,
	DATAGRAMS_PER_READ = 64,
};

int linkwatch_open(void)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int linkwatch_ask(int fd, uint32_t index)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} message = {
		.header = { .nlmsg_len = sizeof(message),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_index = (int)index },
	};

	if (sendto(fd, &message, sizeof(message), 0, (const struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

/* struct nlmsghdr and struct nlattr are both padded to four octets. */
static size_t padded(size_t len)
{
	return (len + NLMSG_ALIGNTO - 1) & ~(size_t)(NLMSG_ALIGNTO - 1);
}

/* Look for an MTU among the attributes at @p. */
static void parse_attributes(const uint8_t *p, size_t left, struct linkwatch_change *change)
{
	struct nlattr attr;

	while (left >= sizeof(attr)) {
		memcpy(&attr, p, sizeof(attr));
		if (attr.nla_len < sizeof(attr) || attr.nla_len > left)
			return;
		if (attr.nla_type == IFLA_MTU &&
		    attr.nla_len == sizeof(attr) + sizeof(change->mtu))
			memcpy(&change->mtu, p + sizeof(attr), sizeof(change->mtu));
		if (padded(attr.nla_len) >= left)
			return;
		left -= padded(attr.nla_len);
		p += padded(attr.nla_len);
	}
}

static void parse_link(uint16_t type, const uint8_t *payload, size_t len, uint32_t index,
		       struct linkwatch_change *change)
{
	struct ifinfomsg info;

	if (len < sizeof(info))
		return;
	memcpy(&info, payload, sizeof(info));
	/* A bridge speaks of its ports with the same messages: leaving it is not dying. */
	if (info.ifi_family != AF_UNSPEC || (uint32_t)info.ifi_index != index)
		return;
	if (type == RTM_DELLINK) {
		change->is_gone = true;
		return;
	}
	change->link_changed = true;
	change->is_up = (info.ifi_flags & IFF_UP) != 0;
	change->went_down |= !change->is_up;
	parse_attributes(payload + sizeof(info), len - sizeof(info), change);
}

/* The library's own walk takes a length of 2^31 for a negative one and runs off the end. */
void linkwatch_parse(const void *bytes, size_t len, uint32_t index,
		     struct linkwatch_change *change)
{
	const uint8_t *p = bytes;
	struct nlmsghdr header;

	while (len >= sizeof(header)) {
		memcpy(&header, p, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > len)
			return;
		if (header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_DELLINK)
			parse_link(header.nlmsg_type, p + sizeof(header),
				   header.nlmsg_len - sizeof(header), index, change);
		else if (header.nlmsg_type == RTM_NEWROUTE || header.nlmsg_type == RTM_DELROUTE)
			change->routes_changed = true;
		if (padded(header.nlmsg_len) >= len)
			return;
		len -= padded(header.nlmsg_len);
		p += padded(header.nlmsg_len);
	}
}

/* Return: false when there is nothing more to read now. */
static bool read_one(int fd, uint32_t index, struct linkwatch_change *change)
{
	_Alignas(struct nlmsghdr) char bytes[DATAGRAM_MAX];
	struct sockaddr_nl from;
	struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr header = { .msg_name = &from,
				 .msg_namelen = sizeof(from),
				 .msg_iov = &part,
				 .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT);

	if (n < 0 && errno == ENOBUFS) {
		change->overrun = true;
		change->routes_changed = true;
		return true;
	}
	if (n < 0)
		return errno == EINTR;
	if (header.msg_namelen != sizeof(from) || from.nl_pid != 0)
		return true;
	if (header.msg_flags & MSG_TRUNC)
		change->overrun = true;
	linkwatch_parse(bytes, (size_t)n, index, change);
	return true;
}

bool linkwatch_read(int fd, uint32_t index, struct linkwatch_change *change)
{
	for (int i = 0; i < DATAGRAMS_PER_READ; i++) {
		if (!read_one(fd, index, change))
			return false;
	}
	return true;
}
