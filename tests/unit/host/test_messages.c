/* SPDX-License-Identifier: Apache-2.0 */
/* Over a real socket pair; the wrong ones are sent with plain send() and sendmsg(). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/err.h"
#include "host/messages.h"

static int ours, theirs;

static void open_pair(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	ours = ends[0];
	theirs = ends[1];
}

static void close_pair(void)
{
	close(ours);
	close(theirs);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static void a_message_arrives_as_it_was_sent(void)
{
	struct host_message m = { .type = HOST_PING, .serial = 77 }, got = { 0 };
	int fd = 9;

	open_pair();
	CHECK(host_message_receive(ours, &got, &fd) == -EAGAIN);
	CHECK(host_message_send(theirs, &m, -1) == 0);
	CHECK(host_message_receive(ours, &got, &fd) == 1 && fd == -1);
	CHECK(got.type == HOST_PING && got.serial == 77 && got.error == 0);
	close_pair();
}

static void a_descriptor_travels_and_closes_on_exec(void)
{
	struct host_message m = { .type = HOST_UAPI }, got;
	struct stat sent, came;
	int fd = -1;
	int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	open_pair();
	CHECK(host_message_send(ours, &m, file) == 0);
	CHECK(host_message_receive(theirs, &got, &fd) == 1 && fd >= 0);
	CHECK(fstat(file, &sent) == 0 && fstat(fd, &came) == 0);
	CHECK(sent.st_ino == came.st_ino && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	close(fd);
	close(file);
	close_pair();
}

static void the_end_of_the_other_side_is_told(void)
{
	struct host_message m = { .type = HOST_STOP }, got;
	int fd;

	open_pair();
	close(theirs);
	CHECK(host_message_receive(ours, &got, &fd) == 0);
	CHECK(host_message_send(ours, &m, -1) == -EPIPE);
	close(ours);
}

static void a_wrong_size_is_refused(void)
{
	char bytes[64] = { HOST_READY };
	struct host_message got;
	int fd;

	open_pair();
	for (size_t len = 1; len < sizeof(bytes); len++) {
		if (len == HOST_HEADER_LEN)
			continue;
		CHECK(send(theirs, bytes, len, 0) == (ssize_t)len);
		CHECK(host_message_receive(ours, &got, &fd) == ERR_FORMAT);
	}
	close_pair();
}

static void send_fds(int n)
{
	struct host_message m = { .type = HOST_PING };
	struct iovec part = { .iov_base = &m, .iov_len = HOST_HEADER_LEN };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *item;

	header.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
	item = CMSG_FIRSTHDR(&header);
	item->cmsg_level = SOL_SOCKET;
	item->cmsg_type = SCM_RIGHTS;
	item->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memset(CMSG_DATA(item), 0, (size_t)n * sizeof(int)); /* standard input, n times */
	CHECK(sendmsg(theirs, &header, 0) == HOST_HEADER_LEN);
}

static void more_than_one_descriptor_is_refused_and_none_leaks(void)
{
	struct host_message got;
	int before, fd;

	open_pair();
	before = count_fds();
	for (int n = 2; n <= 8; n++) {
		send_fds(n);
		CHECK(host_message_receive(ours, &got, &fd) == ERR_FORMAT);
	}
	CHECK(count_fds() == before);
	close_pair();
}

static const char *judge(struct host_dialogue *d, uint32_t type, uint64_t now_ns)
{
	const struct host_message m = { .type = type };

	return host_dialogue_judge(d, &m, false, now_ns);
}

static void a_gateway_may_be_ready_once_and_ask(void)
{
	struct host_dialogue d = { 0 };

	CHECK(!judge(&d, HOST_PING, 1));
	CHECK(!judge(&d, HOST_READY, 2) && d.is_ready);
	CHECK(!judge(&d, HOST_RECONNECT, 3));
	CHECK(judge(&d, HOST_READY, 4));
}

static void a_gateway_may_not_say_what_only_the_host_says(void)
{
	struct host_dialogue d = { 0 };

	for (uint32_t type = 0; type < 1000; type++) {
		bool is_allowed = (type >= HOST_READY && type <= HOST_DRIFTED) ||
				  (type >= HOST_ACCESS_CLEAR && type <= HOST_ACCESS_CHECK);

		CHECK((judge(&d, type, type * UINT64_C(1000000000)) == NULL) == is_allowed);
	}
	CHECK(judge(&d, UINT32_MAX, 0));
}

static void fields_that_mean_nothing_must_be_zero(void)
{
	struct host_message m = { .type = HOST_RECONNECT, .serial = 1 };
	struct host_dialogue d = { 0 };

	CHECK(host_dialogue_judge(&d, &m, false, 0));
	m = (struct host_message){ .type = HOST_PING, .error = 1 };
	CHECK(host_dialogue_judge(&d, &m, false, 0));
	m = (struct host_message){ .type = HOST_PING, .serial = 1 };
	CHECK(host_dialogue_judge(&d, &m, true, 0));
	CHECK(!host_dialogue_judge(&d, &m, false, 0));
}

static void an_action_is_one_there_is_and_asked_by_who_is_ready(void)
{
	struct host_message m = { .type = HOST_ACT, .serial = 9 << 8 | HOST_ACTION_WIPE };
	struct host_dialogue d = { 0 };

	CHECK(host_dialogue_judge(&d, &m, false, 0));
	CHECK(!judge(&d, HOST_READY, 1) && !host_dialogue_judge(&d, &m, false, 1));
	for (uint64_t action = 0; action < 256; action++) {
		bool is_one = action >= HOST_ACTION_REBOOT && action <= HOST_ACTION_WIPE;

		m.serial = UINT64_MAX << 8 | action;
		CHECK((host_dialogue_judge(&d, &m, false, (2 + action) * 1000000000) == NULL) ==
		      is_one);
	}
	m.serial = HOST_ACTION_STOP_MANAGER;
	CHECK(host_dialogue_judge(&d, &m, true, UINT64_C(1000000000000)));
	m.error = 1;
	CHECK(host_dialogue_judge(&d, &m, false, UINT64_C(1000000000000)));
}

static void a_flood_is_noticed_and_a_quiet_second_forgives(void)
{
	struct host_dialogue d = { 0 };
	uint64_t now_ns = UINT64_C(5000000000);

	for (int i = 0; i < HOST_MESSAGES_PER_SECOND; i++)
		CHECK(!judge(&d, HOST_PING, now_ns + (uint64_t)i));
	CHECK(judge(&d, HOST_PING, now_ns + 999999999));
	CHECK(!judge(&d, HOST_PING, now_ns + 1000000000));
}

static void what_is_said_of_access_lists_has_a_bound_of_its_own(void)
{
	struct host_dialogue d = { 0 };

	for (int i = 0; i < HOST_ACCESS_PER_SECOND; i++)
		CHECK(!judge(&d, HOST_ACCESS_CHECK, 7));
	CHECK(!judge(&d, HOST_PING, 7) && judge(&d, HOST_ACCESS_CHECK, 7));
	CHECK(!judge(&d, HOST_ACCESS_CHECK, 1000000007));
}

static void a_body_travels_with_those_that_have_one(void)
{
	static struct host_message m = { .type = HOST_ACCESS_LIST, .serial = 5 }, got;
	int fd;

	m.access.list = 9;
	m.access.rules[255].port_last = 7;
	open_pair();
	CHECK(host_message_send(theirs, &m, -1) == 0);
	CHECK(host_message_receive(ours, &got, &fd) == 1 && fd == -1);
	CHECK(memcmp(&m, &got, sizeof(m)) == 0);
	CHECK(send(theirs, &m, HOST_HEADER_LEN, 0) == HOST_HEADER_LEN);
	CHECK(host_message_receive(ours, &got, &fd) == ERR_FORMAT);
	m.type = HOST_ACCESS_CHECK;
	CHECK(send(theirs, &m, sizeof(m), 0) == sizeof(m));
	CHECK(host_message_receive(ours, &got, &fd) == ERR_FORMAT);
	close_pair();
}

static void new_connections_are_limited_over_a_longer_time(void)
{
	struct host_dialogue d = { 0 };
	uint64_t now_ns = UINT64_C(50000000000);

	for (int i = 0; i < HOST_RECONNECTS_MAX; i++)
		CHECK(host_dialogue_may_reconnect(&d, now_ns + (uint64_t)i));
	CHECK(!host_dialogue_may_reconnect(&d, now_ns + 9999999999));
	CHECK(!judge(&d, HOST_RECONNECT, now_ns)); /* it may ask all the same */
	CHECK(host_dialogue_may_reconnect(&d, now_ns + 10000000000));
}

int main(void)
{
	RUN(a_message_arrives_as_it_was_sent);
	RUN(a_descriptor_travels_and_closes_on_exec);
	RUN(the_end_of_the_other_side_is_told);
	RUN(a_wrong_size_is_refused);
	RUN(more_than_one_descriptor_is_refused_and_none_leaks);
	RUN(a_gateway_may_be_ready_once_and_ask);
	RUN(a_gateway_may_not_say_what_only_the_host_says);
	RUN(fields_that_mean_nothing_must_be_zero);
	RUN(an_action_is_one_there_is_and_asked_by_who_is_ready);
	RUN(a_flood_is_noticed_and_a_quiet_second_forgives);
	RUN(what_is_said_of_access_lists_has_a_bound_of_its_own);
	RUN(a_body_travels_with_those_that_have_one);
	RUN(new_connections_are_limited_over_a_longer_time);
	return DONE();
}
