/* SPDX-License-Identifier: Apache-2.0 */
/* The views themselves are in tests/system. Here: a root that cannot have one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "host/view.h"

enum { NOBODY = 65534 };

static char base[] = "/tmp/culvert-view-XXXXXX";
static int told[2];

/* In a child: there is no way out of a chroot. */
static void open_in_a_chroot(void)
{
	struct diag d = { .text = "" };
	struct view v;

	if (chroot(base) < 0 || chdir("/") < 0)
		_exit(2);
	if (view_open(&v, "/run", "wg0", "/private/state", NOBODY, NOBODY, &d) != -EINVAL)
		_exit(1);
	_exit(write(told[1], d.text, strlen(d.text)) < 0);
}

static void a_root_that_is_no_mount_is_named_with_what_to_do(void)
{
	char text[DIAG_TEXT_MAX] = "";
	int status = -1;
	pid_t pid;

	CHECK(pipe(told) == 0);
	pid = fork();
	if (pid == 0)
		open_in_a_chroot();
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	close(told[1]);
	CHECK(read(told[0], text, sizeof(text) - 1) > 0);
	close(told[0]);
	CHECK(strstr(text, "/private/state") && strstr(text, "mount --bind"));
}

static const char *const directories[] = { "/run", "/private", "/private/state" };

static const char *path_of(size_t i)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s%s", base, directories[i]);
	return path;
}

int main(void)
{
	if (geteuid() != 0) {
		printf("1..0 # SKIP chroot needs root\n");
		return 0;
	}
	umask(077);
	CHECK(mkdtemp(base));
	for (size_t i = 0; i < 3; i++)
		CHECK(mkdir(path_of(i), 0700) == 0);
	RUN(a_root_that_is_no_mount_is_named_with_what_to_do);
	for (size_t i = 3; i-- > 0;)
		rmdir(path_of(i));
	rmdir(base);
	return DONE();
}
