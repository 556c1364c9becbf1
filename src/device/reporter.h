/* SPDX-License-Identifier: Apache-2.0 */
/**
 * reporter.h - A thread beside the tunnel's that tells how it does
 *
 * It is started before the filter of system calls, which covers it, and ended first.
 *
 * Threads: start and stop by one; @run is the thread's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>

struct device;

/**
 * struct reporter_options - What the thread does
 * @run:	Returns when reporter_wait() says so; NULL: there is no such thread
 */
struct reporter_options {
	void (*run)(void *context, struct device *dev, int stop_fd);
	void *context;
};

struct reporter {
	struct reporter_options options;
	struct device *dev;
	pthread_t thread;
	int stop_fd;
	bool is_running;
};

/* Without @options->run it does nothing. Return: 0 or -errno. */
int reporter_start(struct reporter *r, const struct reporter_options *options,
		   struct device *dev);
void reporter_stop(struct reporter *r);

/** reporter_wait() - In the thread: until @until_ns, boot clock. false: stop now */
bool reporter_wait(int stop_fd, uint64_t until_ns);
