/* SPDX-License-Identifier: Apache-2.0 */
/* One port, several sockets: opened together, refused together, marked together. */
#include <errno.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "../net/namespace.h"
#include "../test.h"
#include "device/sockets.h"
#include "net/udp_socket.h"

enum { WORKERS = 3, PORT = 6100 };

static uint32_t mark_of(int fd)
{
	uint32_t mark = UINT32_MAX;
	socklen_t len = sizeof(mark);

	getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len);
	return mark;
}

static bool all_are_at(const struct sockets *s, uint16_t port, uint32_t mark)
{
	const struct socket_family *families[] = { &s->v4, &s->v6 };
	bool right = s->port == port;

	for (int f = 0; f < 2; f++) {
		for (unsigned int i = 0; i < s->workers; i++)
			right &= udp_port(families[f]->data[i]) == port &&
				 mark_of(families[f]->data[i]) == mark;
		right &= udp_port(families[f]->handshake) == port &&
			 mark_of(families[f]->handshake) == mark;
	}
	return right;
}

static bool all_are_closed(const struct sockets *s)
{
	bool closed = s->port == 0 && s->v4.handshake == -1 && s->v6.handshake == -1;

	for (unsigned int i = 0; i < s->workers; i++)
		closed &= s->v4.data[i] == -1 && s->v6.data[i] == -1;
	return closed;
}

/* Somebody else at @port of one family alone. */
static int occupy(int family, uint16_t port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;

	if (family == AF_INET6)
		CHECK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0);
	CHECK(bind(fd, family == AF_INET ? (void *)&v4 : (void *)&v6,
		   family == AF_INET ? sizeof(v4) : sizeof(v6)) == 0);
	return fd;
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void every_socket_has_the_port_and_the_mark(void)
{
	int before = open_descriptors();
	struct sockets s;

	CHECK(sockets_init(&s, WORKERS) == 0 && all_are_closed(&s));
	CHECK(sockets_open(&s, PORT, 0) == 0 && s.is_steered && all_are_at(&s, PORT, 0));
	sockets_close(&s);
	CHECK(all_are_closed(&s));
	CHECK(sockets_open(&s, PORT + 1, 51820) == 0 && all_are_at(&s, PORT + 1, 51820));
	sockets_done(&s);
	CHECK(open_descriptors() == before);
}

static void the_kernel_chooses_one_port_for_both_families(void)
{
	struct sockets s;

	sockets_init(&s, WORKERS);
	CHECK(sockets_open(&s, 0, 0) == 0 && s.port && all_are_at(&s, s.port, 0));
	sockets_done(&s);
}

static void a_port_that_one_family_cannot_have_is_had_by_none(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct sockets s;

	sockets_init(&s, WORKERS);
	for (int i = 0; i < 2; i++) {
		int other = occupy(families[i], PORT);
		int before = 0;

		CHECK(sockets_open(&s, PORT, 7) == -EADDRINUSE && all_are_closed(&s));
		before = open_descriptors();
		CHECK(sockets_open(&s, PORT, 7) == -EADDRINUSE);
		CHECK(open_descriptors() <= before);
		close(other);
		CHECK(sockets_open(&s, PORT, 0) == 0 && all_are_at(&s, PORT, 0));
		sockets_close(&s);
	}
	sockets_done(&s);
}

/* Two of ours share a port among themselves, and with nobody else of the same user. */
static void a_second_tunnel_cannot_join_the_port_of_the_first(void)
{
	struct sockets one, two;

	sockets_init(&one, WORKERS);
	sockets_init(&two, 1);
	CHECK(sockets_open(&one, PORT, 0) == 0);
	CHECK(sockets_open(&two, PORT, 0) == -EADDRINUSE && all_are_closed(&two));
	CHECK(all_are_at(&one, PORT, 0));
	sockets_done(&one);
	CHECK(sockets_open(&two, PORT, 0) == 0);
	sockets_done(&two);
}

static void ports_change_more_often_than_there_are_spares(void)
{
	struct sockets s;

	sockets_init(&s, WORKERS);
	for (uint16_t i = 0; i < 3 * SOCKETS_SPARE_SETS; i++) {
		CHECK(sockets_open(&s, (uint16_t)(PORT + i), 0) == 0);
		CHECK(all_are_at(&s, (uint16_t)(PORT + i), 0));
		sockets_close(&s);
	}
	CHECK(s.n_spare4 == 0 && s.n_spare6 == 0);
	sockets_done(&s);
}

static void a_mark_is_everywhere_or_nowhere(void)
{
	struct sockets s;
	int kept = -1;

	sockets_init(&s, WORKERS);
	CHECK(sockets_open(&s, PORT, 3) == 0);
	CHECK(sockets_set_mark(&s, 4) == 0 && s.mark == 4 && all_are_at(&s, PORT, 4));
	kept = s.v6.data[1];
	s.v6.data[1] = 500; /* not open: this one will refuse, after others have agreed */
	CHECK(sockets_set_mark(&s, 5) == -EBADF && s.mark == 4);
	s.v6.data[1] = kept;
	CHECK(all_are_at(&s, PORT, 4));
	sockets_done(&s);
}

static void sockets_of_another_process_are_moved_in(void)
{
	struct sockets one, two;

	sockets_init(&one, WORKERS);
	sockets_init(&two, WORKERS);
	CHECK(sockets_open(&one, PORT, 9) == 0);
	sockets_adopt(&two, &one.v4, &one.v6);
	one.port = 0;
	CHECK(all_are_closed(&one));
	CHECK(two.is_steered && all_are_at(&two, PORT, 9));
	sockets_done(&one);
	CHECK(all_are_at(&two, PORT, 9));
	sockets_done(&two);
}

int main(void)
{
	SKIP_WITHOUT_NAMESPACE();
	RUN(every_socket_has_the_port_and_the_mark);
	RUN(the_kernel_chooses_one_port_for_both_families);
	RUN(a_port_that_one_family_cannot_have_is_had_by_none);
	RUN(a_second_tunnel_cannot_join_the_port_of_the_first);
	RUN(ports_change_more_often_than_there_are_spares);
	RUN(a_mark_is_everywhere_or_nowhere);
	RUN(sockets_of_another_process_are_moved_in);
	return DONE();
}
