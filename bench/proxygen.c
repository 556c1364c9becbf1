/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load for proxies, and the server behind them. Shares no code with what it measures.
 *
 *	proxygen serve ADDRESS PORT N	greet each connection to N ports from PORT with one octet; to the
 *					port behind them, send as fast as it goes
 *	proxygen open  ADDRESS PORT TARGET TPORT N KEY SECONDS AT-A-TIME
 *					tunnels through the proxy at ADDRESS, each until the greeting came
 *	proxygen idle  … COUNT AT-A-TIME	open so many, say so, keep them until standard input ends
 *	proxygen bulk  … SECONDS		octets of one tunnel, after a second of warming up
 *
 * TARGET "-": no CONNECT, the proxy knows where to. KEY "-": no key. Results are one line on standard output.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, BLOCK = 1 << 18, FDS = 1 << 20, REQUEST = 512 };

static const char reply[] = "HTTP/1.1 200";

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *host, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die(host);
	return a;
}

static void watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

/* --- The server --- */

static int listen_at(const char *host, int port)
{
	struct sockaddr_in a = address(host, port);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void flood(int fd)
{
	static char block[BLOCK];

	while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
	if (errno != EAGAIN)
		close(fd);
}

static void serve(char **argv)
{
	static bool floods[FDS], listens[FDS];
	int n = number(argv[2]), epoll = epoll_create1(0);
	struct epoll_event events[EVENTS];

	for (int i = 0; i <= n; i++) {
		int fd = listen_at(argv[0], number(argv[1]) + i);

		listens[fd] = true;
		floods[fd] = i == n;
		watch(epoll, fd, EPOLLIN);
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int got = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < got; i++) {
			int fd = events[i].data.fd, one;

			if (!listens[fd] && !floods[fd]) {
				close(fd); /* the tunnel ended */
				continue;
			}
			if (!listens[fd]) {
				flood(fd);
				continue;
			}
			while ((one = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
				floods[one] = floods[fd];
				if (floods[fd])
					watch(epoll, one, EPOLLOUT | EPOLLET);
				else if (send(one, "k", 1, MSG_NOSIGNAL) == 1)
					watch(epoll, one, EPOLLIN | EPOLLRDHUP);
			}
		}
	}
}

/* --- Clients --- */

struct load {
	struct sockaddr_in proxy;
	const char *target;
	const char *key;
	int port;
	int n;
	int next;
};

/* The request of the next tunnel; "": none is needed. */
static int write_request(struct load *l, int port, char out[REQUEST])
{
	out[0] = '\0';
	if (strcmp(l->target, "-") == 0)
		return 0;
	return snprintf(out, REQUEST, "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n%s%s%s\r\n",
			l->target, port, l->target, port,
			l->key[0] != '-' ? "Proxy-Authorization: Bearer " : "",
			l->key[0] != '-' ? l->key : "", l->key[0] != '-' ? "\r\n" : "");
}

static int begin(struct load *l, int epoll)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&l->proxy, sizeof(l->proxy)) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	watch(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET);
	return fd;
}

static void reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* Has the greeting come? It is the last octet. -1: it failed. */
static int progress(struct load *l, int fd, bool *asked)
{
	char buffer[REQUEST];
	ssize_t n;

	if (!*asked) {
		int len = write_request(l, l->port + l->next++ % l->n, buffer);

		if (len > 0 && send(fd, buffer, (size_t)len, MSG_NOSIGNAL) != len)
			return -1;
		*asked = true;
	}
	for (;;) {
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return -1;
		if (n > 1 && strncmp(buffer, reply, 4) == 0 &&
		    strncmp(buffer + 8, reply + 8, 4) != 0)
			return -1;
		if (buffer[n - 1] == 'k')
			return 1;
	}
}

/* @keep: of how many; 0: for @seconds, each closed at once. */
static int open_tunnels(struct load *l, double seconds, int at_a_time, int keep)
{
	static bool asked[FDS], done[FDS];
	int epoll = epoll_create1(0), under_way = 0, opened = 0, failed = 0, begun = 0;
	struct epoll_event events[EVENTS];
	double start = now_s();

	while (keep ? opened + failed < keep : now_s() - start < seconds) {
		while (under_way < at_a_time && (!keep || begun < keep)) {
			int fd = begin(l, epoll);

			asked[fd] = done[fd] = false;
			under_way++;
			begun++;
		}
		int got = epoll_wait(epoll, events, EVENTS, 1000);

		for (int i = 0; i < got; i++) {
			int fd = events[i].data.fd, how;

			if (done[fd] ||
			    (!asked[fd] && !(events[i].events & ~(uint32_t)EPOLLIN)))
				continue;
			how = progress(l, fd, &asked[fd]);
			if (how == 0)
				continue;
			under_way--;
			done[fd] = true;
			opened += how > 0;
			failed += how < 0;
			if (!keep || how < 0)
				reset(fd);
		}
	}
	printf("%d %d %.4f\n", opened, failed, now_s() - start);
	fflush(stdout);
	while (keep && getchar() != EOF)
		;
	return 0;
}

static int bulk(struct load *l, double seconds)
{
	static char block[BLOCK];
	int fd = socket(AF_INET, SOCK_STREAM, 0), len;
	char request[REQUEST];
	double start = 0, begun = now_s();
	uint64_t octets = 0;

	if (connect(fd, (struct sockaddr *)&l->proxy, sizeof(l->proxy)) < 0)
		die("connect");
	len = write_request(l, l->port + l->n, request);
	if (len > 0 && send(fd, request, (size_t)len, 0) != len)
		die("send");
	for (;;) {
		ssize_t n = recv(fd, block, sizeof(block), 0);

		if (n <= 0)
			die("recv");
		if (start == 0 && now_s() - begun > 1) {
			start = now_s();
			octets = 0;
		}
		octets += (uint64_t)n;
		if (start > 0 && now_s() - start > seconds)
			break;
	}
	printf("%.4f\n", (double)octets * 8 / 1e9 / (now_s() - start));
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	struct load l = { .next = 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		serve(argv + 2);
	if (argc < 9)
		return 2;
	l.proxy = address(argv[2], number(argv[3]));
	l.target = argv[4];
	l.port = number(argv[5]);
	l.n = number(argv[6]);
	l.key = argv[7];
	if (strcmp(argv[1], "bulk") == 0)
		return bulk(&l, strtod(argv[8], NULL));
	if (argc < 10)
		return 2;
	if (strcmp(argv[1], "open") == 0)
		return open_tunnels(&l, strtod(argv[8], NULL), number(argv[9]), 0);
	return open_tunnels(&l, 0, number(argv[9]), number(argv[8]));
}
