/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "carrier/dial.h"
#include "carrier/relay.h"
#include "carrier/tls.h"
#include "crypto/secret.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

enum {
	FIRST_PAUSE_MS = 250,
	LONGEST_PAUSE_MS = 8000,
	KEPT_BLOCKS = 8,      /* of what waited for the stream */
	WAITING_MOST = 10000, /* blocks; the socket's buffer holds less */
};

struct carrier_client {
	struct carrier_client_config config;
	struct ssl_ctx_st *tls;
	struct datagrams udp;
	struct dialed dialed;
	unsigned int pause_ms;
	atomic_bool is_held;
	pthread_mutex_t lock;		   /* of @state */
	struct carrier_client_state state; /* what others may look at */
};

int carrier_client_new(const struct carrier_client_config *config, struct carrier_client **ret,
		       struct diag *d)
{
	struct carrier_client *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->config = *config;
	c->udp.fd = -1;
	c->dialed.stream.fd = -1;
	c->pause_ms = FIRST_PAUSE_MS;
	pthread_mutex_init(&c->lock, NULL);
	if (config->url.kind == CARRIER_HTTPS)
		err = tls_client(config->ca_path, config->has_pin ? config->pin : NULL, &c->tls,
				 d);
	if (err == 0) {
		err = datagrams_listen(&c->udp, &config->listen);
		if (err != 0)
			diag_set(d, err, 0, "port %u cannot be opened: %s", config->listen.port,
				 err_text(err));
	}
	if (err != 0) {
		carrier_client_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

struct carrier_client *carrier_client_free(struct carrier_client *c)
{
	if (!c)
		return NULL;
	datagrams_close(&c->udp);
	tls_free(c->tls);
	pthread_mutex_destroy(&c->lock);
	secret_wipe(c->config.key, sizeof(c->config.key));
	secret_wipe(c->config.via.key, sizeof(c->config.via.key));
	free(c);
	return NULL;
}

uint16_t carrier_client_port(const struct carrier_client *c)
{
	return datagrams_port(&c->udp);
}

void carrier_client_state(struct carrier_client *c, struct carrier_client_state *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->state;
	pthread_mutex_unlock(&c->lock);
}

void carrier_client_hold(struct carrier_client *c, bool is_held)
{
	atomic_store(&c->is_held, is_held);
}

void carrier_client_hear_only(struct carrier_client *c, uint16_t port)
{
	datagrams_hear_only(&c->udp, port);
}

void carrier_client_forget(struct carrier_client *c)
{
	pthread_mutex_lock(&c->lock);
	c->state.err = 0;
	c->state.is_up = false;
	c->state.text[0] = '\0';
	pthread_mutex_unlock(&c->lock);
	c->pause_ms = FIRST_PAUSE_MS;
}

static void note(struct carrier_client *c, bool is_up, int err, const char *text)
{
	bool is_new;

	pthread_mutex_lock(&c->lock);
	is_new = is_up != c->state.is_up || strcmp(text, c->state.text) != 0;
	c->state.is_up = is_up;
	c->state.err = err;
	c->state.connects += is_up;
	snprintf(c->state.text, sizeof(c->state.text), "%s", text);
	pthread_mutex_unlock(&c->lock);
	if (is_new && is_up)
		log_info("connected to %s over %s", c->config.url.authority,
			 carrier_kind_name(c->config.url.kind));
	else if (is_new)
		log_warning("%s", text);
}

static void count(struct carrier_client *c, const struct relay *r,
		  const struct carrier_client_state *before)
{
	const struct relay_counts *n = relay_counts(r);

	pthread_mutex_lock(&c->lock);
	c->state.in_datagrams = before->in_datagrams + n->in_datagrams;
	c->state.out_datagrams = before->out_datagrams + n->out_datagrams;
	c->state.dropped = before->dropped + relay_dropped(r);
	pthread_mutex_unlock(&c->lock);
}

/* Return: -ECANCELED: to stop; 0: the pause is over. */
static int rest(int stop_fd, unsigned int ms)
{
	struct pollfd p = { .fd = stop_fd, .events = POLLIN };

	return poll(&p, 1, (int)ms) > 0 ? -ECANCELED : 0;
}

static int pause_a_while(struct carrier_client *c, int stop_fd)
{
	uint16_t shake = 0;
	unsigned int ms = c->pause_ms;

	random_fill(&shake, sizeof(shake)); /* many clients must not come back as one */
	c->pause_ms = ms * 2 < LONGEST_PAUSE_MS ? ms * 2 : LONGEST_PAUSE_MS;
	return rest(stop_fd, ms * 3 / 4 + ms / 2 * shake / UINT16_MAX);
}

static int connect_once(struct carrier_client *c, int stop_fd, struct diag *d)
{
	const struct dial_to to = { .url = &c->config.url,
				    .via = &c->config.via,
				    .key = c->config.key,
				    .target = &c->config.target,
				    .tls = c->tls,
				    .pin = c->config.has_pin ? c->config.pin : NULL,
				    .mark = c->config.mark,
				    .device = c->config.device[0] ? c->config.device : NULL,
				    .stop_fd = stop_fd };

	return carrier_dial(&to, &c->dialed, d);
}

static int turn(struct carrier_client *c, struct relay *r, int stop_fd)
{
	short out = relay_wants_write(r) || c->dialed.stream.wants_write ? POLLOUT : 0;
	struct pollfd fds[] = {
		{ .fd = c->dialed.stream.fd, .events = (short)(POLLIN | out) },
		{ .fd = c->udp.fd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	int err = 0;

	if (poll(fds, 3, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[2].revents)
		return -ECANCELED;
	relay_hold(r, atomic_load(&c->is_held));
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		err = relay_from_stream(r);
	if (err == 0 && fds[0].revents & POLLOUT)
		err = relay_flush(r, clock_boot_ns());
	if (err == 0 && fds[1].revents)
		err = relay_from_udp(r, clock_boot_ns());
	return err;
}

/* struct block - What one call received */
struct block {
	size_t len;
	size_t segment;
	uint8_t data[DATAGRAMS_BLOCK];
};

/* What came while there was no stream is old, but for the last: that may be the beginning of a
 * handshake, which WireGuard would repeat only after five seconds. */
static void catch_up(struct carrier_client *c, struct relay *r)
{
	struct block *blocks = malloc(KEPT_BLOCKS * sizeof(*blocks));
	size_t n = 0, first;

	while (blocks && n < WAITING_MOST) {
		struct block *b = &blocks[n % KEPT_BLOCKS];
		int len = datagrams_receive(&c->udp, b->data, &b->segment);

		if (len <= 0)
			break;
		b->len = (size_t)len;
		n++;
	}
	first = n > KEPT_BLOCKS ? n - KEPT_BLOCKS : 0;
	for (size_t i = first; i < n; i++) {
		const struct block *b = &blocks[i % KEPT_BLOCKS];

		relay_offer(r, clock_boot_ns(), b->data, b->len, b->segment);
	}
	free(blocks);
}

/* As long as the stream lives. Return: -ECANCELED: to stop; whatever else ended it. */
static int relay_on(struct carrier_client *c, int stop_fd)
{
	struct carrier_client_state before;
	struct relay *r = NULL;
	int err = relay_new(&c->dialed.stream, &c->udp, c->dialed.framing, c->dialed.early,
			    c->dialed.early_len, &r);

	carrier_client_state(c, &before);
	if (err == 0) {
		catch_up(c, r);
		err = relay_flush(r, clock_boot_ns());
	}
	if (err == 0)
		err = relay_from_stream(r);
	while (err == 0) {
		err = turn(c, r, stop_fd);
		count(c, r, &before);
		if (relay_counts(r)->in_datagrams >
		    0) /* it is a path, and not only a connection */
			c->pause_ms = FIRST_PAUSE_MS;
	}
	relay_free(r);
	return err;
}

int carrier_client_run(struct carrier_client *c, int stop_fd)
{
	int err = 0;

	while (err != -ECANCELED) {
		struct diag d = { .text = "" };

		err = connect_once(c, stop_fd, &d);
		if (err == 0) {
			note(c, true, 0, "");
			err = relay_on(c, stop_fd);
			stream_done(&c->dialed.stream);
			diag_set(&d, err, 0, "the connection to %s ended: %s",
				 c->config.url.authority, err_text(err));
		}
		if (err != -ECANCELED) {
			note(c, false, err, d.text);
			err = pause_a_while(c, stop_fd);
		}
	}
	pthread_mutex_lock(&c->lock);
	c->state.is_up = false;
	pthread_mutex_unlock(&c->lock);
	return 0;
}
