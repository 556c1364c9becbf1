/* SPDX-License-Identifier: Apache-2.0 */
/* A thread plays the tunnel on one end of a socket pair, with answers good and bad. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "host/tunnel.h"

struct play {
	int fd;
	const char *answer; /* NULL: hang up at once */
	bool octet_by_octet;
	char heard[1024];
};

static void *play_tunnel(void *context)
{
	struct play *p = context;
	size_t len = 0;

	while (len < sizeof(p->heard) - 1 &&
	       !(len > 1 && strcmp(p->heard + len - 2, "\n\n") == 0)) {
		ssize_t n = read(p->fd, p->heard + len, sizeof(p->heard) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
		p->heard[len] = '\0';
	}
	for (const char *s = p->answer; s && *s; s += p->octet_by_octet ? 1 : strlen(s)) {
		if (send(p->fd, s, p->octet_by_octet ? 1 : strlen(s), MSG_NOSIGNAL) < 0)
			break;
	}
	close(p->fd);
	return NULL;
}

static int configure(const char *answer, bool octet_by_octet, struct play *p, struct diag *d)
{
	struct secret_key key;
	pthread_t thread;
	int ends[2], err;

	memset(key.b, 0x5a, sizeof(key.b));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	*p = (struct play){ .fd = ends[1], .answer = answer, .octet_by_octet = octet_by_octet };
	CHECK(pthread_create(&thread, NULL, play_tunnel, p) == 0);
	err = tunnel_configure(ends[0], &key, 51820, d);
	close(ends[0]);
	pthread_join(thread, NULL);
	return err;
}

static void sends_key_and_port_and_takes_the_answer(void)
{
	struct diag d = { 0 };
	struct play p;

	CHECK(configure("errno=0\n\n", false, &p, &d) == 0);
	CHECK(strncmp(p.heard, "set=1\n", 6) == 0 && strstr(p.heard, "\nlisten_port=51820\n"));
	CHECK(strstr(p.heard, "\nprivate_key=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
			      "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n"));
	CHECK(configure("errno=0\n\n", true, &p, &d) == 0);
}

static void names_the_reason_of_a_refusal_and_never_the_key(void)
{
	struct diag d = { 0 };
	struct play p;

	CHECK(configure("errno=98\n\n", false, &p, &d) == -EADDRINUSE);
	CHECK(strstr(d.text, "51820 is in use") && !strstr(d.text, "5a5a"));
	CHECK(configure("errno=-98\n\n", true, &p, &d) == -EADDRINUSE); /* with its sign */
	CHECK(configure("errno=22\n\n", false, &p, &d) == -EINVAL && !strstr(d.text, "5a5a"));
}

static void an_answer_that_is_none_is_an_error(void)
{
	static const char *const answers[] = {
		"\n\n",
		"errno=\n\n",
		"errno=x\n\n",
		"errno=-\n\n",
		"errno=--1\n\n",
		"errno=99999999\n\n",
		"private_key=00\nerrno=0\n\n",
		"errno=0",
		"errno=0\nmore=1\n\n",
		"",
	};
	char endless[600];
	struct diag d = { 0 };
	struct play p;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		CHECK(configure(answers[i], false, &p, &d) == -EPROTO);
	CHECK(configure(NULL, false, &p, &d) == -EPROTO);
	memset(endless, 'a', sizeof(endless));
	endless[sizeof(endless) - 1] = '\0';
	CHECK(configure(endless, false, &p, &d) == -EPROTO);
}

static void nobody_listening_is_told_by_its_kind(void)
{
	CHECK(tunnel_connect("cvt-nobody") == -ENOENT);
	CHECK(tunnel_connect_limited("cvt-nobody") == -ENOENT);
}

int main(void)
{
	RUN(sends_key_and_port_and_takes_the_answer);
	RUN(names_the_reason_of_a_refusal_and_never_the_key);
	RUN(an_answer_that_is_none_is_an_error);
	RUN(nobody_listening_is_told_by_its_kind);
	return DONE();
}
