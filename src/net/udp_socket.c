/* SPDX-License-Identifier: Apache-2.0 */
#include "net/udp_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#	define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#	define UDP_GRO 104
#endif
#ifndef SO_ATTACH_REUSEPORT_CBPF
#	define SO_ATTACH_REUSEPORT_CBPF 51
#endif

enum {
	SEND_WAIT_MS = 100,
};

#define HASH_MULTIPLIER UINT32_C(0x9e3779b1) /* D. Knuth, TAOCP volume 3, section 6.4 */

struct udp_inbox {
	size_t n;
	size_t buffer_bytes;
	uint8_t *memory;
	struct mmsghdr *messages;
	struct iovec *iov;
	struct sockaddr_storage *names;
	uint8_t (*controls)[UDP_CONTROL_BYTES];
	struct udp_datagram *datagrams;
};

/* --- Making --- */

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* true: the kernel gave all that was asked for. */
static bool set_buffers(int fd)
{
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_BUFFER_BYTES) == 0 &&
	    set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_BUFFER_BYTES) == 0)
		return true;
	set_int(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER_BYTES);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER_BYTES);
	return false;
}

static int set_family_options(int fd, enum addr_family family)
{
	int err = 0;

	if (family == ADDR_V4) {
		err = set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
		if (err == 0)
			err = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
		if (err == 0)
			err = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
		return err;
	}
	err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (err == 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (err == 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	if (err == 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	return err;
}

int udp_create(enum addr_family family, bool *ret_is_forced)
{
	int fd = socket(family == ADDR_V4 ? AF_INET : AF_INET6,
			SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	bool forced = false;
	int err = 0;

	if (fd < 0)
		return -errno;
	forced = set_buffers(fd);
	err = set_family_options(fd, family);
	if (err < 0) {
		close(fd);
		return err;
	}
	udp_set_gro(fd, true);
	if (ret_is_forced)
		*ret_is_forced = forced;
	return fd;
}

static socklen_t any_address(enum addr_family family, uint16_t port,
			     struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (family == ADDR_V4) {
		struct sockaddr_in *sin = (struct sockaddr_in *)(void *)ret;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)ret;

	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	return sizeof(*sin6);
}

static uint16_t port_of(const struct sockaddr_storage *name)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): it loses the memset behind the cast */
	return ntohs(name->ss_family == AF_INET
			     ? ((const struct sockaddr_in *)(const void *)name)->sin_port
			     : ((const struct sockaddr_in6 *)(const void *)name)->sin6_port);
}

int udp_bind(int fd, enum addr_family family, uint16_t port)
{
	struct sockaddr_storage name;
	socklen_t len = any_address(family, port, &name);
	int err = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);

	if (err < 0)
		return err;
	if (bind(fd, (struct sockaddr *)&name, len) < 0)
		return -errno;
	len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return -errno;
	return port_of(&name);
}

uint16_t udp_port(int fd)
{
	struct sockaddr_storage name = { 0 };
	socklen_t len = sizeof(name);

	return getsockname(fd, (struct sockaddr *)&name, &len) < 0 ? 0 : port_of(&name);
}

bool udp_port_is_free(enum addr_family family, uint16_t port)
{
	struct sockaddr_storage name;
	socklen_t len = any_address(family, port, &name);
	int fd = socket(family == ADDR_V4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC,
			IPPROTO_UDP);
	bool is_free = true;

	if (fd < 0)
		return true; /* no such family: nothing to collide with */
	if (family == ADDR_V6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(fd, (struct sockaddr *)&name, len) < 0 && errno == EADDRINUSE)
		is_free = false;
	close(fd);
	return is_free;
}

static int family_of(int fd)
{
	int family = 0;
	socklen_t len = sizeof(family);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ? 0 : family;
}

/* --- Steering --- */

enum { SHAPE_CODE_MAX = 32, PROGRAM_MAX = UDP_SHAPES_MAX * SHAPE_CODE_MAX + 16 };

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short n;
};

static void emit(struct program *p, struct sock_filter instruction)
{
	p->code[p->n++] = instruction;
}

/* By flow, which is told by the source's address and port as they stand in the packet. The
 * kernel's own hash would be cheaper to ask for, but it is zero wherever the NIC computes none:
 * then one worker would get everything. */
static void emit_data(struct program *p, bool v4, unsigned int data_sockets)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + (v4 ? 12 : 20)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)SKF_NET_OFF + (v4 ? 20 : 40)),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, HASH_MULTIPLIER),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, data_sockets),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		emit(p, code[i]);
}

static void emit_verdict(struct program *p, bool is_data, bool v4, unsigned int data_sockets)
{
	if (is_data)
		emit_data(p, v4, data_sockets);
	else
		emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, data_sockets));
}

/* The payload begins at offset 0. The program reads big-endian only: a little-endian word is
 * put together from its octets, the last first. */
static void emit_word(struct program *p, uint32_t offset)
{
	emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offset + 3));
	for (uint32_t i = 3; i-- > 0;) {
		emit(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8));
		emit(p, (struct sock_filter)BPF_STMT(BPF_MISC | BPF_TAX, 0));
		emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offset + i));
		emit(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0));
	}
}

/* Tests that jump past @to when they fail; where that is, is filled in afterwards. */
static void emit_shape(struct program *p, const struct udp_shape *shape, bool v4,
		       unsigned int data_sockets)
{
	unsigned short tests[4], n = 0;

	emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0));
	tests[n++] = p->n;
	emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, shape->least, 0, 1));
	tests[n++] = p->n;
	emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, shape->most, 1, 0));
	if (shape->lo == shape->hi) {
		emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, shape->offset));
		tests[n++] = p->n;
		emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						     __builtin_bswap32(shape->lo), 0, 1));
	} else if (shape->lo || shape->hi != UINT32_MAX) {
		emit_word(p, shape->offset);
		tests[n++] = p->n;
		emit(p,
		     (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, shape->lo, 0, 1));
		tests[n++] = p->n;
		emit(p,
		     (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, shape->hi, 1, 0));
	}
	emit_verdict(p, shape->is_data, v4, data_sockets);
	for (unsigned short i = 0; i < n; i++) {
		struct sock_filter *jump = &p->code[tests[i]];
		uint8_t by = (uint8_t)(p->n - tests[i] - 1);

		jump->jt = jump->jt ? by : 0;
		jump->jf = jump->jf ? by : 0;
	}
}

int udp_steer(int fd, unsigned int data_sockets, const struct udp_steering *steering)
{
	bool v4 = family_of(fd) == AF_INET;
	struct program p = { .n = 0 };
	struct sock_fprog program = { .filter = p.code };

	for (unsigned int i = 0; i < steering->n; i++)
		emit_shape(&p, &steering->shapes[i], v4, data_sockets);
	emit_verdict(&p, steering->rest_is_data, v4, data_sockets);
	program.len = p.n;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) <
			       0
		       ? -errno
		       : 0;
}

void udp_set_gro(int fd, bool on)
{
	set_int(fd, IPPROTO_UDP, UDP_GRO, on); /* an old kernel delivers one by one anyway */
}

int udp_set_mark(int fd, uint32_t mark)
{
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ? -errno : 0;
}

/* --- Receiving --- */

int udp_inbox_new(size_t buffers, size_t buffer_bytes, struct udp_inbox **ret)
{
	struct udp_inbox *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->n = buffers;
	b->buffer_bytes = buffer_bytes;
	b->memory = aligned_alloc(64, buffers * buffer_bytes);
	b->messages = calloc(buffers, sizeof(*b->messages));
	b->iov = calloc(buffers, sizeof(*b->iov));
	b->names = calloc(buffers, sizeof(*b->names));
	b->controls = calloc(buffers, sizeof(*b->controls));
	b->datagrams = calloc(buffers, sizeof(*b->datagrams));
	if (!b->memory || !b->messages || !b->iov || !b->names || !b->controls ||
	    !b->datagrams) {
		udp_inbox_free(b);
		return -ENOMEM;
	}
	for (size_t i = 0; i < buffers; i++) {
		b->iov[i] = (struct iovec){ b->memory + i * buffer_bytes, buffer_bytes };
		b->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &b->names[i],
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = b->controls[i],
		};
	}
	*ret = b;
	return 0;
}

struct udp_inbox *udp_inbox_free(struct udp_inbox *b)
{
	if (!b)
		return NULL;
	free(b->memory);
	free(b->messages);
	free(b->iov);
	free(b->names);
	free(b->controls);
	free(b->datagrams);
	free(b);
	return NULL;
}

static void read_source(const struct sockaddr_storage *name, struct endpoint *ret)
{
	ret->port = port_of(name);
	if (name->ss_family == AF_INET) {
		ret->ip = ip_addr_v4(
			(const uint8_t *)&((const struct sockaddr_in *)(const void *)name)
				->sin_addr);
		return;
	}
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)name;

	ret->ip = ip_addr_v6(sin6->sin6_addr.s6_addr);
	ret->scope = sin6->sin6_scope_id;
}

static void read_ipv4_control(const struct cmsghdr *c, struct udp_datagram *d)
{
	if (c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		d->source.local = ip_addr_v4((const uint8_t *)&info.ipi_spec_dst);
		d->source.local_if = (uint32_t)info.ipi_ifindex;
	} else if (c->cmsg_type == IP_TOS) {
		d->tos = *CMSG_DATA(c);
	}
}

static void read_ipv6_control(const struct cmsghdr *c, struct udp_datagram *d)
{
	if (c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		d->source.local = ip_addr_v6(info.ipi6_addr.s6_addr);
		d->source.local_if = info.ipi6_ifindex;
	} else if (c->cmsg_type == IPV6_TCLASS) {
		int tos = 0;

		memcpy(&tos, CMSG_DATA(c), sizeof(tos));
		d->tos = (uint8_t)tos;
	}
}

static void read_control(struct msghdr *m, struct udp_datagram *d)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP) {
			read_ipv4_control(c, d);
		} else if (c->cmsg_level == IPPROTO_IPV6) {
			read_ipv6_control(c, d);
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int segment = 0;

			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
			d->segment = (uint16_t)segment;
		}
	}
}

/* What the kernel reports here is about something we sent earlier, not about receiving. */
static bool is_stale_report(int err)
{
	return err == ECONNREFUSED || err == EHOSTUNREACH || err == ENETUNREACH ||
	       err == EMSGSIZE || err == EAGAIN || err == EINTR;
}

int udp_receive(int fd, struct udp_inbox *b, const struct udp_datagram **ret)
{
	int n = 0;

	for (size_t i = 0; i < b->n; i++) {
		b->messages[i].msg_hdr.msg_namelen = sizeof(b->names[i]);
		b->messages[i].msg_hdr.msg_controllen = sizeof(b->controls[i]);
	}
	n = recvmmsg(fd, b->messages, (unsigned int)b->n, MSG_DONTWAIT, NULL);
	if (n < 0)
		return is_stale_report(errno) ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct udp_datagram *d = &b->datagrams[i];

		*d = (struct udp_datagram){ .data = b->iov[i].iov_base,
					    .len = b->messages[i].msg_len };
		d->is_cut = b->messages[i].msg_hdr.msg_flags & MSG_TRUNC;
		read_source(&b->names[i], &d->source);
		read_control(&b->messages[i].msg_hdr, d);
	}
	*ret = b->datagrams;
	return n;
}

/* --- Sending --- */

static socklen_t write_name(const struct endpoint *to, struct sockaddr_storage *ret)
{
	socklen_t len = any_address((enum addr_family)to->ip.family, to->port, ret);

	if (to->ip.family == ADDR_V4) {
		memcpy(&((struct sockaddr_in *)(void *)ret)->sin_addr, to->ip.b, 4);
	} else {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)ret;

		memcpy(&sin6->sin6_addr, to->ip.b, 16);
		sin6->sin6_scope_id = to->scope;
	}
	return len;
}

static void add_control(struct msghdr *m, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c =
		(struct cmsghdr *)(void *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->msg_controllen += CMSG_SPACE(len);
}

/* The sticky source. The interface is left to the routing table, except where the
 * address alone says nothing (link-local). */
static void add_source(struct msghdr *m, const struct endpoint *to)
{
	if (to->local.family == ADDR_V4 && to->ip.family == ADDR_V4) {
		struct in_pktinfo info = { 0 };

		memcpy(&info.ipi_spec_dst, to->local.b, 4);
		add_control(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (to->local.family == ADDR_V6 && to->ip.family == ADDR_V6) {
		struct in6_pktinfo info = { 0 };

		memcpy(&info.ipi6_addr, to->local.b, 16);
		if (to->scope)
			info.ipi6_ifindex = to->local_if;
		add_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static int send_now(int fd, const struct msghdr *m)
{
	struct pollfd writable = { .fd = fd, .events = POLLOUT };

	for (;;) {
		if (sendmsg(fd, m, MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || poll(&writable, 1, SEND_WAIT_MS) <= 0)
			return -errno;
	}
}

int udp_send(int fd, const struct udp_block *block, bool use_gso)
{
	_Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL_BYTES] = { 0 };
	struct sockaddr_storage name;
	struct iovec iov = { 0 };
	struct msghdr m = {
		.msg_name = &name, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control
	};
	uint32_t step = use_gso ? block->len : block->segment;
	int tos = block->tos, err = 0;

	m.msg_namelen = write_name(&block->to, &name);
	add_source(&m, &block->to);
	if (tos && block->to.ip.family == ADDR_V4)
		add_control(&m, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else if (tos)
		add_control(&m, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	if (use_gso && block->segment < block->len) {
		uint16_t segment = (uint16_t)block->segment;

		add_control(&m, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
	if (m.msg_controllen == 0)
		m.msg_control = NULL;
	for (uint32_t at = 0; at < block->len && err == 0; at += step) {
		uint32_t len = block->len - at < step ? block->len - at : step;

		iov = (struct iovec){ (void *)(uintptr_t)(block->data + at), len };
		err = send_now(fd, &m);
	}
	return err;
}
