/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/forward_udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "crypto/short_hash.h"
#include "usernet/internal.h"

enum {
	RECEIVES_PER_TURN = 64,
	SOCKET_BUFFER_BYTES = 4 << 20, /* as much of it as the kernel lets anybody have */
	PORT_FROM = 32768,
	PORT_TRIES = 16,
	CALLERS_SHARE = 8,
	LEN_MAX = 65507,
};

#define ONE_WAY_FOR (30 * SECOND)
#define TWO_WAY_FOR (300 * SECOND)

/* One of both, as the socket's family is. Where a datagram came to, and where its answer leaves. */
union packet_info {
	struct in_pktinfo v4;
	struct in6_pktinfo v6;
	uint8_t octets[sizeof(struct in6_pktinfo)];
};

struct forward_udp {
	struct flow flow;
	struct usernet_forward rule;
	bool is_v6; /* the socket: it takes IPv4 as well */
};

/**
 * struct caller - Somebody outside
 * @from, @info: As the kernel gave them
 */
struct caller {
	struct flow flow;
	struct forward_udp *forward;
	struct sockaddr_storage from;
	socklen_t from_len;
	union packet_info info;
	uint64_t used_ns;
	bool has_answer;
};

static struct caller *caller_of(struct flow *flow)
{
	return (struct caller *)(void *)flow;
}

/* --- The port --- */

static int bind_any(int fd, bool is_v6, uint16_t port)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int on = 1, off = 0, buffer = SOCKET_BUFFER_BYTES;
	int err = 0;

	if (is_v6)
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
		      setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0 ||
		      bind(fd, (const struct sockaddr *)&any6, sizeof(any6)) < 0;
	else
		err = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0 ||
		      bind(fd, (const struct sockaddr *)&any4, sizeof(any4)) < 0;
	if (err)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	return 0;
}

/* One socket for both families, or for IPv4 where the host has no other. */
static int open_port(uint16_t port, bool *ret_is_v6)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	*ret_is_v6 = fd >= 0;
	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = bind_any(fd, *ret_is_v6, port);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

int forward_udp_open(struct usernet *u, const struct usernet_forward *rule, struct flow **ret,
		     struct diag *d)
{
	struct forward_udp *f = calloc(1, sizeof(*f));
	int fd = f ? open_port(rule->port, &f->is_v6) : -ENOMEM, err = fd;

	if (fd >= 0) {
		f->rule = *rule;
		f->flow = (struct flow){ .kind = FLOW_FORWARD_UDP, .fd = fd };
		err = host_watch(u, &f->flow);
	}
	if (err < 0) {
		if (fd >= 0)
			close(fd);
		free(f);
		return diag_set(d, err, 0, "cannot use UDP port %u: %s", rule->port,
				err_text(err));
	}
	*ret = &f->flow;
	return 0;
}

/* --- Callers --- */

void forward_udp_caller_end(struct usernet *u, struct flow *flow)
{
	u->n_callers--;
	usernet_forget(u, flow);
	free(flow);
}

static uint64_t ends_at(const struct caller *c)
{
	return c->used_ns + (c->has_answer ? TWO_WAY_FOR : ONE_WAY_FOR);
}

void forward_udp_caller_work(struct usernet *u, struct flow *flow)
{
	struct caller *c = caller_of(flow);

	if (ends_at(c) <= u->now_ns)
		forward_udp_caller_end(u, flow);
	else
		flow_wake_at(&u->flows, flow, ends_at(c));
}

static void touch(struct usernet *u, struct caller *c)
{
	c->used_ns = u->now_ns;
	flow_touch(&u->flows, &c->flow);
	flow_wake_at(&u->flows, &c->flow, ends_at(c));
}

/* Who sent it, and to which of our addresses: the one that the answer must come from. */
static bool is_same(const struct caller *c, const struct forward_udp *f,
		    const struct sockaddr_storage *from, socklen_t from_len,
		    const union packet_info *info)
{
	return c->forward == f && c->from_len == from_len &&
	       memcmp(&c->from, from, from_len) == 0 &&
	       memcmp(c->info.octets, info->octets, sizeof(info->octets)) == 0;
}

static uint16_t first_port(const struct usernet *u, const struct forward_udp *f,
			   const struct sockaddr_storage *from, const union packet_info *info)
{
	uint8_t input[sizeof(*from) + sizeof(*info) + 2];

	memcpy(input, from, sizeof(*from));
	memcpy(input + sizeof(*from), info, sizeof(*info));
	put_be16(input + sizeof(*from) + sizeof(*info), f->rule.port);
	return (uint16_t)short_hash(u->flows.key, input, sizeof(input));
}

static struct caller *add_caller(struct usernet *u, struct forward_udp *f,
				 const struct inet_pair *pair,
				 const struct sockaddr_storage *from, socklen_t from_len,
				 const union packet_info *info)
{
	struct caller *c = NULL;

	if (u->n_callers >= u->flows.max / CALLERS_SHARE) {
		usernet_count(u, USERNET_FULL);
		return NULL;
	}
	if (!usernet_make_room(u, pair))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->flow = (struct flow){ .kind = FLOW_CALLER, .fd = -1, .pair = *pair };
	c->forward = f;
	c->from = *from;
	c->from_len = from_len;
	c->info = *info;
	u->n_callers++;
	flow_add(&u->flows, &c->flow);
	usernet_count(u, USERNET_UDP_OPENED);
	return c;
}

/* The ports that a caller may have are looked through in its own order; the first that is free ends it. */
static struct caller *find_caller(struct usernet *u, struct forward_udp *f,
				  const struct sockaddr_storage *from, socklen_t from_len,
				  const union packet_info *info)
{
	struct inet_pair pair = { .remote = f->rule.to, .remote_port = f->rule.to_port };
	struct inet_pair free_pair = { .local_port = 0 };
	uint16_t port = first_port(u, f, from, info);

	if (!own_address(u, pair.remote.family, &pair.local))
		return NULL;
	for (int i = 0; i < PORT_TRIES; i++) {
		struct flow *flow;

		pair.local_port = (uint16_t)(port + i) | PORT_FROM;
		flow = flow_find(&u->flows, FLOW_CALLER, &pair);
		if (flow && is_same(caller_of(flow), f, from, from_len, info))
			return caller_of(flow);
		if (!flow && free_pair.local_port == 0)
			free_pair = pair;
	}
	if (free_pair.local_port == 0) {
		usernet_count(u, USERNET_FULL);
		return NULL;
	}
	return add_caller(u, f, &free_pair, from, from_len, info);
}

/* --- From outside --- */

static void read_info(struct msghdr *msg, union packet_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&ret->v4, CMSG_DATA(c), sizeof(ret->v4));
			ret->v4.ipi_ifindex = 0; /* its address decides */
			ret->v4.ipi_spec_dst = ret->v4.ipi_addr;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&ret->v6, CMSG_DATA(c), sizeof(ret->v6));
			if (!IN6_IS_ADDR_LINKLOCAL(&ret->v6.ipi6_addr))
				ret->v6.ipi6_ifindex = 0;
		}
	}
}

static void pass_on(struct usernet *u, const struct inet_pair *pair, uint8_t *payload,
		    uint32_t len)
{
	uint32_t header_len = pair->local.family == ADDR_V4 ? 28 : 48;
	struct inet_offload offload;

	inet_udp_write(pair, 0, HOPS, payload, len, LEN_MAX, payload - header_len, &offload);
	out_send(u, payload - header_len, header_len + len);
}

/* Return: false when there is nothing more. */
static bool receive_one(struct usernet *u, struct forward_udp *f)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(union packet_info))];
	struct sockaddr_storage from = { 0 };
	struct iovec slice = { u->inbox + INBOX_FRONT, LEN_MAX };
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &slice,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(f->flow.fd, &msg, MSG_DONTWAIT);
	union packet_info info;
	struct caller *c;

	if (n < 0) {
		if (errno == EAGAIN)
			f->flow.events &= ~(uint32_t)EPOLLIN;
		return errno != EAGAIN;
	}
	read_info(&msg, &info);
	c = find_caller(u, f, &from, msg.msg_namelen, &info);
	if (c) {
		touch(u, c);
		pass_on(u, &c->flow.pair, u->inbox + INBOX_FRONT, (uint32_t)n);
	}
	return true;
}

void forward_udp_work(struct usernet *u, struct flow *flow)
{
	struct forward_udp *f = (struct forward_udp *)(void *)flow;

	for (int i = 0; i < RECEIVES_PER_TURN && flow->events & EPOLLIN; i++)
		if (!receive_one(u, f))
			break;
	if (flow->events & EPOLLIN)
		flow_mark(&u->flows, flow);
}

/* --- From the peer --- */

enum { CONTROL_BYTES = CMSG_SPACE(sizeof(union packet_info)) + CMSG_SPACE(sizeof(uint16_t)) };

static struct cmsghdr *put(struct cmsghdr *at, int level, int type, const void *data,
			   size_t len)
{
	at->cmsg_level = level;
	at->cmsg_type = type;
	at->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(at), data, len);
	return (struct cmsghdr *)(void *)((uint8_t *)at + CMSG_SPACE(len));
}

/* From which address it leaves, and that it is a run of datagrams. Return: octets of @control. */
static size_t write_control(const struct caller *c, uint16_t gso_size, uint8_t *control)
{
	struct cmsghdr *first = (struct cmsghdr *)(void *)control, *end = NULL;

	memset(control, 0, CONTROL_BYTES);
	if (c->forward->is_v6)
		end = put(first, IPPROTO_IPV6, IPV6_PKTINFO, &c->info.v6, sizeof(c->info.v6));
	else
		end = put(first, IPPROTO_IP, IP_PKTINFO, &c->info.v4, sizeof(c->info.v4));
	if (gso_size)
		end = put(end, SOL_UDP, UDP_SEGMENT, &gso_size, sizeof(gso_size));
	return (size_t)((uint8_t *)end - control);
}

static void send_to(struct usernet *u, const struct caller *c, struct iovec *slices, size_t n,
		    uint16_t gso_size)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
	struct sockaddr_storage to = c->from;
	struct msghdr msg = { .msg_name = &to,
			      .msg_namelen = c->from_len,
			      .msg_iov = slices,
			      .msg_iovlen = n,
			      .msg_control = control,
			      .msg_controllen = write_control(c, gso_size, control) };

	if (sendmsg(c->forward->flow.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		usernet_count(u, USERNET_DROPPED);
}

bool forward_udp_answer(struct usernet *u, const struct inner *in, const struct inet_udp *udp)
{
	struct inet_pair pair = { .local = in->ip.destination,
				  .remote = in->ip.source,
				  .local_port = udp->destination_port,
				  .remote_port = udp->source_port };
	struct flow *flow = flow_find(&u->flows, FLOW_CALLER, &pair);
	struct iovec payload[SLICES_MAX];
	size_t n;

	if (!flow)
		return false;
	n = inner_payload(in, in->upper.offset + INET_UDP_HEADER, payload);
	if (!in->gso_size && n) /* what lies behind the datagram's own end */
		payload[0].iov_len = udp->len - INET_UDP_HEADER;
	send_to(u, caller_of(flow), payload, n, in->gso_size);
	caller_of(flow)->has_answer = true;
	touch(u, caller_of(flow));
	return true;
}
