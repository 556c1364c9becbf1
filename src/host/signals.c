/* SPDX-License-Identifier: Apache-2.0 */
#include "host/signals.h"

#include <errno.h>
#include <signal.h>

#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(struct signals *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->stop = false;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->fd < 0 ? -errno : 0;
}

void signals_close(struct signals *s)
{
	if (s->fd > 0)
		close(s->fd);
	s->fd = 0;
}

bool signals_take(struct signals *s)
{
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->stop = s->stop || info.ssi_signo != SIGCHLD;
	return s->stop;
}
