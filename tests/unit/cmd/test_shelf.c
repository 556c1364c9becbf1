/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets on loopback and in a directory of ours; "the next process" looks at the same pair. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "base/err.h"
#include "cmd/shelf.h"
#include "http/server.h"

static char directory[] = "/tmp/culvert-shelf-XXXXXX";
static int ends[2];

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static int listen_somewhere(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK(bind(fd, (struct sockaddr *)at, len) == 0 && listen(fd, 8) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)at, &len) == 0);
	return fd;
}

static socklen_t listen_in_directory(struct sockaddr_un *at, int *ret_fd)
{
	socklen_t len;

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			  (size_t)snprintf(at->sun_path, sizeof(at->sun_path), "%s/socket",
					   directory));
	*ret_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(*ret_fd, (struct sockaddr *)at, sizeof(*at)) == 0 &&
	      listen(*ret_fd, 8) == 0);
	return len;
}

static void open_pair(void)
{
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
}

static void close_pair(void)
{
	close(ends[0]);
	close(ends[1]);
}

static void an_empty_shelf_has_nothing(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };

	open_pair();
	CHECK(shelf_look(ends[1]) == 0);
	CHECK(shelf_take((struct sockaddr *)&at, sizeof(at)) == -1);
	close_pair();
}

static void a_connection_waits_for_the_next_process(void)
{
	struct sockaddr_in at;
	struct pollfd p = { .events = POLLIN };
	int fd = listen_somewhere(&at), client, next;

	open_pair();
	CHECK(shelf_put(ends[0], ends[1], &fd, 1) == 0);
	close(fd);
	client = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(client, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(shelf_look(ends[1]) == 1);
	next = shelf_take((struct sockaddr *)&at, sizeof(at));
	CHECK(next >= 0);
	p.fd = next;
	CHECK(poll(&p, 1, 5000) == 1);
	fd = accept(next, NULL, NULL);
	CHECK(fd >= 0);
	close(fd);
	close(next);
	close(client);
	close_pair();
}

/* However many processes fail one after the other. */
static void who_looks_leaves_them_there(void)
{
	struct sockaddr_in at;
	int fd = listen_somewhere(&at);

	open_pair();
	CHECK(shelf_put(ends[0], ends[1], &fd, 1) == 0);
	close(fd);
	for (int i = 0; i < 3; i++) {
		CHECK(shelf_look(ends[1]) == 1);
		fd = shelf_take((struct sockaddr *)&at, sizeof(at));
		CHECK(fd >= 0);
		close(fd);
	}
	close_pair();
}

static void only_the_very_address_counts(void)
{
	struct sockaddr_in at, other;
	int fd = listen_somewhere(&at);

	open_pair();
	CHECK(shelf_put(ends[0], ends[1], &fd, 1) == 0);
	CHECK(shelf_look(ends[1]) == 1);
	other = at;
	other.sin_port ^= 1;
	CHECK(shelf_take((struct sockaddr *)&other, sizeof(other)) == -1);
	other = at;
	other.sin_addr.s_addr = htonl(INADDR_ANY);
	CHECK(shelf_take((struct sockaddr *)&other, sizeof(other)) == -1);
	CHECK(shelf_put(ends[0], ends[1], NULL, 0) == 0);
	close(fd);
	close_pair();
}

static void a_socket_whose_file_is_gone_does_not_count(void)
{
	struct sockaddr_un at;
	int fd, next;
	socklen_t len = listen_in_directory(&at, &fd);

	open_pair();
	CHECK(shelf_put(ends[0], ends[1], &fd, 1) == 0);
	CHECK(shelf_look(ends[1]) == 1);
	next = shelf_take((struct sockaddr *)&at, len);
	CHECK(next >= 0);
	close(next);
	CHECK(shelf_look(ends[1]) == 1);
	unlink(at.sun_path);
	CHECK(shelf_take((struct sockaddr *)&at, len) == -1);
	CHECK(shelf_put(ends[0], ends[1], NULL, 0) == 0);
	close(fd);
	close_pair();
}

static void what_is_put_replaces_what_was_there(void)
{
	struct sockaddr_in first, second;
	int a = listen_somewhere(&first), b = listen_somewhere(&second);

	open_pair();
	CHECK(shelf_put(ends[0], ends[1], &a, 1) == 0);
	CHECK(shelf_put(ends[0], ends[1], &b, 1) == 0);
	CHECK(shelf_look(ends[1]) == 1);
	CHECK(shelf_take((struct sockaddr *)&first, sizeof(first)) == -1);
	close(a);
	a = shelf_take((struct sockaddr *)&second, sizeof(second));
	CHECK(a >= 0);
	close(a);
	close(b);
	close_pair();
}

/* A process that was taken over could leave anything. */
static void what_does_not_listen_is_closed(void)
{
	struct sockaddr_in at;
	int fds[3] = { 0, 0, listen_somewhere(&at) }, before;

	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	open_pair();
	CHECK(shelf_put(ends[0], ends[1], fds, 3) == 0);
	before = count_fds();
	CHECK(shelf_look(ends[1]) == 1);
	CHECK(count_fds() == before + 1);
	CHECK(shelf_put(ends[0], ends[1], NULL, 0) == 0);
	CHECK(count_fds() == before);
	close(fds[1]);
	close(fds[2]);
	close_pair();
}

static void it_holds_as_many_as_there_are_listeners(void)
{
	struct sockaddr_in at;
	int fds[HTTP_LISTENERS_MAX + 1];

	for (int i = 0; i <= HTTP_LISTENERS_MAX; i++)
		fds[i] = listen_somewhere(&at);
	open_pair();
	CHECK(shelf_put(ends[0], ends[1], fds, HTTP_LISTENERS_MAX + 1) == ERR_LIMIT);
	CHECK(shelf_put(ends[0], ends[1], fds, HTTP_LISTENERS_MAX) == 0);
	CHECK(shelf_look(ends[1]) == HTTP_LISTENERS_MAX);
	CHECK(shelf_put(ends[0], ends[1], NULL, 0) == 0);
	for (int i = 0; i <= HTTP_LISTENERS_MAX; i++)
		close(fds[i]);
	close_pair();
}

int main(void)
{
	if (!mkdtemp(directory))
		abort();
	RUN(an_empty_shelf_has_nothing);
	RUN(a_connection_waits_for_the_next_process);
	RUN(who_looks_leaves_them_there);
	RUN(only_the_very_address_counts);
	RUN(a_socket_whose_file_is_gone_does_not_count);
	RUN(what_is_put_replaces_what_was_there);
	RUN(what_does_not_listen_is_closed);
	RUN(it_holds_as_many_as_there_are_listeners);
	rmdir(directory);
	return DONE();
}
