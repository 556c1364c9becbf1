/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/carrier_way.h"

#include <errno.h>

#include <sys/eventfd.h>
#include <unistd.h>

int carrier_way_open(struct carrier_way *w, const struct carrier_client_config *config,
		     struct diag *d)
{
	int err;

	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->stop_fd < 0)
		return diag_set(d, -errno, 0, "%s", err_text(-errno));
	err = carrier_client_new(config, &w->client, d);
	if (err == 0)
		w->port = carrier_client_port(w->client);
	else
		close(w->stop_fd);
	return err;
}

void carrier_way_close(struct carrier_way *w)
{
	if (!w->client)
		return;
	carrier_way_stop(w);
	w->client = carrier_client_free(w->client);
	close(w->stop_fd);
}

static void *run(void *context)
{
	struct carrier_way *w = context;

	carrier_client_run(w->client, w->stop_fd);
	return NULL;
}

int carrier_way_start(struct carrier_way *w)
{
	int err;

	if (w->runs)
		return 0;
	carrier_client_forget(w->client);
	err = pthread_create(&w->thread, NULL, run, w);
	w->runs = err == 0;
	return -err;
}

void carrier_way_stop(struct carrier_way *w)
{
	eventfd_t spent;

	if (!w->runs)
		return;
	eventfd_write(w->stop_fd, 1);
	pthread_join(w->thread, NULL);
	eventfd_read(w->stop_fd, &spent);
	w->runs = false;
}

void carrier_way_hold(struct carrier_way *w, bool is_held)
{
	carrier_client_hold(w->client, is_held);
}

bool carrier_way_has_failed(struct carrier_way *w)
{
	struct carrier_client_state s;

	carrier_client_state(w->client, &s);
	return !s.is_up && s.err != 0;
}
