/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server with a handler that only counts, over real sockets in a directory of its own. Server
 * and clients take turns in one thread: settle() lets the server do all it can.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "device/uapi_server.h"
#include "sys/clock.h"

enum { LONG_REPLY = 6 << 20, ROOM = 16 << 20 };

static char directory[] = "/tmp/test_uapi_server.XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listener, epoll_fd;
static struct uapi_server *server;
static char answer[ROOM];

/* The clock, in place of that of sys/clock.c: however slow the machine is, all that happens
 * here happens in the same second, unless a test says otherwise. */
static uint64_t now_ns = UINT64_C(5000000000);

uint64_t clock_boot_ns(void)
{
	return now_ns;
}

uint64_t clock_wall_ns(void)
{
	return now_ns;
}

/* ---- the device that is not there ---- */

static struct {
	unsigned int sets, gets, peers, prefixes;
	uint16_t listen_port;
	struct endpoint endpoint; /* of the first peer */
	int set_error;
	size_t get_bytes; /* length of the reply; 0: a line */
	int get_err;
	bool is_watched;
	unsigned int watch_changes;
	bool refuses_handover;
	bool refuses_stop;
	bool was_to_stop; /* by the question itself */
	int stops;
	bool gave_key; /* in the last reply to get */
	int handed[2];
	int ended; /* handover_end: 1 done, 2 given up */
} device;

static int on_set(void *context, const struct uapi_set *set, struct diag *d)
{
	(void)context;
	device.sets++;
	device.peers = (unsigned int)set->n_peers;
	device.prefixes = (unsigned int)set->n_allowed_ips;
	device.listen_port = set->listen_port;
	if (set->n_peers)
		device.endpoint = set->peers[0].endpoint;
	if (device.set_error)
		diag_set(d, 0, 0, "the test wants it so");
	return device.set_error;
}

static void on_get(void *context, struct text *out, enum uapi_dialect dialect,
		   bool with_private_key)
{
	(void)dialect;
	(void)context;
	device.gets++;
	device.gave_key = with_private_key;
	if (device.get_bytes == 0)
		text_printf(out, "listen_port=%u\n", device.gets);
	for (size_t i = 0; i < device.get_bytes / 16; i++)
		text_printf(out, "octets=%08zu\n", i);
	out->err = device.get_err;
}

static void on_state(void *context, struct uapi_get_device *ret)
{
	(void)context;
	ret->listen_port = 77;
	memset(ret->public_key, 0xab, sizeof(ret->public_key));
}

static void on_watched(void *context, bool is_watched)
{
	(void)context;
	device.is_watched = is_watched;
	device.watch_changes++;
}

static size_t on_handover(void *context, bool stops, struct text *out, int *fds)
{
	(void)context;
	device.was_to_stop = stops;
	if (device.refuses_handover)
		return 0;
	text_puts(out, "handover=1,0,0\n");
	fds[0] = device.handed[0];
	fds[1] = device.handed[1];
	return 2;
}

static bool on_stop(void *context, struct text *out)
{
	(void)context;
	device.stops++;
	text_puts(out, "stopped=1\n");
	return !device.refuses_stop;
}

static void on_handover_end(void *context, bool is_done)
{
	(void)context;
	device.ended = is_done ? 1 : 2;
}

/* ---- both sides ---- */

static void settle(void)
{
	struct epoll_event events[8];
	int n, rounds = 0;

	while ((n = epoll_wait(epoll_fd, events, 8, 0)) > 0) {
		for (int i = 0; i < n; i++)
			CHECK(uapi_server_event(server, events[i].data.ptr, events[i].events));
		if (++rounds == 100000) {
			FAIL("the server does not come to rest");
			break;
		}
	}
}

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	settle();
	return fd;
}

/* All of @len octets, the server taking turns. */
static void say_octets(int fd, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, data + at, len - at, MSG_NOSIGNAL);

		settle();
		if (n < 0 && errno != EAGAIN)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	settle();
}

static void say(int fd, const char *text)
{
	say_octets(fd, text, strlen(text));
}

/* What the server has answered; *@ret_open tells whether it may answer more. */
static const char *hear(int fd, bool *ret_open)
{
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, answer + at, sizeof(answer) - 1 - at, 0)) > 0) {
		at += (size_t)n;
		settle();
	}
	answer[at] = '\0';
	if (ret_open)
		*ret_open = n < 0 && errno == EAGAIN;
	return answer;
}

static bool hears(int fd, const char *what)
{
	bool is_open = false;
	const char *heard = hear(fd, &is_open);

	if (strcmp(heard, what) != 0)
		printf("# heard: \"%.200s\"\n", heard);
	return is_open && strcmp(heard, what) == 0;
}

static bool is_closed(int fd)
{
	bool is_open = false;

	hear(fd, &is_open);
	return !is_open;
}

static bool lives(int fd)
{
	char expected[64];

	say(fd, "get=1\n\n");
	snprintf(expected, sizeof(expected), "listen_port=%u\nerrno=0\n\n", device.gets);
	return hears(fd, expected);
}

static void start(void)
{
	const struct uapi_handler handler = { .set = on_set,
					      .get = on_get,
					      .state = on_state,
					      .watched = on_watched,
					      .handover = on_handover,
					      .handover_stop = on_stop,
					      .handover_end = on_handover_end };

	memset(&device, 0, sizeof(device));
	unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(listener, 128) == 0);
	CHECK(uapi_server_new((int[UAPI_DIALECTS]){ listener, -1 }, epoll_fd, &handler,
			      &server) == 0);
}

static void stop(void)
{
	server = uapi_server_free(server);
	close(listener);
	close(epoll_fd);
}

static const char *key_of(unsigned int n)
{
	static char line[128];

	snprintf(line, sizeof(line), "public_key=%064x\n", n);
	return line;
}

/* ---- operations ---- */

static void several_operations_follow_each_other_on_one_connection(void)
{
	start();
	int fd = dial();

	CHECK(lives(fd));
	say(fd, "set=1\nlisten_port=5\n\n");
	CHECK(hears(fd, "errno=0\n\n"));
	CHECK(device.sets == 1 && device.listen_port == 5);
	say(fd, "get=1\n\nset=1\nlisten_port=6\n\nget=1\n\n"); /* all at once */
	CHECK(hears(fd, "listen_port=2\nerrno=0\n\nerrno=0\n\nlisten_port=3\nerrno=0\n\n"));
	CHECK(device.sets == 2 && device.listen_port == 6);
	close(fd);
	stop();
}

/* More than one turn's worth of them: the rest must not wait for the client to say more. */
static void a_thousand_operations_in_one_write_are_all_answered(void)
{
	enum { COUNT = 1000 };
	char *asked = calloc(COUNT, 8);
	const char *heard;

	start();
	int fd = dial();

	for (int i = 0; i < COUNT; i++)
		memcpy(asked + (size_t)7 * (size_t)i, "get=1\n\n", 8);
	say(fd, asked);
	heard = hear(fd, NULL);
	CHECK(device.gets == COUNT);
	CHECK(strstr(heard, "listen_port=1000\nerrno=0\n\n"));
	CHECK(lives(fd));
	free(asked);
	close(fd);
	stop();
}

static void a_request_may_come_octet_by_octet(void)
{
	static const char request[] = "set=1\nlisten_port=77\npublic_key="
				      "00000000000000000000000000000000"
				      "00000000000000000000000000000001\n"
				      "allowed_ip=10.0.0.0/8\n\nget=1\n\n";

	start();
	int fd = dial();

	for (size_t i = 0; i < sizeof(request) - 1; i++)
		say_octets(fd, request + i, 1);
	CHECK(hears(fd, "errno=0\n\nlisten_port=1\nerrno=0\n\n"));
	CHECK(device.sets == 1 && device.listen_port == 77 && device.peers == 1 &&
	      device.prefixes == 1);
	close(fd);
	stop();
}

static void empty_lines_between_operations_mean_nothing(void)
{
	start();
	int fd = dial();

	say(fd, "\n\n\n");
	CHECK(hears(fd, ""));
	CHECK(lives(fd));
	close(fd);
	stop();
}

static void an_unknown_operation_closes_the_connection(void)
{
	static const char *const unknown[] = {
		"get=2\n\n",  "set=0\n\n",	   "help\n\n",	 "=\n\n",	 "GET=1\n\n",
		"done=1\n\n", "listen_port=1\n\n", "set=1 \n\n", "\x80\xff\n\n",
	};

	start();
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		int fd = dial();

		say(fd, unknown[i]);
		CHECK(is_closed(fd));
		close(fd);
	}
	CHECK(device.sets == 0 && device.gets == 0);
	stop();
}

static void get_with_anything_behind_it_is_refused_with_a_number_without_sign(void)
{
	start();
	int fd = dial();

	say(fd, "get=1\nlisten_port=1\n\n");
	CHECK(hears(fd, "errno=22\n\n"));
	CHECK(device.gets == 0);
	CHECK(lives(fd));
	close(fd);
	stop();
}

static void a_reply_too_large_for_memory_is_an_error_and_nothing_else(void)
{
	start();
	int fd = dial();

	device.get_err = -ENOMEM;
	say(fd, "get=1\n\n");
	CHECK(hears(fd, "errno=55\n\n"));
	device.get_err = 0;
	CHECK(lives(fd));
	close(fd);
	stop();
}

/* ---- W38: a set that is refused ---- */

static void a_refused_set_is_read_to_its_end_and_the_next_operation_works(void)
{
	static const struct {
		const char *line, *reply;
	} wrong[] = {
		{ "no equals sign", "errno=-71\n\n" },
		{ "listen_port=65536", "errno=-22\n\n" },
		{ "colour=blue", "errno=-22\n\n" },
		{ "private_key=12", "errno=-22\n\n" },
		{ "replace_peers=yes", "errno=-22\n\n" },
		{ "=", "errno=-22\n\n" },
	};

	start();
	int fd = dial();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		say(fd, "set=1\nlisten_port=5\n");
		say(fd, wrong[i].line);
		say(fd, "\nget=1\nset=1\nfwmark=7\n"); /* not operations: lines to skip */
		say(fd, key_of(1));
		say(fd, "allowed_ip=10.0.0.0/8\n\n");
		CHECK(hears(fd, wrong[i].reply));
		CHECK(device.sets == 0);
		CHECK(lives(fd));
	}
	close(fd);
	stop();
}

static void what_the_device_refuses_is_answered_with_its_number(void)
{
	start();
	int fd = dial();

	device.set_error = UAPI_EADDRINUSE;
	say(fd, "set=1\nlisten_port=1\n\n");
	CHECK(hears(fd, "errno=-98\n\n"));
	device.set_error = 0;
	say(fd, "set=1\nlisten_port=1\n\n");
	CHECK(hears(fd, "errno=0\n\n"));
	close(fd);
	stop();
}

/* However long it is, however it is cut, and whatever comes behind it. */
static void a_line_without_end_is_refused_and_the_stream_stays_usable(void)
{
	static const size_t lengths[] = {
		UAPI_LINE_MAX + 2, 2 * UAPI_LINE_MAX, 131071, 131072, 131073, 300000
	};

	start();
	for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t len = lengths[i / 2];
		char *line = malloc(len);
		int fd = dial();

		memset(line, 'a', len);
		if (i % 2) /* its newline in the same write, or in the next */
			line[len - 1] = '\n';
		say(fd, "set=1\nlisten_port=9\n");
		say_octets(fd, line, len);
		say(fd, i % 2 ? "fwmark=1\nget=1\n" : "\nfwmark=1\nget=1\n");
		CHECK(hears(fd, ""));
		say(fd, "\n");
		CHECK(hears(fd, "errno=-22\n\n"));
		CHECK(device.sets == 0);
		CHECK(lives(fd));
		free(line);
		close(fd);
	}
	stop();
}

static void a_line_of_the_greatest_length_is_read_as_a_line(void)
{
	char line[UAPI_LINE_MAX + 2];

	memset(line, 'a', sizeof(line));
	start();
	int fd = dial();

	say(fd, "set=1\n");
	say_octets(fd, line, UAPI_LINE_MAX);
	say(fd, "\n\n");
	CHECK(hears(fd, "errno=-71\n\n")); /* it has no '=' */
	say(fd, "set=1\n");
	say_octets(fd, line, UAPI_LINE_MAX + 1);
	say(fd, "\n\n");
	CHECK(hears(fd, "errno=-22\n\n"));
	CHECK(lives(fd));
	close(fd);
	stop();
}

static void a_line_without_end_that_begins_an_operation_closes(void)
{
	char *line = malloc(70000);

	start();
	int fd = dial();

	memset(line, 'a', 70000);
	say_octets(fd, line, 70000);
	CHECK(is_closed(fd));
	free(line);
	close(fd);
	stop();
}

static void a_client_that_leaves_in_the_middle_changes_nothing(void)
{
	start();
	int fd = dial();

	say(fd, "set=1\nlisten_port=5\n");
	close(fd);
	settle();
	CHECK(device.sets == 0);
	stop();
}

static void a_client_that_has_said_all_is_still_answered(void)
{
	start();
	int fd = dial();

	say(fd, "");
	CHECK(send(fd, "get=1\n\n", 7, MSG_NOSIGNAL) == 7);
	shutdown(fd, SHUT_WR);
	settle();
	CHECK(strcmp(hear(fd, NULL), "listen_port=1\nerrno=0\n\n") == 0);
	close(fd);
	stop();
}

/* ---- many, and slow ones ---- */

static void a_slow_reader_holds_up_nobody_and_gets_every_octet(void)
{
	const char *heard;
	size_t len, i = 0;

	start();
	int slow = dial(), quick = dial();

	device.get_bytes = LONG_REPLY;
	say(slow, "get=1\n\nget=1\n\n"); /* the second waits for the first to be read */
	CHECK(device.gets == 1);
	device.get_bytes = 0;
	CHECK(lives(quick));
	CHECK(device.gets == 2);
	heard = hear(slow, NULL);
	len = strlen(heard);
	while (i < LONG_REPLY / 16 && strtoul(heard + 16 * i + 7, NULL, 10) == i)
		i++;
	CHECK(i == LONG_REPLY / 16);
	CHECK(len > LONG_REPLY &&
	      strcmp(heard + LONG_REPLY, "errno=0\n\nlisten_port=3\nerrno=0\n\n") == 0);
	close(slow);
	close(quick);
	stop();
}

static void a_slow_reader_who_leaves_takes_its_reply_along(void)
{
	start();
	int slow = dial();

	device.get_bytes = LONG_REPLY;
	say(slow, "get=1\n\n");
	close(slow);
	settle();
	device.get_bytes = 0;
	int other = dial();

	CHECK(lives(other));
	close(other);
	stop();
}

static void more_than_64_connections_are_refused_until_one_leaves(void)
{
	int fds[UAPI_CONNECTIONS_MAX], more;

	start();
	for (int i = 0; i < UAPI_CONNECTIONS_MAX; i++)
		fds[i] = dial();
	more = dial();
	CHECK(is_closed(more));
	close(more);
	CHECK(lives(fds[0]) && lives(fds[UAPI_CONNECTIONS_MAX - 1]));
	close(fds[7]);
	settle();
	fds[7] = dial();
	CHECK(lives(fds[7]));
	for (int i = 0; i < UAPI_CONNECTIONS_MAX; i++)
		close(fds[i]);
	stop();
}

static void a_request_of_many_peers_is_one_request(void)
{
	enum { PEERS = 10000 };

	start();
	int fd = dial();

	say(fd, "set=1\n");
	for (unsigned int i = 1; i <= PEERS; i++) {
		say(fd, key_of(i));
		say(fd, "allowed_ip=10.0.0.1/32\n");
	}
	CHECK(device.sets == 0);
	say(fd, "\n");
	CHECK(hears(fd, "errno=0\n\n"));
	CHECK(device.sets == 1 && device.peers == PEERS && device.prefixes == PEERS);
	close(fd);
	stop();
}

/* As wg writes it: getnameinfo() gives zones of link-local addresses by name. */
static void a_zone_may_be_the_name_of_an_interface(void)
{
	start();
	int fd = dial();

	say(fd, "set=1\n");
	say(fd, key_of(1));
	say(fd, "endpoint=[fe80::1%lo]:51820\n\n");
	CHECK(hears(fd, "errno=0\n\n"));
	CHECK(device.endpoint.scope == if_nametoindex("lo") && device.endpoint.scope);
	say(fd, "set=1\n");
	say(fd, key_of(1));
	say(fd, "endpoint=[fe80::1%nosuchif]:51820\n\n");
	CHECK(hears(fd, "errno=-22\n\n"));
	close(fd);
	stop();
}

/* Nothing a client says may end the server, or leave a connection behind. */
static void random_octets_are_survived(void)
{
	static const char words[][24] = { "get=1\n", "set=1\n",	    "watch=1\n",
					  "\n",	     "\n\n",	    "listen_port=1\n",
					  "a=",	     "handover=1\n" };
	unsigned int state = 1;

	start();
	device.refuses_handover = true;
	for (int i = 0; i < 500; i++) {
		char said[400];
		size_t len = 0;
		int fd = dial();

		while (len < 300) {
			state = state * 1103515245 + 12345;
			const char *word = words[state >> 16 & 7];

			if (state >> 24 & 1) {
				memcpy(said + len, word, strlen(word));
				len += strlen(word);
			} else {
				said[len++] = (char)(state >> 8);
			}
		}
		say_octets(fd, said, len);
		close(fd);
		settle();
	}
	CHECK(!device.is_watched);
	int last = dial();

	CHECK(lives(last));
	close(last);
	stop();
}

/* ---- watch=1 ---- */

static void who_watches_is_told_and_the_device_knows_when_anybody_does(void)
{
	start();
	int first = dial(), second = dial(), other = dial();

	say(first, "watch=1\n\n");
	CHECK(hears(first, "watching=1\n\n"));
	CHECK(device.is_watched && device.watch_changes == 1);
	say(second, "watch=1\n\n");
	CHECK(hears(second, "watching=1\n\n"));
	CHECK(device.watch_changes == 1);
	uapi_server_tell(server, "block=1\n\n", 9);
	CHECK(hears(first, "block=1\n\n") && hears(second, "block=1\n\n"));
	CHECK(hears(other, ""));
	close(first);
	settle();
	CHECK(device.is_watched);
	uapi_server_tell(server, "block=2\n\n", 9);
	CHECK(hears(second, "block=2\n\n"));
	CHECK(lives(second)); /* and may still ask */
	close(second);
	settle();
	CHECK(!device.is_watched && device.watch_changes == 2);
	uapi_server_tell(server, "block=3\n\n", 9);
	CHECK(hears(other, ""));
	close(other);
	stop();
}

static void watching_twice_closes(void)
{
	start();
	int fd = dial();

	say(fd, "watch=1\n\n");
	CHECK(hears(fd, "watching=1\n\n"));
	say(fd, "watch=1\n\n");
	CHECK(is_closed(fd));
	CHECK(!device.is_watched);
	close(fd);
	stop();
}

static void a_watcher_that_does_not_read_finds_overrun_instead_of_blocks(void)
{
	static char block[65536];
	const char *heard;

	memset(block, 'b', sizeof(block));
	memcpy(block + sizeof(block) - 2, "\n\n", 2);
	start();
	int fd = dial();

	say(fd, "watch=1\n\n");
	CHECK(hears(fd, "watching=1\n\n"));
	for (int i = 0; i < 200; i++)
		uapi_server_tell(server, block, sizeof(block));
	heard = hear(fd, NULL);
	CHECK(strlen(heard) < (2 << 20));	   /* 12.5 MB were told: a bound holds */
	CHECK(strlen(heard) % sizeof(block) == 0); /* and no block is cut */
	CHECK(!strstr(heard, "overrun"));
	uapi_server_tell(server, "block=1\n\n", 9);
	CHECK(hears(fd, "overrun=1\n\nblock=1\n\n"));
	uapi_server_tell(server, "block=2\n\n", 9);
	CHECK(hears(fd, "block=2\n\n"));
	close(fd);
	stop();
}

static long resident_kib(void)
{
	long pages = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%ld %ld", &pages, &resident) == 2);
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Each time it reads as much as it was told, and stays behind by the same. */
static void a_watcher_that_is_never_done_reading_costs_no_more_than_one_that_is(void)
{
	static char block[65536], heard[sizeof(block)];
	long before;

	memset(block, 'b', sizeof(block));
	start();
	int fd = dial();

	say(fd, "watch=1\n\n");
	CHECK(hears(fd, "watching=1\n\n"));
	for (int i = 0; i < 12; i++)
		uapi_server_tell(server, block, sizeof(block));
	before = resident_kib();
	for (int i = 0; i < 1600; i++) {
		CHECK(recv(fd, heard, sizeof(heard), MSG_WAITALL) > 0);
		settle();
		uapi_server_tell(server, block, sizeof(block));
	}
	printf("# memory: %ld KiB more after 100 MiB\n", resident_kib() - before);
	CHECK(resident_kib() - before < 40 << 10);
	CHECK(!strstr(hear(fd, NULL), "overrun"));
	close(fd);
	stop();
}

/* ---- handover=1 ---- */

/* The reply, and the descriptors that came with it. */
static size_t hear_fds(int fd, char *text, size_t room, int *fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = { text, room };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	size_t came = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

	text[n > 0 ? n : 0] = '\0';
	if (c)
		memcpy(fds, CMSG_DATA(c), came * sizeof(int));
	return came;
}

/* A connection that was handed the two ends of a pipe. */
static int hand_over(void)
{
	char text[256], octet = 0;
	int fds[8], fd = dial();

	CHECK(pipe(device.handed) == 0);
	say(fd, "handover=1\n\n");
	CHECK(hear_fds(fd, text, sizeof(text) - 1, fds) == 2);
	CHECK(text[0] == 'h'); /* they come with the first octet */
	hear(fd, NULL);
	CHECK(strcmp(answer, "andover=1,0,0\nerrno=0\n\n") == 0);
	CHECK(write(device.handed[1], "x", 1) == 1 && read(fds[0], &octet, 1) == 1);
	CHECK(octet == 'x');
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(device.handed[i]);
	}
	return fd;
}

static void a_successor_that_is_ready_ends_the_old_one(void)
{
	start();
	int fd = hand_over();

	CHECK(device.ended == 0);
	say(fd, "done=1\n\n");
	CHECK(device.ended == 1 && is_closed(fd) && strcmp(answer, "errno=0\n\n") == 0);
	close(fd);
	stop();
	CHECK(device.ended == 1);
}

static void a_successor_that_cannot_hear_the_answer_ends_nobody(void)
{
	start();
	int fd = hand_over();

	CHECK(shutdown(fd, SHUT_RD) == 0);
	say(fd, "done=1\n\n");
	CHECK(device.ended == 2);
	close(fd);
	stop();
}

static void a_successor_that_goes_away_gives_everything_back(void)
{
	start();
	int fd = hand_over();

	close(fd);
	settle();
	CHECK(device.ended == 2);
	fd = hand_over();
	device.ended = 0;
	uapi_server_end_handover(server); /* it took too long */
	CHECK(device.ended == 2 && is_closed(fd));
	close(fd);
	stop();
}

/* A connection that was offered everything, and has not stopped the device. */
static int offer(void)
{
	char text[256];
	int fds[8], fd = dial();

	CHECK(pipe(device.handed) == 0);
	say(fd, "handover=2\n\n");
	CHECK(hear_fds(fd, text, sizeof(text) - 1, fds) == 2);
	hear(fd, NULL);
	CHECK(strcmp(answer, "andover=1,0,0\nerrno=0\n\n") == 0);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(device.handed[i]);
	}
	return fd;
}

static void a_successor_that_was_offered_everything_stops_it_and_then_is_done(void)
{
	start();
	int fd = offer();

	CHECK(device.stops == 0 && !device.was_to_stop);
	say(fd, "stop=1\n\n");
	CHECK(hears(fd, "stopped=1\nerrno=0\n\n") && device.stops == 1);
	say(fd, "done=1\n\n");
	CHECK(device.ended == 1 && is_closed(fd) && strcmp(answer, "errno=0\n\n") == 0);
	close(fd);
	stop();
}

static void a_successor_cannot_be_done_before_it_stopped_it(void)
{
	start();
	int fd = offer();

	say(fd, "done=1\n\n");
	CHECK(is_closed(fd) && device.stops == 0 && device.ended == 2);
	close(fd);
	stop();
}

static void only_a_successor_may_stop_it_and_only_once(void)
{
	start();
	int fd = dial();

	say(fd, "stop=1\n\n");
	CHECK(is_closed(fd) && device.stops == 0);
	close(fd);
	fd = hand_over();
	CHECK(device.was_to_stop);
	say(fd, "stop=1\n\n");
	CHECK(is_closed(fd) && device.stops == 0 && device.ended == 2);
	close(fd);
	fd = offer();
	say(fd, "stop=1\n\n");
	CHECK(hears(fd, "stopped=1\nerrno=0\n\n"));
	say(fd, "stop=1\n\n");
	CHECK(is_closed(fd) && device.stops == 1);
	close(fd);
	stop();
}

static void a_stop_that_is_refused_gives_everything_back(void)
{
	start();
	int fd = offer();

	device.refuses_stop = true;
	say(fd, "stop=1\n\n");
	CHECK(is_closed(fd) && device.ended == 2 && strcmp(answer, "errno=5\n\n") == 0);
	close(fd);
	stop();
}

static void a_limited_connection_is_offered_nothing(void)
{
	start();
	int fd = dial();

	say(fd, "limited=1\n\n");
	CHECK(hears(fd, "errno=0\n\n"));
	say(fd, "handover=2\n\n");
	CHECK(is_closed(fd));
	close(fd);
	stop();
}

/* What a successor of a later version asks first. */
static void a_version_of_the_handover_it_does_not_know_is_refused(void)
{
	int fds[8], fd;
	char text[8];

	start();
	for (const char *version = "03a"; *version; version++) {
		char question[] = "handover=?\n\n";

		question[9] = *version;
		fd = dial();
		say(fd, question);
		CHECK(hear_fds(fd, text, sizeof(text) - 1, fds) == 0 && text[0] == '\0');
		close(fd);
		settle();
	}
	CHECK(device.ended == 0);
	fd = hand_over(); /* it goes on, and knows its own */
	close(fd);
	settle();
	stop();
}

static void a_handover_that_is_refused_hands_nothing_over(void)
{
	char text[256];
	int fds[8];

	start();
	int fd = dial();

	device.refuses_handover = true;
	say(fd, "handover=1\n\n");
	CHECK(hear_fds(fd, text, sizeof(text) - 1, fds) == 0);
	CHECK(strcmp(text, "errno=5\n\n") == 0);
	CHECK(device.ended == 0 && lives(fd));
	close(fd);
	stop();
}

/* ---- limited=1 ---- */

static int dial_limited(void)
{
	int fd = dial();

	say(fd, "limited=1\n\n");
	return fd;
}

static void there_are_fewer_limited_connections_than_of_all(void)
{
	int fds[UAPI_LIMITED_MAX];

	start();
	for (int i = 0; i < UAPI_LIMITED_MAX; i++) {
		fds[i] = dial_limited();
		CHECK(hears(fds[i], "errno=0\n\n"));
	}
	say(fds[0], "limited=1\n\n"); /* the same one again is no further one */
	CHECK(hears(fds[0], "errno=0\n\n"));
	int more = dial_limited(), other = dial();

	CHECK(is_closed(more) && strcmp(answer, "errno=-16\n\n") == 0);
	CHECK(lives(other)); /* all others are as welcome as before */
	close(more);
	close(fds[0]);
	settle();
	fds[0] = dial_limited();
	CHECK(hears(fds[0], "errno=0\n\n"));
	for (int i = 0; i < UAPI_LIMITED_MAX; i++)
		close(fds[i]);
	close(other);
	stop();
}

static void say_peers(int fd, unsigned int n)
{
	char line[96];

	say(fd, "set=1\n");
	for (unsigned int i = 0; i < n; i++) {
		snprintf(line, sizeof(line), "public_key=%064x\n", i + 1);
		say(fd, line);
	}
	say(fd, "\n");
}

static void a_set_of_a_limited_connection_is_limited_too(void)
{
	start();
	int fd = dial_limited(), other = dial();

	CHECK(hears(fd, "errno=0\n\n"));
	say_peers(fd, UAPI_LIMITED_PEERS_MAX);
	CHECK(hears(fd, "errno=0\n\n") && device.peers == UAPI_LIMITED_PEERS_MAX);
	say_peers(fd, UAPI_LIMITED_PEERS_MAX + 1);
	CHECK(hears(fd, "errno=-22\n\n") && device.sets == 1);
	say_peers(other, UAPI_LIMITED_PEERS_MAX + 1);
	CHECK(hears(other, "errno=0\n\n") && device.sets == 2);
	close(fd);
	close(other);
	stop();
}

/* Octets of one endless line that are taken before the server takes no more for now. */
static size_t pour(int fd, size_t max)
{
	static char block[65536];
	size_t taken = 0;

	memset(block, 'x', sizeof(block));
	for (int refused = 0; taken < max && refused < 3; settle()) {
		ssize_t n = send(fd, block, sizeof(block), MSG_NOSIGNAL);

		refused = n < 0 ? refused + 1 : 0;
		taken += n > 0 ? (size_t)n : 0;
	}
	return taken;
}

/* The rest ends by a timer of the kernel's, which needs its second, and may have had it. */
static bool is_taken_again(int fd)
{
	struct epoll_event event;

	for (int i = 0; i < 100; i++) {
		if (pour(fd, 1) > 0)
			return true;
		epoll_wait(epoll_fd, &event, 1, 100);
	}
	return false;
}

static void a_limited_connection_moves_so_much_in_a_second_and_no_more(void)
{
	enum { MUCH = UAPI_LIMITED_OCTETS_PER_S + (8 << 20) };
	size_t taken;

	start();
	int fd = dial_limited(), gone = dial_limited(), other = dial();

	say(fd, "set=1\n"); /* a line without an operation would end it */
	say(gone, "set=1\n");
	say(other, "set=1\n");
	taken = pour(fd, MUCH);
	CHECK(taken > UAPI_LIMITED_OCTETS_PER_S && taken < MUCH);
	CHECK(pour(other, MUCH) >= MUCH);
	CHECK(pour(gone, MUCH) < MUCH);
	close(gone); /* one that rests and whose client goes away */
	settle();
	CHECK(is_taken_again(fd)); /* another second */
	close(fd);
	close(other);
	stop();
}

static void a_limited_connection_has_peers_and_counters_but_not_the_identity(void)
{
	start();
	int fd = dial(), other = dial();

	CHECK(lives(fd) && device.gave_key);
	say(fd, "limited=1\n\n");
	CHECK(hears(fd, "errno=0\n\n"));
	CHECK(lives(fd) && !device.gave_key);
	say(fd, "set=1\nprivate_key=");
	say(fd, key_of(1) + strlen("public_key="));
	say(fd, "\nset=1\nlisten_port=7\n\nset=1\nfwmark=7\n\n");
	CHECK(hears(fd, "errno=-22\n\nerrno=-22\n\nerrno=-22\n\n") && device.sets == 0);
	say(fd, "set=1\n");
	say(fd, key_of(1));
	say(fd, "\n");
	CHECK(hears(fd, "errno=0\n\n") && device.sets == 1 && device.peers == 1);
	CHECK(lives(other) && device.gave_key); /* it concerns this connection alone */
	say(fd, "handover=1\n\n");
	CHECK(is_closed(fd) && device.ended == 0);
	close(fd);
	close(other);
	stop();
}

/* ---- state=1 ---- */

/* The number in the answer; 0 when it is not one of the right form. */
static uint64_t state_of(int fd)
{
	static const char before[] =
		"listen_port=77\nculvert_public_key="
		"abababababababababababababababababababababababababababababababab\nculvert_state=";
	const char *heard;
	char *end;
	uint64_t number;

	say(fd, "state=1\n\n");
	heard = hear(fd, NULL);
	if (strncmp(heard, before, sizeof(before) - 1) != 0)
		return 0;
	number = strtoull(heard + sizeof(before) - 1, &end, 10);
	return strcmp(end, "\nerrno=0\n\n") == 0 ? number : 0;
}

static void set_a_peer(int fd)
{
	say(fd, "set=1\n");
	say(fd, key_of(1));
	say(fd, "\n");
	CHECK(hears(fd, "errno=0\n\n"));
}

static void the_state_changes_with_what_others_set_and_not_with_what_one_sets_oneself(void)
{
	start();
	int fd = dial(), limited = dial_limited(), other = dial();
	uint64_t before = state_of(fd);

	CHECK(hears(limited, "errno=0\n\n"));
	CHECK(before != 0 && state_of(fd) == before);
	set_a_peer(fd);
	set_a_peer(limited);
	CHECK(state_of(fd) == before && state_of(limited) == before);
	set_a_peer(other);
	CHECK(state_of(fd) == before + 1 && state_of(limited) == before + 1);
	device.set_error = UAPI_EINVAL; /* a refused one changes nothing */
	say(other, "set=1\n\n");
	CHECK(hears(other, "errno=-22\n\n") && state_of(fd) == before + 1);
	say(fd, "state=1\nmore=1\n\n");
	CHECK(hears(fd, "errno=22\n\n"));
	close(fd);
	close(limited);
	close(other);
	stop();
	start();
	fd = dial();
	CHECK(state_of(fd) != before); /* another process begins elsewhere */
	close(fd);
	stop();
}

static void a_limited_connection_stays_limited(void)
{
	start();
	int fd = dial();

	say(fd, "limited=1\n\nlimited=1\n\n");
	CHECK(hears(fd, "errno=0\n\nerrno=0\n\n"));
	CHECK(lives(fd) && !device.gave_key);
	say(fd, "limited=0\n\n");
	CHECK(is_closed(fd));
	close(fd);
	stop();
}

static void of_limited_connections_one_at_a_time_may_leave_a_reply_unread(void)
{
	start();
	int slow = dial_limited(), other = dial_limited(), full = dial();

	CHECK(hears(slow, "errno=0\n\n") && hears(other, "errno=0\n\n"));
	device.get_bytes = LONG_REPLY;
	say(slow, "get=1\n\n");
	CHECK(device.gets == 1);
	for (int i = 0; i < 3; i++) {
		say(other, "get=1\n\n");
		CHECK(hears(other, "errno=16\n\n")); /* nothing was made for it */
		CHECK(device.gets == 1);
	}
	say(full, "get=1\n\n"); /* it is no matter of the others */
	CHECK(device.gets == 2 && strlen(hear(full, NULL)) > LONG_REPLY);
	say(other, "set=1\nreplace_peers=true\n\n");
	CHECK(hears(other, "errno=0\n\n") && device.sets == 1);

	CHECK(strlen(hear(slow, NULL)) > LONG_REPLY);
	device.get_bytes = 0;
	CHECK(lives(other) && lives(slow));
	device.get_bytes = LONG_REPLY;
	say(slow, "get=1\n\n");
	close(slow); /* that gives it back too */
	settle();
	device.get_bytes = 0;
	CHECK(lives(other));
	close(other);
	close(full);
	stop();
}

/* ---- W39: the file ---- */

static bool has_own_run_directory;

static void a_stale_socket_is_replaced_and_a_live_one_is_left_alone(void)
{
	struct diag d = { 0 };
	struct stat st;
	char path[108];
	int first, second;

	if (!has_own_run_directory) {
		printf("# skipped: no mount namespace here\n");
		return;
	}
	uapi_path(UAPI_WIREGUARD, "wgtest", path);
	first = uapi_listen(UAPI_WIREGUARD, "wgtest", &d);
	CHECK(first >= 0 && stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
	CHECK(stat("/var/run/wireguard", &st) == 0 && (st.st_mode & 0777) == 0755);
	CHECK(uapi_listen(UAPI_WIREGUARD, "wgtest", &d) == -EADDRINUSE);
	CHECK(strstr(d.text, "wgtest") && strstr(d.text, "another process"));
	second = uapi_listen(UAPI_WIREGUARD, "wgtest2", &d);
	CHECK(second >= 0);
	close(first);
	CHECK(stat(path, &st) == 0); /* nobody removed it: stale */
	first = uapi_listen(UAPI_WIREGUARD, "wgtest", &d);
	CHECK(first >= 0);
	close(first);
	close(second);
}

static void prepare(void)
{
	CHECK(mkdtemp(directory) != NULL);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return;
	has_own_run_directory = mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
				mount("run", "/run", "tmpfs", 0, "mode=755") == 0;
}

int main(void)
{
	prepare();
	RUN(several_operations_follow_each_other_on_one_connection);
	RUN(a_thousand_operations_in_one_write_are_all_answered);
	RUN(a_request_may_come_octet_by_octet);
	RUN(empty_lines_between_operations_mean_nothing);
	RUN(an_unknown_operation_closes_the_connection);
	RUN(get_with_anything_behind_it_is_refused_with_a_number_without_sign);
	RUN(a_reply_too_large_for_memory_is_an_error_and_nothing_else);
	RUN(a_refused_set_is_read_to_its_end_and_the_next_operation_works);
	RUN(what_the_device_refuses_is_answered_with_its_number);
	RUN(a_line_without_end_is_refused_and_the_stream_stays_usable);
	RUN(a_line_of_the_greatest_length_is_read_as_a_line);
	RUN(a_line_without_end_that_begins_an_operation_closes);
	RUN(a_client_that_leaves_in_the_middle_changes_nothing);
	RUN(a_client_that_has_said_all_is_still_answered);
	RUN(a_slow_reader_holds_up_nobody_and_gets_every_octet);
	RUN(a_slow_reader_who_leaves_takes_its_reply_along);
	RUN(more_than_64_connections_are_refused_until_one_leaves);
	RUN(a_request_of_many_peers_is_one_request);
	RUN(a_zone_may_be_the_name_of_an_interface);
	RUN(random_octets_are_survived);
	RUN(who_watches_is_told_and_the_device_knows_when_anybody_does);
	RUN(watching_twice_closes);
	RUN(a_watcher_that_does_not_read_finds_overrun_instead_of_blocks);
	RUN(a_watcher_that_is_never_done_reading_costs_no_more_than_one_that_is);
	RUN(a_successor_that_is_ready_ends_the_old_one);
	RUN(a_successor_that_cannot_hear_the_answer_ends_nobody);
	RUN(a_successor_that_goes_away_gives_everything_back);
	RUN(a_successor_that_was_offered_everything_stops_it_and_then_is_done);
	RUN(a_successor_cannot_be_done_before_it_stopped_it);
	RUN(only_a_successor_may_stop_it_and_only_once);
	RUN(a_stop_that_is_refused_gives_everything_back);
	RUN(a_limited_connection_is_offered_nothing);
	RUN(a_version_of_the_handover_it_does_not_know_is_refused);
	RUN(a_handover_that_is_refused_hands_nothing_over);
	RUN(there_are_fewer_limited_connections_than_of_all);
	RUN(the_state_changes_with_what_others_set_and_not_with_what_one_sets_oneself);
	RUN(a_set_of_a_limited_connection_is_limited_too);
	RUN(a_limited_connection_moves_so_much_in_a_second_and_no_more);
	RUN(a_limited_connection_has_peers_and_counters_but_not_the_identity);
	RUN(a_limited_connection_stays_limited);
	RUN(of_limited_connections_one_at_a_time_may_leave_a_reply_unread);
	RUN(a_stale_socket_is_replaced_and_a_live_one_is_left_alone);
	unlink(address.sun_path);
	rmdir(directory);
	return DONE();
}
