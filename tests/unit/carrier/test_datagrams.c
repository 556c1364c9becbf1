/* SPDX-License-Identifier: Apache-2.0 */
/* A client's port on loopback, WireGuard that sends there, and another program that does. */
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "carrier/datagrams.h"

struct world {
	struct datagrams u;
	int wireguard;
	int other;
	uint8_t block[DATAGRAMS_BLOCK];
};

/* A socket that sends to @u, with a port of its own. */
static int open_sender(const struct datagrams *u)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(datagrams_port(u)),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	return ntohs(at.sin_port);
}

static struct world *begin(void)
{
	const struct endpoint at = { .ip = { ADDR_V4, { 127, 0, 0, 1 } } };
	struct world *w = calloc(1, sizeof(*w));

	CHECK(datagrams_listen(&w->u, &at) == 0);
	w->wireguard = open_sender(&w->u);
	w->other = open_sender(&w->u);
	return w;
}

static void end(struct world *w)
{
	datagrams_close(&w->u);
	close(w->wireguard);
	close(w->other);
	free(w);
}

static bool is_heard(struct world *w, int fd)
{
	size_t segment;

	CHECK(send(fd, "x", 1, 0) == 1);
	return datagrams_receive(&w->u, w->block, &segment) == 1;
}

static bool is_answered(struct world *w, int fd)
{
	char octet;

	datagrams_send(&w->u, (const uint8_t *)"y", 1);
	datagrams_flush(&w->u);
	return recv(fd, &octet, 1, 0) == 1;
}

static void another_sender_is_neither_heard_nor_answered(void)
{
	struct world *w = begin();
	size_t segment;

	CHECK(is_heard(w, w->wireguard));
	for (int i = 0; i < 3; i++)
		CHECK(!is_heard(w, w->other));
	CHECK(w->u.foreign == 3);
	CHECK(!is_answered(w, w->other) && is_answered(w, w->wireguard));
	CHECK(send(w->other, "x", 1, 0) == 1); /* in front of one that counts */
	CHECK(send(w->wireguard, "zz", 2, 0) == 2);
	CHECK(datagrams_receive(&w->u, w->block, &segment) == 2);
	end(w);
}

static void another_is_heard_when_the_first_was_silent_for_long(void)
{
	struct world *w = begin();

	CHECK(is_heard(w, w->wireguard));
	w->u.heard_ns -= DATAGRAMS_SILENT_NS;
	CHECK(is_heard(w, w->other) && is_answered(w, w->other));
	CHECK(!is_heard(w, w->wireguard));
	end(w);
}

static void a_port_that_was_named_is_the_only_one(void)
{
	struct world *w = begin();

	CHECK(is_heard(w, w->other)); /* it was first */
	datagrams_hear_only(&w->u, port_of(w->wireguard));
	CHECK(!is_answered(w, w->other));
	CHECK(!is_heard(w, w->other));
	CHECK(is_heard(w, w->wireguard) && is_answered(w, w->wireguard));
	w->u.heard_ns -= DATAGRAMS_SILENT_NS;
	CHECK(!is_heard(w, w->other));
	end(w);
}

int main(void)
{
	RUN(another_sender_is_neither_heard_nor_answered);
	RUN(another_is_heard_when_the_first_was_silent_for_long);
	RUN(a_port_that_was_named_is_the_only_one);
	return DONE();
}
