/* SPDX-License-Identifier: Apache-2.0 */
/**
 * namespace.h - A network of the test's own: loopback, and nothing else
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* false: not for this user. Afterwards lo is up, and we may do anything inside. */
static inline bool namespace_enter(void)
{
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, err;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ioctl(fd, SIOCSIFFLAGS, &req);
	close(fd);
	return err == 0;
}

static inline bool sysctl_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

#define SKIP_WITHOUT_NAMESPACE()                                                     \
	do {                                                                         \
		if (!namespace_enter()) {                                            \
			printf("1..0 # SKIP no network namespaces for this user\n"); \
			return 0;                                                    \
		}                                                                    \
	} while (0)
