/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udpgen - One UDP generator, counter and ping-pong for every contender
 *
 *	udpgen send ADDRESS PORT SIZE RATE SECONDS	RATE in packets/s, 0: as fast as it goes
 *	udpgen receive PORT SECONDS			at most SECONDS, or until the sender ends
 *	udpgen ping ADDRESS PORT SIZE COUNT INTERVAL	INTERVAL in microseconds between pings
 *	udpgen echo PORT
 *
 * Each prints one JSON line. Theory of operation: the sender hands batches to
 * sendmmsg(2), without GSO, at times fixed in advance; it never catches up more
 * than 2 ms of lost time, because a burst would measure queues instead of speed.
 * So it may send less than it was asked to: judge by "sent". Every datagram
 * carries a sequence number; a last few say that the run is over.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BATCH_MAX = 64,
	DATAGRAM_MIN = 16,
	DATAGRAM_MAX = 9000,
	CATCH_UP_NS = 2000000,
	TICK_US = 250, /* how much of a second one batch covers, at most */
	FAREWELLS = 20,
	SOCKET_BUFFER = 8 << 20,
	PINGS_MAX = 1000000,
};

static const uint64_t FAREWELL = UINT64_MAX;
static const uint64_t SECOND_NS = 1000000000;

/* What every datagram begins with; the rest is filler. */
struct probe {
	uint64_t sequence;
	uint64_t sent_ns;
};

struct batch {
	struct mmsghdr msgs[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	uint8_t data[BATCH_MAX][DATAGRAM_MAX];
};

static struct batch batch; /* half a megabyte: too much for a stack */

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "udpgen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t when_ns)
{
	struct timespec t = { .tv_sec = (time_t)(when_ns / SECOND_NS),
			      .tv_nsec = (long)(when_ns % SECOND_NS) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < min || n > max) {
		fprintf(stderr, "udpgen: %s is not between %" PRIu64 " and %" PRIu64 "\n", text,
			min, max);
		exit(2);
	}
	return n;
}

/* The buffer as large as we may make it: losses shall be the tunnel's, not ours. */
static void enlarge(int fd)
{
	int size = SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int connect_to(const char *address, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_DGRAM };
	struct addrinfo *to;
	int fd;

	if (getaddrinfo(address, port, &hints, &to) != 0) {
		fprintf(stderr, "udpgen: %s %s is not an address and a port\n", address, port);
		exit(2);
	}
	fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) < 0)
		fail(address);
	freeaddrinfo(to);
	enlarge(fd);
	return fd;
}

/* Both families on one socket. */
static int listen_on(const char *port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons((uint16_t)number(port, 1, 65535)) };
	int off = 0, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		fail("bind");
	enlarge(fd);
	return fd;
}

static void batch_init(size_t size)
{
	for (size_t i = 0; i < BATCH_MAX; i++) {
		batch.iov[i] = (struct iovec){ .iov_base = batch.data[i], .iov_len = size };
		batch.msgs[i].msg_hdr =
			(struct msghdr){ .msg_iov = &batch.iov[i], .msg_iovlen = 1 };
		memset(batch.data[i], (int)i, size);
	}
}

/* Offered is what counts: a full queue (ENOBUFS) or an ICMP error is loss, not an end. */
static void send_batch(int fd, unsigned int n, uint64_t first)
{
	uint64_t now = now_ns();

	for (unsigned int i = 0; i < n; i++) {
		struct probe p = { .sequence = first + i, .sent_ns = now };
		memcpy(batch.data[i], &p, sizeof(p));
	}
	for (unsigned int done = 0; done < n;) {
		int sent = sendmmsg(fd, batch.msgs + done, n - done, 0);

		if (sent < 0 && errno != ENOBUFS && errno != ECONNREFUSED && errno != EINTR &&
		    errno != EHOSTUNREACH && errno != ENETUNREACH)
			fail("sendmmsg");
		done += sent > 0 ? (unsigned int)sent : 1;
	}
}

static void say_farewell(int fd)
{
	struct probe p = { .sequence = FAREWELL };

	for (int i = 0; i < FAREWELLS; i++) {
		send(fd, &p, sizeof(p), 0);
		sleep_until(now_ns() + SECOND_NS / 100);
	}
}

static int run_send(char **arg)
{
	int fd = connect_to(arg[0], arg[1]);
	uint64_t rate = number(arg[3], 0, 100000000);
	uint64_t total_ns = number(arg[4], 1, 86400) * SECOND_NS;
	uint64_t n = rate ? rate * TICK_US / 1000000 : BATCH_MAX;
	uint64_t sent = 0;

	n = n < 1 ? 1 : n > BATCH_MAX ? BATCH_MAX : n;
	batch_init(number(arg[2], DATAGRAM_MIN, DATAGRAM_MAX));

	uint64_t start = now_ns(), end = start + total_ns, due = start;
	while (now_ns() < end) {
		send_batch(fd, (unsigned int)n, sent);
		sent += n;
		if (!rate)
			continue;
		due += n * SECOND_NS / rate;
		if (due + CATCH_UP_NS < now_ns())
			due = now_ns() - CATCH_UP_NS;
		sleep_until(due);
	}
	double took = (double)(now_ns() - start) / 1e9;

	say_farewell(fd);
	printf("{\"sent\": %" PRIu64 ", \"seconds\": %.6f}\n", sent, took);
	return 0;
}

struct tally {
	uint64_t received, bytes, reordered, next;
	uint64_t first_ns, last_ns;
	bool is_over;
};

static void count(struct tally *t, int n)
{
	uint64_t now = now_ns();

	for (int i = 0; i < n && !t->is_over; i++) {
		struct probe p;

		if (batch.msgs[i].msg_len < sizeof(p))
			continue;
		memcpy(&p, batch.data[i], sizeof(p));
		if (p.sequence == FAREWELL) {
			t->is_over = true;
			break;
		}
		t->received++;
		t->bytes += batch.msgs[i].msg_len;
		t->reordered += p.sequence < t->next;
		t->next = p.sequence >= t->next ? p.sequence + 1 : t->next;
		t->first_ns = t->first_ns ? t->first_ns : now;
		t->last_ns = now;
	}
}

static int run_receive(char **arg)
{
	int fd = listen_on(arg[0]);
	uint64_t deadline = now_ns() + number(arg[1], 1, 86400) * SECOND_NS;
	struct timeval patience = { .tv_usec = 100000 };
	struct tally t = { 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	batch_init(DATAGRAM_MAX);
	puts("listening");
	fflush(stdout);
	while (!t.is_over && now_ns() < deadline) {
		int n = recvmmsg(fd, batch.msgs, BATCH_MAX, MSG_WAITFORONE, NULL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			fail("recvmmsg");
		if (n > 0)
			count(&t, n);
	}
	printf("{\"received\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"reordered\": %" PRIu64
	       ", \"highest\": %" PRIu64 ", \"seconds\": %.6f}\n",
	       t.received, t.bytes, t.reordered, t.next,
	       (double)(t.last_ns - t.first_ns) / 1e9);
	return 0;
}

static int run_echo(char **arg)
{
	int fd = listen_on(arg[0]);
	static uint8_t data[DATAGRAM_MAX];

	puts("listening");
	fflush(stdout);
	for (;;) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);

		if (n < 0 && errno != EINTR && errno != ECONNREFUSED)
			return 1;
		if (n >= 0)
			sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Round trip of one datagram; 0 when it did not come back within the socket's patience. */
static uint64_t round_trip(int fd, uint64_t sequence, size_t size)
{
	static uint8_t data[DATAGRAM_MAX];
	struct probe p = { .sequence = sequence, .sent_ns = now_ns() }, back;

	memcpy(data, &p, sizeof(p));
	if (send(fd, data, size, 0) < 0)
		return 0;
	for (;;) {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		if (n < (ssize_t)sizeof(back))
			return 0;
		memcpy(&back, data, sizeof(back));
		if (back.sequence == sequence)
			return now_ns() - p.sent_ns;
	}
}

static int run_ping(char **arg)
{
	int fd = connect_to(arg[0], arg[1]);
	size_t size = number(arg[2], DATAGRAM_MIN, DATAGRAM_MAX);
	uint64_t wanted = number(arg[3], 1, PINGS_MAX),
		 interval = number(arg[4], 0, 1000000) * 1000;
	uint64_t *took = calloc(wanted, sizeof(*took)), lost = 0, got = 0;
	struct timeval patience = { .tv_sec = 1 };

	if (!took)
		fail("memory");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (uint64_t i = 0; i < wanted; i++) {
		uint64_t t = round_trip(fd, i, size);

		if (t)
			took[got++] = t;
		else
			lost++;
		if (interval)
			sleep_until(now_ns() + interval);
	}
	if (!got)
		return 1;
	qsort(took, got, sizeof(*took), by_value);
	printf("{\"pings\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"min_us\": %.1f, \"p50_us\": %.1f, "
	       "\"p99_us\": %.1f, \"max_us\": %.1f}\n",
	       got, lost, (double)took[0] / 1e3, (double)took[got / 2] / 1e3,
	       (double)took[got * 99 / 100] / 1e3, (double)took[got - 1] / 1e3);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments;
		int (*run)(char **arg);
	} modes[] = {
		{ "send", 5, run_send },
		{ "receive", 2, run_receive },
		{ "ping", 5, run_ping },
		{ "echo", 1, run_echo },
	};

	prctl(PR_SET_TIMERSLACK, 1);
	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) == 0 && argc == modes[i].arguments + 2)
			return modes[i].run(argv + 2);
	}
	fputs("usage: see the head of bench/udpgen.c\n", stderr);
	return 2;
}
