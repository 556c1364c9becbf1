/* SPDX-License-Identifier: Apache-2.0 */
/* A socket of ours stands where the service manager's would. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "sys/notify.h"

/* Listen on @name ('@': abstract) and put it into the environment. Return: the descriptor. */
static int manager(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path, name, strlen(name));
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	CHECK(bind(fd, (struct sockaddr *)&at,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	setenv("NOTIFY_SOCKET", name, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return fd;
}

static void check_told(int fd, const char *expected)
{
	char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	CHECK(n >= 0);
	text[n > 0 ? n : 0] = '\0';
	CHECK(strcmp(text, expected) == 0);
}

static void a_path_is_told(void)
{
	char directory[] = "/tmp/notify-XXXXXX", name[64];
	struct notify n;

	CHECK(mkdtemp(directory) != NULL);
	snprintf(name, sizeof(name), "%s/socket", directory);

	int fd = manager(name);

	CHECK(notify_open(&n) == 0);
	CHECK(n.watchdog_ns == 0);
	CHECK(notify_send(&n, "READY=1\nSTATUS=x") == 0);
	check_told(fd, "READY=1\nSTATUS=x");
	close(fd);
	CHECK(notify_send(&n, "READY=1") == -ECONNREFUSED);
	notify_close(&n);
	unlink(name);
	rmdir(directory);
}

static void an_abstract_name_is_told(void)
{
	char name[64];
	struct notify n;

	snprintf(name, sizeof(name), "@culvert-notify-%d", (int)getpid());

	int fd = manager(name);

	CHECK(notify_open(&n) == 0);
	CHECK(notify_send(&n, "STOPPING=1") == 0);
	check_told(fd, "STOPPING=1");
	notify_close(&n);
	close(fd);
}

static void without_the_variable_nothing_is_said_and_nothing_fails(void)
{
	struct notify n;

	unsetenv("NOTIFY_SOCKET");
	CHECK(notify_open(&n) == 0);
	CHECK(notify_send(&n, "READY=1") == 0);
	notify_close(&n);
	setenv("NOTIFY_SOCKET", "", 1);
	CHECK(notify_open(&n) == 0);
	CHECK(notify_send(&n, "READY=1") == 0);
}

static void addresses_of_another_form_are_refused(void)
{
	char longest[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	static const char *const wrong[] = { "relative", "vsock:2:1", "/", "@" };
	struct notify n;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		setenv("NOTIFY_SOCKET", wrong[i], 1);
		CHECK(notify_open(&n) == -EINVAL);
		CHECK(notify_send(&n, "READY=1") == 0);
	}
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	CHECK(notify_open(&n) == -EINVAL);
	longest[sizeof(longest) - 2] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	CHECK(notify_open(&n) == 0);
	notify_close(&n);
}

static void a_watchdog_counts_only_for_the_process_it_names(void)
{
	char pid[16];
	struct notify n;
	int fd = manager("@culvert-notify-watchdog");

	setenv("WATCHDOG_USEC", "30000000", 1);
	CHECK(notify_open(&n) == 0);
	CHECK(n.watchdog_ns == UINT64_C(30000000000));
	notify_close(&n);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	CHECK(notify_open(&n) == 0);
	CHECK(n.watchdog_ns == UINT64_C(30000000000));
	notify_close(&n);
	setenv("WATCHDOG_PID", "1", 1);
	CHECK(notify_open(&n) == 0);
	CHECK(n.watchdog_ns == 0);
	notify_close(&n);
	close(fd);
}

static void a_watchdog_that_is_no_time_is_refused(void)
{
	static const char *const wrong[] = { "", "0", "-1", "x", "18446744073709551615" };
	struct notify n;
	int fd = manager("@culvert-notify-refused");

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		setenv("WATCHDOG_USEC", wrong[i], 1);
		CHECK(notify_open(&n) == -EINVAL);
		CHECK(n.len == 0);
	}
	close(fd);
}

static void a_manager_that_does_not_read_holds_nobody_up(void)
{
	struct notify n;
	int fd = manager("@culvert-notify-full"), err = 0;

	CHECK(notify_open(&n) == 0);
	for (int i = 0; i < 100000 && err == 0; i++)
		err = notify_send(&n, "STATUS=again");
	CHECK(err == -EAGAIN);
	notify_close(&n);
	close(fd);
}

int main(void)
{
	RUN(a_path_is_told);
	RUN(an_abstract_name_is_told);
	RUN(without_the_variable_nothing_is_said_and_nothing_fails);
	RUN(addresses_of_another_form_are_refused);
	RUN(a_watchdog_counts_only_for_the_process_it_names);
	RUN(a_watchdog_that_is_no_time_is_refused);
	RUN(a_manager_that_does_not_read_holds_nobody_up);
	return DONE();
}
