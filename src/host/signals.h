/* SPDX-License-Identifier: Apache-2.0 */
/**
 * signals.h - Signals as a descriptor: somebody wants us to end or to be replaced, a child has ended
 *
 * SIGUSR2 asks for the program to be replaced. SIGHUP does, too, except below a terminal: there
 * it says that the terminal has gone.
 *
 * Threads: one. Children get an empty mask back from whoever starts them.
 */
#pragma once

#include <stdbool.h>

/**
 * struct signals - All zeroes is not open
 * @fd:	Readable when there is something to take
 * @upgrade: Asked for; whoever heeds it clears it
 */
struct signals {
	int fd;
	bool stop;
	bool upgrade;
	bool has_terminal;
};

/* Block SIGTERM, SIGINT, SIGHUP, SIGUSR2 and SIGCHLD, ignore SIGPIPE. 0 or -errno. */
int signals_open(struct signals *s);
void signals_close(struct signals *s);

/* Take what is there. Return: true once somebody wanted us to end, and from then on. */
bool signals_take(struct signals *s);
