/* SPDX-License-Identifier: Apache-2.0 */
#include "device/reporter.h"

#include <errno.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sys/clock.h"

static void *run(void *context)
{
	struct reporter *r = context;

	r->options.run(r->options.context, r->dev, r->stop_fd);
	return NULL;
}

int reporter_start(struct reporter *r, const struct reporter_options *options,
		   struct device *dev)
{
	int err;

	*r = (struct reporter){ .options = *options, .dev = dev, .stop_fd = -1 };
	if (!options->run)
		return 0;
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (r->stop_fd < 0)
		return -errno;
	err = pthread_create(&r->thread, NULL, run, r);
	r->is_running = err == 0;
	if (err != 0)
		close(r->stop_fd);
	return -err;
}

void reporter_stop(struct reporter *r)
{
	if (!r->is_running)
		return;
	eventfd_write(r->stop_fd, 1);
	pthread_join(r->thread, NULL);
	close(r->stop_fd);
	r->is_running = false;
}

bool reporter_wait(int stop_fd, uint64_t until_ns)
{
	for (;;) {
		struct pollfd p = { .fd = stop_fd, .events = POLLIN };
		uint64_t now_ns = clock_boot_ns();
		uint64_t ms = until_ns > now_ns ? (until_ns - now_ns) / 1000000 + 1 : 0;

		if (poll(&p, 1, ms > 60000 ? 60000 : (int)ms) > 0)
			return false;
		if (clock_boot_ns() >= until_ns)
			return true;
	}
}
