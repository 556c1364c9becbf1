/* SPDX-License-Identifier: Apache-2.0 */
/**
 * signals.h - Signals as a descriptor: somebody wants us to end, a child has ended
 *
 * Threads: one. Children get an empty mask back from whoever starts them.
 */
#pragma once

#include <stdbool.h>

/**
 * struct signals - All zeroes is not open
 * @fd:	Readable when there is something to take
 */
struct signals {
	int fd;
	bool stop;
};

/* Block SIGTERM, SIGINT, SIGHUP and SIGCHLD, ignore SIGPIPE. 0 or -errno. */
int signals_open(struct signals *s);
void signals_close(struct signals *s);

/* Take what is there. Return: true once somebody wanted us to end, and from then on. */
bool signals_take(struct signals *s);
