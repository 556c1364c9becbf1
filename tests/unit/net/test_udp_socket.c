/* SPDX-License-Identifier: Apache-2.0 */
/* Over loopback, in a network of its own. At the other end is a plain socket of the system's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include "../test.h"
#include "namespace.h"
#include "net/netlink.h"
#include "net/udp_socket.h"

#ifndef UDP_SEGMENT
#	define UDP_SEGMENT 103
#endif

enum { BUFFERS = 16, BUFFER_BYTES = 65536 };

static struct udp_inbox *inbox;

/* ---- helpers ---- */

static struct endpoint at(const char *text)
{
	struct endpoint e = { .port = 0 };

	CHECK(endpoint_parse(text, &e) == 0);
	return e;
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = { .family = ADDR_NONE };

	CHECK(ip_addr_parse(text, &a) == 0);
	return a;
}

/* A plain socket on @family's loopback and @port; 0: any. Return: it; its port in *@ret_port. */
static int plain_at(int family, uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = in6addr_loopback };
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	socklen_t len = family == AF_INET ? sizeof(v4) : sizeof(v6);
	struct sockaddr *name = family == AF_INET ? (void *)&v4 : (void *)&v6;

	CHECK(bind(fd, name, len) == 0 && getsockname(fd, name, &len) == 0);
	CHECK(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)) == 0);
	if (family == AF_INET6)
		CHECK(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one)) == 0);
	*ret_port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
	return fd;
}

static int plain(int family, uint16_t *ret_port)
{
	return plain_at(family, 0, ret_port);
}

static void say(int fd, const char *to_ip, uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is_v4 = inet_pton(AF_INET, to_ip, &v4.sin_addr) == 1;

	if (!is_v4)
		CHECK(inet_pton(AF_INET6, to_ip, &v6.sin6_addr) == 1);
	CHECK(sendto(fd, data, len, 0, is_v4 ? (void *)&v4 : (void *)&v6,
		     is_v4 ? sizeof(v4) : sizeof(v6)) == (ssize_t)len);
}

/* What arrived at a plain socket. */
struct heard {
	ssize_t len; /* -1: nothing */
	int tos;
	uint8_t data[65536];
	struct sockaddr_storage from;
};

static const struct heard *hear(int fd)
{
	static struct heard h;
	_Alignas(struct cmsghdr) char control[256];
	struct iovec iov = { h.data, sizeof(h.data) };
	struct msghdr m = { .msg_name = &h.from,
			    .msg_namelen = sizeof(h.from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };

	memset(&h.from, 0, sizeof(h.from));
	h.tos = -1;
	h.len = recvmsg(fd, &m, 0);
	for (struct cmsghdr *c = h.len < 0 ? NULL : CMSG_FIRSTHDR(&m); c;
	     c = CMSG_NXTHDR(&m, c))
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS))
			h.tos = *(uint8_t *)CMSG_DATA(c);
	return &h;
}

/* One of ours, bound. */
static int ours(enum addr_family family, uint16_t *ret_port)
{
	bool forced = false;
	int fd = udp_create(family, &forced), port = udp_bind(fd, family, 0);

	CHECK(fd >= 0 && port > 0 && udp_port(fd) == port);
	*ret_port = (uint16_t)port;
	return fd;
}

static int receive(int fd, const struct udp_datagram **ret)
{
	return udp_receive(fd, inbox, ret);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	CHECK(getsockopt(fd, level, name, &value, &len) == 0);
	return value;
}

/* ---- options ---- */

static void fragments_instead_of_losing_and_never_mixes_families(void)
{
	uint16_t port;
	int v4 = ours(ADDR_V4, &port), v6 = ours(ADDR_V6, &port);

	CHECK(option(v4, IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_DONT);
	CHECK(option(v6, IPPROTO_IPV6, IPV6_MTU_DISCOVER) == IPV6_PMTUDISC_DONT);
	CHECK(option(v6, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
	CHECK(fcntl(v4, F_GETFL) & O_NONBLOCK && fcntl(v4, F_GETFD) & FD_CLOEXEC);
	close(v4);
	close(v6);
}

/* W24: as root in the host's own user namespace; elsewhere it says that it could not. */
static void large_buffers_are_had_or_reported(void)
{
	bool forced = false;
	int fd = udp_create(ADDR_V4, &forced);

	CHECK(forced == (option(fd, SOL_SOCKET, SO_RCVBUF) >= UDP_BUFFER_BYTES));
	CHECK(udp_create(ADDR_V4, NULL) >= 0);
	close(fd);
}

static void a_port_that_is_taken_is_seen_even_if_it_could_be_shared(void)
{
	uint16_t port4, port6, other;
	int v4 = ours(ADDR_V4, &port4), v6 = ours(ADDR_V6, &port6), second = -1;

	CHECK(!udp_port_is_free(ADDR_V4, port4) && !udp_port_is_free(ADDR_V6, port6));
	second = udp_create(ADDR_V4, NULL);
	CHECK(udp_bind(second, ADDR_V4, port4) == port4); /* our own group may share it */
	close(second);
	close(v4);
	CHECK(udp_port_is_free(ADDR_V4, port4));
	CHECK(!udp_port_is_free(ADDR_V6, port6));
	close(v6);
	second = plain(AF_INET, &other);
	CHECK(!udp_port_is_free(ADDR_V4, other)); /* on one address is enough */
	v4 = udp_create(ADDR_V4, NULL);
	CHECK(udp_bind(v4, ADDR_V4, other) == -EADDRINUSE);
	CHECK(udp_port(v4) == 0);
	close(v4);
	close(second);
}

static void a_mark_is_set_and_cleared(void)
{
	uint16_t port;
	int fd = ours(ADDR_V4, &port);

	CHECK(udp_set_mark(fd, 0xfffffffe) == 0);
	CHECK((uint32_t)option(fd, SOL_SOCKET, SO_MARK) == 0xfffffffe);
	CHECK(udp_set_mark(fd, 0) == 0 && option(fd, SOL_SOCKET, SO_MARK) == 0);
	close(fd);
	CHECK(udp_set_mark(fd, 1) == -EBADF);
}

/* ---- receiving ---- */

static void a_datagram_tells_its_source_its_mark_and_where_it_came_to(void)
{
	const struct udp_datagram *d = NULL;
	uint16_t port, from;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &from), tos = 0xba;

	CHECK(setsockopt(p, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)) == 0);
	say(p, "127.0.0.77", port, "hello", 5);
	CHECK(receive(fd, &d) == 1);
	CHECK(d[0].len == 5 && memcmp(d[0].data, "hello", 5) == 0 && !d[0].is_cut);
	CHECK(d[0].segment == 0 && d[0].tos == 0xba);
	CHECK(d[0].source.port == from && d[0].source.ip.family == ADDR_V4);
	CHECK(d[0].source.ip.b[0] == 127 && d[0].source.ip.b[3] == 1);
	CHECK(d[0].source.local.family == ADDR_V4 && d[0].source.local.b[3] == 77);
	CHECK(d[0].source.local_if == if_nametoindex("lo") && d[0].source.scope == 0);
	CHECK(receive(fd, &d) == 0);
	close(fd);
	close(p);
}

static void the_same_over_ipv6(void)
{
	const struct udp_datagram *d = NULL;
	struct ip_addr loopback = ip("::1");
	uint16_t port, from;
	int fd = ours(ADDR_V6, &port), p = plain(AF_INET6, &from), tos = 0x2f;

	CHECK(setsockopt(p, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos)) == 0);
	say(p, "::1", port, "hello6", 6);
	CHECK(receive(fd, &d) == 1);
	CHECK(d[0].len == 6 && d[0].tos == 0x2f && d[0].source.port == from);
	CHECK(ip_addr_equal(&d[0].source.ip, &loopback));
	CHECK(ip_addr_equal(&d[0].source.local, &loopback));
	CHECK(d[0].source.local_if == if_nametoindex("lo"));
	close(fd);
	close(p);
}

/* W44. What was in the buffer before must not show, and what comes behind is unharmed. */
static void datagrams_too_long_or_empty_are_told_as_such(void)
{
	static uint8_t large[4000];
	const struct udp_datagram *d = NULL;
	struct udp_inbox *small = NULL;
	uint16_t port, from;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &from);

	CHECK(udp_inbox_new(4, 2048, &small) == 0);
	udp_set_gro(fd, false);
	say(p, "127.0.0.1", port, large, 2048);
	say(p, "127.0.0.1", port, large, 2049);
	say(p, "127.0.0.1", port, large, 0);
	say(p, "127.0.0.1", port, "x", 1);
	CHECK(udp_receive(fd, small, &d) == 4);
	CHECK(!d[0].is_cut && d[0].len == 2048);
	CHECK(d[1].is_cut);
	CHECK(!d[2].is_cut && d[2].len == 0);
	CHECK(!d[3].is_cut && d[3].len == 1 && d[3].data[0] == 'x');
	udp_inbox_free(small);
	close(fd);
	close(p);
}

static void more_than_the_inbox_holds_comes_with_the_next_call(void)
{
	const struct udp_datagram *d = NULL;
	uint16_t port, from;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &from);

	for (uint8_t i = 0; i < BUFFERS + 5; i++)
		say(p, "127.0.0.1", port, &i, 1);
	CHECK(receive(fd, &d) == BUFFERS);
	for (uint8_t i = 0; i < BUFFERS; i++)
		CHECK(d[i].data[0] == i);
	CHECK(receive(fd, &d) == 5 && d[4].data[0] == BUFFERS + 4);
	CHECK(receive(fd, &d) == 0);
	close(fd);
	close(p);
}

/* W29: a report about what we sent earlier is no failure of receiving. */
static void a_refused_datagram_earlier_does_not_stop_receiving(void)
{
	const struct udp_datagram *d = NULL;
	struct sockaddr_in nobody = { .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint16_t port, from;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &from);

	nobody.sin_port = htons(from);
	CHECK(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) == 0);
	say(p, "127.0.0.1", port, "waits", 5);
	close(p);
	CHECK(send(fd, "x", 1, 0) == 1); /* answered with port unreachable */
	CHECK(receive(fd, &d) == 0);
	CHECK(receive(fd, &d) == 1 && d[0].len == 5);
	close(fd);
	CHECK(receive(fd, &d) == -EBADF);
}

/* ---- sending ---- */

static uint8_t numbered[65536];

static struct udp_block block_to(const char *to, uint16_t port, uint32_t len, uint32_t segment)
{
	struct udp_block b = { .data = numbered, .len = len, .segment = segment, .to = at(to) };

	b.to.port = port;
	return b;
}

/* One call or many, the same datagrams arrive. */
static void a_block_arrives_as_its_datagrams_with_and_without_help(void)
{
	static const uint32_t cases[][2] = {
		{ 1000, 1000 }, { 1000, 300 },	 { 900, 300 }, { 64000, 1000 },
		{ 1, 1 },	{ 65507, 1452 }, { 301, 300 },
	};
	uint16_t port, to;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &to), big = 4 << 20;

	setsockopt(p, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const uint32_t *c = cases[i / 2];
		struct udp_block b = block_to("127.0.0.1:1", to, c[0], c[1]);
		const struct heard *h;
		uint32_t seen = 0;

		CHECK(udp_send(fd, &b, i % 2) == 0);
		while ((h = hear(p))->len >= 0) {
			uint32_t left = c[0] - seen;

			CHECK((uint32_t)h->len == (left < c[1] ? left : c[1]));
			CHECK(memcmp(h->data, numbered + seen, (size_t)h->len) == 0);
			seen += (uint32_t)h->len;
		}
		CHECK(seen == c[0]);
	}
	close(fd);
	close(p);
}

/* Sent with UDP_SEGMENT, read with UDP_GRO: one read, and the size of each. */
static void what_leaves_together_arrives_together(void)
{
	const struct udp_datagram *d = NULL;
	uint16_t port, ignored;
	int fd = ours(ADDR_V4, &port), other = ours(ADDR_V4, &ignored);
	struct udp_block b = block_to("127.0.0.1:1", port, 10 * 1452 + 100, 1452);

	CHECK(udp_send(other, &b, true) == 0);
	CHECK(receive(fd, &d) == 1);
	CHECK(d[0].len == b.len && d[0].segment == 1452 && !d[0].is_cut);
	CHECK(memcmp(d[0].data, numbered, b.len) == 0);
	udp_set_gro(fd, false);
	CHECK(udp_send(other, &b, true) == 0);
	CHECK(receive(fd, &d) == 11);
	CHECK(d[0].segment == 0 && d[0].len == 1452 && d[10].len == 100);
	close(fd);
	close(other);
}

static void the_mark_and_the_sticky_source_are_sent(void)
{
	uint16_t port, to;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &to);
	struct udp_block b = block_to("127.0.0.1:1", to, 100, 100);
	const struct heard *h;

	b.tos = 0x88;
	b.to.local = ip("127.0.0.9");
	CHECK(udp_send(fd, &b, false) == 0);
	h = hear(p);
	CHECK(h->len == 100 && h->tos == 0x88);
	CHECK(((const struct sockaddr_in *)(const void *)&h->from)->sin_addr.s_addr ==
	      htonl(0x7f000009));
	CHECK(((const struct sockaddr_in *)(const void *)&h->from)->sin_port == htons(port));
	b.tos = 0;
	b.to.local = ip("::1"); /* of the other family: not used */
	CHECK(udp_send(fd, &b, false) == 0);
	h = hear(p);
	CHECK(h->len == 100 && h->tos == 0);
	close(fd);
	close(p);
}

static void the_same_over_ipv6_when_sending(void)
{
	uint16_t port, to;
	int fd = ours(ADDR_V6, &port), p = plain(AF_INET6, &to);
	struct udp_block b = block_to("[::1]:1", to, 300, 100);
	const struct heard *h;

	b.tos = 3;
	b.to.local = ip("fd00::9");
	for (int i = 0; i < 2; i++) {
		CHECK(udp_send(fd, &b, i) == 0);
		for (int k = 0; k < 3; k++) {
			h = hear(p);
			CHECK(h->len == 100 && h->tos == 3);
			CHECK(memcmp(&((const struct sockaddr_in6 *)(const void *)&h->from)
					      ->sin6_addr,
				     b.to.local.b, 16) == 0);
		}
	}
	close(fd);
	close(p);
}

/* What makes the device forget a source: the address is not ours any more. */
static void a_source_that_is_not_local_is_refused(void)
{
	uint16_t port, to;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &to);
	struct udp_block b = block_to("127.0.0.1:1", to, 10, 10);

	b.to.local = ip("192.0.2.1");
	int err = udp_send(fd, &b, false); /* which one depends on the kernel */

	CHECK(err == -EINVAL || err == -ENETUNREACH || err == -EADDRNOTAVAIL);
	b.to = at("198.51.100.1:9");
	CHECK(udp_send(fd, &b, false) == -ENETUNREACH);
	close(fd);
	close(p);
}

/* W43: segments that with their headers do not fit the path are refused together and fragmented
 * apart. */
static void segments_longer_than_the_path_are_refused_together_and_sent_apart(void)
{
	uint16_t port, to;
	int fd = ours(ADDR_V4, &port), p = plain(AF_INET, &to), err;
	struct udp_block b = block_to("127.0.0.1:1", to, 4500, 1500);
	struct ifreq req = { .ifr_name = "lo", .ifr_mtu = 1400 };

	CHECK(ioctl(fd, SIOCSIFMTU, &req) == 0);
	err = udp_send(fd, &b, true);
	CHECK(err == -EINVAL || err == -EMSGSIZE);
	CHECK(hear(p)->len < 0);
	CHECK(udp_send(fd, &b, false) == 0);
	for (int i = 0; i < 3; i++) {
		const struct heard *h = hear(p);

		CHECK(h->len == 1500 && memcmp(h->data, numbered + i * 1500, 1500) == 0);
	}
	req.ifr_mtu = 65536;
	CHECK(ioctl(fd, SIOCSIFMTU, &req) == 0);
	close(fd);
	close(p);
}

/* ---- steering ---- */

/* The ports of the flows are always the same, and so is who gets them: they are below those the
 * kernel gives to the sockets here. */
enum { DATA = 3, FLOWS = 60, FIRST_PORT = 20000 };

static const struct udp_steering plain_steering = {
	.n = 1,
	.shapes = { { .least = 4, .most = 65507, .lo = 4, .hi = 4, .is_data = true } },
};

/* A message of each of @words from many ports: who gets it? */
static void check_steering(enum addr_family family)
{
	static const uint8_t words[][4] = {
		{ 4, 0, 0, 0 }, { 1, 0, 0, 0 }, { 2, 0, 0, 0 }, { 3, 0, 0, 0 },
		{ 0, 0, 0, 4 }, { 4, 1, 0, 0 }, { 4, 0, 0, 1 }, { 0, 0, 0, 0 },
	};
	const char *to = family == ADDR_V4 ? "127.0.0.1" : "::1";
	const struct udp_datagram *d = NULL;
	uint16_t port, from;
	int fds[DATA + 1], seen[DATA + 1] = { 0 };
	uint8_t message[148] = { 0 };

	fds[0] = ours(family, &port);
	for (int i = 1; i <= DATA; i++) {
		fds[i] = udp_create(family, NULL);
		CHECK(udp_bind(fds[i], family, port) == port);
	}
	CHECK(udp_steer(fds[0], DATA, &plain_steering) == 0);
	for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
		for (int flow = 0; flow < FLOWS; flow++) {
			int p = plain_at(family == ADDR_V4 ? AF_INET : AF_INET6,
					 (uint16_t)(FIRST_PORT + flow), &from);
			int first = -1, n = 0;

			memcpy(message, words[w], 4);
			for (int again = 0; again < 3; again++) {
				say(p, to, port, message, again ? sizeof(message) : 4);
				for (int i = 0; i <= DATA; i++) {
					if ((n = receive(fds[i], &d)) <= 0)
						continue;
					CHECK((w == 0) == (i < DATA));
					CHECK(first < 0 || first == i); /* a flow stays */
					first = i;
					seen[i] += n;
				}
			}
			close(p);
		}
	CHECK(seen[DATA] == 3 * 7 * FLOWS);
	CHECK(seen[0] + seen[1] + seen[2] == 3 * FLOWS);
	for (int i = 0; i < DATA; i++) /* flows are spread, here where no NIC has hashed them */
		CHECK(seen[i] >= 3 * FLOWS / 6);
	for (int i = 0; i <= DATA; i++)
		close(fds[i]);
}

static void handshakes_go_to_the_last_socket_and_data_to_the_others(void)
{
	check_steering(ADDR_V4);
	check_steering(ADDR_V6);
}

static void what_is_too_short_for_a_type_is_no_data(void)
{
	const struct udp_datagram *d = NULL;
	uint16_t port, from;
	int data = ours(ADDR_V4, &port), last = udp_create(ADDR_V4, NULL);
	int p = plain(AF_INET, &from);

	CHECK(udp_bind(last, ADDR_V4, port) == port &&
	      udp_steer(data, 1, &plain_steering) == 0);
	for (size_t len = 0; len < 4; len++) {
		say(p, "127.0.0.1", port, "\4\0\0\0", len);
		CHECK(receive(data, &d) == 0 && receive(last, &d) == 1 && d[0].len == len);
	}
	say(p, "127.0.0.1", port, "\4\0\0\0", 4);
	CHECK(receive(data, &d) == 1 && receive(last, &d) == 0);
	close(p);
	close(data);
	close(last);
}

/* One datagram of @len octets with @word, little-endian, at @offset: is it data? */
static bool is_data(int from, uint16_t port, const int fds[2], uint32_t offset, uint32_t word,
		    size_t len)
{
	const struct udp_datagram *d = NULL;
	uint8_t message[256] = { 0 };
	bool data = false;

	for (uint32_t i = 0; i < 4; i++)
		message[offset + i] = (uint8_t)(word >> 8 * i);
	say(from, "127.0.0.1", port, message, len);
	data = receive(fds[0], &d) == 1;
	CHECK(data != (receive(fds[1], &d) == 1));
	return data;
}

static void a_word_within_a_range_at_an_offset_is_found_by_the_kernel(void)
{
	const struct udp_steering steering = {
		.n = 3,
		.shapes = { { .least = 200, .most = 220, .hi = UINT32_MAX },
			    { .least = 44,
			      .most = 255,
			      .offset = 12,
			      .lo = 0x01fffffe,
			      .hi = 0x82000001,
			      .is_data = true },
			    { .least = 32, .most = 32, .lo = 77, .hi = 77, .is_data = true } },
	};
	uint16_t port, from;
	int fds[2] = { ours(ADDR_V4, &port), udp_create(ADDR_V4, NULL) };
	int p = plain(AF_INET, &from);

	CHECK(udp_bind(fds[1], ADDR_V4, port) == port && udp_steer(fds[0], 1, &steering) == 0);
	CHECK(is_data(p, port, fds, 12, 0x01fffffe, 44));
	CHECK(is_data(p, port, fds, 12, 0x82000001, 255));
	CHECK(is_data(p, port, fds, 12, 0x02000000, 100));
	CHECK(!is_data(p, port, fds, 12, 0x01fffffd, 100));
	CHECK(!is_data(p, port, fds, 12, 0x82000002, 100));
	CHECK(!is_data(p, port, fds, 12, 0xffffffff, 100));
	CHECK(!is_data(p, port, fds, 12, 0x02000000, 43));  /* too short */
	CHECK(!is_data(p, port, fds, 12, 0x02000000, 210)); /* an earlier shape */
	CHECK(!is_data(p, port, fds, 11, 0x02000000, 100)); /* elsewhere */
	CHECK(is_data(p, port, fds, 0, 77, 32));
	CHECK(!is_data(p, port, fds, 0, 77, 33));
	CHECK(!is_data(p, port, fds, 0, 78, 32));
	close(p);
	close(fds[0]);
	close(fds[1]);
}

static void the_rest_goes_where_it_is_said_and_shapes_may_change(void)
{
	struct udp_steering steering = { .rest_is_data = true };
	uint16_t port, from;
	int fds[2] = { ours(ADDR_V4, &port), udp_create(ADDR_V4, NULL) };
	int p = plain(AF_INET, &from);

	CHECK(udp_bind(fds[1], ADDR_V4, port) == port && udp_steer(fds[0], 1, &steering) == 0);
	CHECK(is_data(p, port, fds, 0, 1, 148) && is_data(p, port, fds, 0, 0, 1));
	CHECK(udp_steer(fds[1], 1, &plain_steering) == 0);
	CHECK(!is_data(p, port, fds, 0, 1, 148) && is_data(p, port, fds, 0, 4, 148));
	for (steering.n = 0; steering.n < UDP_SHAPES_MAX; steering.n++)
		steering.shapes[steering.n] = (struct udp_shape){ .least = 100,
								  .most = 200,
								  .lo = 5 + steering.n,
								  .hi = 300,
								  .is_data = true };
	steering.rest_is_data = false;
	CHECK(udp_steer(fds[0], 1, &steering) == 0); /* as many as there may be */
	CHECK(is_data(p, port, fds, 0, 300, 148) && !is_data(p, port, fds, 0, 4, 148));
	close(p);
	close(fds[0]);
	close(fds[1]);
}

/* A second address, for which the kernel would not choose. */
static bool add_address(void)
{
	struct netlink_address a = { .ip = ip("fd00::9"), .bits = 128 };
	struct netlink *nl = NULL;
	int err = netlink_open(&nl);

	a.index = if_nametoindex("lo");
	if (err == 0)
		err = netlink_address_add(nl, &a);
	netlink_close(nl);
	return err == 0;
}

int main(void)
{
	SKIP_WITHOUT_NAMESPACE();
	if (!add_address())
		return 1;
	for (size_t i = 0; i < sizeof(numbered); i++)
		numbered[i] = (uint8_t)(i * 31 + i / 256);
	if (udp_inbox_new(BUFFERS, BUFFER_BYTES, &inbox) != 0)
		return 1;
	RUN(fragments_instead_of_losing_and_never_mixes_families);
	RUN(large_buffers_are_had_or_reported);
	RUN(a_port_that_is_taken_is_seen_even_if_it_could_be_shared);
	RUN(a_mark_is_set_and_cleared);
	RUN(a_datagram_tells_its_source_its_mark_and_where_it_came_to);
	RUN(the_same_over_ipv6);
	RUN(datagrams_too_long_or_empty_are_told_as_such);
	RUN(more_than_the_inbox_holds_comes_with_the_next_call);
	RUN(a_refused_datagram_earlier_does_not_stop_receiving);
	RUN(a_block_arrives_as_its_datagrams_with_and_without_help);
	RUN(what_leaves_together_arrives_together);
	RUN(the_mark_and_the_sticky_source_are_sent);
	RUN(the_same_over_ipv6_when_sending);
	RUN(a_source_that_is_not_local_is_refused);
	RUN(segments_longer_than_the_path_are_refused_together_and_sent_apart);
	RUN(handshakes_go_to_the_last_socket_and_data_to_the_others);
	RUN(what_is_too_short_for_a_type_is_no_data);
	RUN(a_word_within_a_range_at_an_offset_is_found_by_the_kernel);
	RUN(the_rest_goes_where_it_is_said_and_shapes_may_change);
	udp_inbox_free(inbox);
	return DONE();
}
