/* SPDX-License-Identifier: Apache-2.0 */
#include "host/signals.h"

#include <errno.h>
#include <signal.h>

#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int signals_open(struct signals *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->stop = false;
	s->upgrade = false;
	s->has_terminal = has_terminal();
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->fd < 0 ? -errno : 0;
}

void signals_close(struct signals *s)
{
	if (s->fd > 0)
		close(s->fd);
	s->fd = 0;
}

static void heed(struct signals *s, int number)
{
	if (number == SIGUSR2 || (number == SIGHUP && !s->has_terminal))
		s->upgrade = true;
	else if (number != SIGCHLD)
		s->stop = true;
}

bool signals_take(struct signals *s)
{
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		heed(s, (int)info.ssi_signo);
	return s->stop;
}
