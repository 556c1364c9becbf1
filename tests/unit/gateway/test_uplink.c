/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "gateway/uplink.h"
#include "host/messages.h"
#include "sys/clock.h"

static struct uplink *u;
static int host; /* the host's end */
static int restarts, stops, hand_ons;

static void restarted(void *context)
{
	(void)context;
	restarts++;
}

static void stopped(void *context)
{
	(void)context;
	stops++;
}

static void handed_on(void *context)
{
	(void)context;
	hand_ons++;
}

static void start(void)
{
	const struct uplink_events events = { .device_restarted = restarted,
					      .stop = stopped,
					      .hand_on = handed_on };
	int ends[2];

	restarts = stops = hand_ons = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0 ||
	    uplink_new(ends[0], &events, &u) != 0)
		abort();
	host = ends[1];
}

static void end(void)
{
	uplink_free(u);
	close(host);
}

static void say(uint32_t type, uint32_t error, int fd)
{
	const struct host_message m = { .type = type, .error = error };

	CHECK(host_message_send(host, &m, fd) == 0);
}

static uint32_t heard(void)
{
	struct pollfd p = { .fd = host, .events = POLLIN };
	struct host_message m = { .type = 0 };
	int fd = -1;

	poll(&p, 1, 2000);
	CHECK(host_message_receive(host, &m, &fd) == 1 && fd == -1);
	return m.type;
}

/* A thread that asks for a socket. */
struct asker {
	pthread_t thread;
	int err;
	int fd;
};

static void *ask(void *argument)
{
	struct asker *a = argument;

	a->fd = -1;
	a->err = uplink_connect(u, &a->fd);
	return NULL;
}

static void begin(struct asker *a)
{
	if (pthread_create(&a->thread, NULL, ask, a) != 0)
		abort();
	CHECK(heard() == HOST_RECONNECT);
}

static void whoever_asks_gets_the_socket(void)
{
	struct asker a;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	start();
	begin(&a);
	say(HOST_PONG, 0, -1);
	say(HOST_DEVICE_RESTARTED, 0, -1); /* may stand in between */
	say(HOST_UAPI, 0, null);
	CHECK(uplink_read(u));
	pthread_join(a.thread, NULL);
	CHECK(a.err == 0 && a.fd >= 0 && fcntl(a.fd, F_GETFD) == FD_CLOEXEC);
	CHECK(restarts == 1 && stops == 0);
	close(a.fd);
	close(null);
	end();
}

static void two_who_ask_get_one_each_or_the_hosts_error(void)
{
	struct asker a, b;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	start();
	begin(&a);
	begin(&b);
	say(HOST_UAPI, ENOENT, -1);
	say(HOST_UAPI, 0, null);
	CHECK(uplink_read(u));
	pthread_join(a.thread, NULL);
	pthread_join(b.thread, NULL);
	CHECK((a.err == -ENOENT && b.err == 0) || (b.err == -ENOENT && a.err == 0));
	close(a.fd >= 0 ? a.fd : b.fd);
	close(null);
	end();
}

static void waiting_has_an_end_and_a_late_socket_is_closed(void)
{
	struct asker a;
	int pipes[2];
	char c;

	start();
	begin(&a);
	pthread_join(a.thread, NULL);
	CHECK(a.err == -ETIMEDOUT && a.fd == -1);
	if (pipe2(pipes, O_CLOEXEC) != 0)
		abort();
	say(HOST_UAPI, 0, pipes[1]);
	close(pipes[1]);
	CHECK(uplink_read(u));
	CHECK(read(pipes[0], &c, 1) == 0); /* nobody holds the other end */
	close(pipes[0]);
	end();
}

static void says_ready_and_hears_stop(void)
{
	start();
	CHECK(uplink_ready(u) == 0 && heard() == HOST_READY);
	CHECK(uplink_read(u)); /* nothing there */
	say(HOST_STOP, 0, -1);
	CHECK(uplink_read(u) && stops == 1);
	say(HOST_HAND_ON, 0, -1);
	CHECK(uplink_read(u) && hand_ons == 1 && stops == 1);
	end();
}

static void a_host_that_is_gone_or_talks_nonsense_ends_it(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	start();
	say(HOST_READY, 0, -1);
	CHECK(!uplink_read(u));
	end();
	start();
	say(4711, 0, -1);
	CHECK(!uplink_read(u));
	end();
	start();
	say(HOST_PONG, 0, null);
	CHECK(!uplink_read(u));
	end();
	start();
	CHECK(send(host, "short", 5, 0) == 5);
	CHECK(!uplink_read(u));
	end();
	start();
	shutdown(host, SHUT_RDWR);
	CHECK(!uplink_read(u));
	end();
	close(null);
}

static struct host_message list;

static void *answer_access(void *argument)
{
	static struct host_message m;
	struct pollfd p = { .fd = host, .events = POLLIN };
	int fd = -1;

	poll(&p, 1, 2000);
	CHECK(host_message_receive(host, &m, &fd) == 1 && m.type == HOST_ACCESS_LIST);
	CHECK(m.access.list == 7 && m.serial == list.serial);
	m.type = HOST_ACCESS_DONE;
	m.error = *(const uint32_t *)argument;
	m.serial--; /* late, of the one before */
	CHECK(host_message_send(host, &m, -1) == 0);
	say(HOST_DEVICE_RESTARTED, 0, -1);
	m.serial++;
	CHECK(host_message_send(host, &m, -1) == 0);
	return NULL;
}

static void who_asks_about_access_lists_reads_while_nobody_else_does(void)
{
	uint32_t error = 0;
	pthread_t other;

	start();
	list = (struct host_message){ .type = HOST_ACCESS_LIST, .access.list = 7 };
	for (int i = 0; i < 2; i++) {
		list.serial = (uint64_t)i + 1;
		pthread_create(&other, NULL, answer_access, &error);
		CHECK(uplink_access(u, &list) == (error ? -1006 : 0));
		pthread_join(other, NULL);
		error = 1006;
	}
	CHECK(restarts == 2);
	end();
}

static void *ask_access(void *result)
{
	*(int *)result = uplink_access(u, &list);
	return NULL;
}

static void an_answer_about_access_lists_reaches_the_thread_that_waits(void)
{
	uint32_t error = 22;
	int result = 1;
	pthread_t asking, other;
	struct pollfd p;

	start();
	uplink_attend(u, true);
	list = (struct host_message){ .type = HOST_ACCESS_LIST, .serial = 1, .access.list = 7 };
	pthread_create(&other, NULL, answer_access, &error);
	pthread_create(&asking, NULL, ask_access, &result);
	pthread_join(other, NULL);
	p = (struct pollfd){ .fd = uplink_fd(u), .events = POLLIN };
	CHECK(poll(&p, 1, 2000) == 1 && uplink_read(u));
	pthread_join(asking, NULL);
	CHECK(result == -22 && restarts == 1);
	end();
}

static void who_waits_reads_alone_when_the_reader_goes_away(void)
{
	uint32_t error = 0;
	int result = 1;
	pthread_t asking, other;

	start();
	uplink_attend(u, true);
	list = (struct host_message){ .type = HOST_ACCESS_LIST, .serial = 1, .access.list = 7 };
	pthread_create(&asking, NULL, ask_access, &result);
	pthread_create(&other, NULL, answer_access, &error);
	pthread_join(other, NULL);
	CHECK(result == 1);
	uplink_attend(u, false);
	pthread_join(asking, NULL);
	CHECK(result == 0 && restarts == 1);
	end();
}

/* It waits ten seconds otherwise: as long as the host has patience. */
static void a_host_that_stops_keeps_nobody_waiting(void)
{
	uint64_t began_ns;
	int fd = -1;

	start();
	list = (struct host_message){ .type = HOST_ACCESS_LIST, .access.list = 7 };
	began_ns = clock_boot_ns();
	say(HOST_STOP, 0, -1);
	CHECK(uplink_access(u, &list) < 0 && stops == 1);
	CHECK(uplink_access(u, &list) == -ECANCELED);
	CHECK(uplink_connect(u, &fd) == -ECANCELED && fd < 0);
	CHECK(clock_boot_ns() - began_ns < UINT64_C(1000000000));
	end();
}

int main(void)
{
	RUN(whoever_asks_gets_the_socket);
	RUN(two_who_ask_get_one_each_or_the_hosts_error);
	RUN(waiting_has_an_end_and_a_late_socket_is_closed);
	RUN(says_ready_and_hears_stop);
	RUN(a_host_that_is_gone_or_talks_nonsense_ends_it);
	RUN(who_asks_about_access_lists_reads_while_nobody_else_does);
	RUN(who_waits_reads_alone_when_the_reader_goes_away);
	RUN(an_answer_about_access_lists_reaches_the_thread_that_waits);
	RUN(a_host_that_stops_keeps_nobody_waiting);
	return DONE();
}
