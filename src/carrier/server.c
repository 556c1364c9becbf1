/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/server_internal.h"
#include "carrier/tls.h"
#include "crypto/secret.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

enum { EVENTS = 64, ACCEPTS = 32, UNANSWERED_MS = 60000 };

#define SWEEP_NS (UINT64_C(1) * 1000000000)

/* --- Watching --- */

static int watch(struct carrier_server *s, int fd, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data = { .ptr = w } };
	int op = w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (w->events == events)
		return 0;
	if (epoll_ctl(s->epoll, op, fd, &e) < 0)
		return -errno;
	w->events = events;
	return 0;
}

static int watch_stream(struct connection *c)
{
	uint32_t events = EPOLLIN | EPOLLRDHUP;
	bool has_output =
		c->state == CONNECTION_ANSWERING || (c->relay && relay_wants_write(c->relay));

	if (has_output || c->stream.wants_write)
		events |= EPOLLOUT;
	if (c->state == CONNECTION_ANSWERING) /* it is read on once that is gone */
		events &= ~(uint32_t)(EPOLLIN | EPOLLRDHUP);
	return watch(c->server, c->stream.fd, &c->stream_watch, events);
}

/* --- Ending --- */

static void unlink_connection(struct connection *c)
{
	struct carrier_server *s = c->server;

	if (c->newer)
		c->newer->older = c->older;
	else
		s->newest = c->older;
	if (c->older)
		c->older->newer = c->newer;
	else
		s->oldest = c->newer;
	s->counts.connections--;
	s->counts.users -= c->is_proved;
}

/* Nothing of it is used any more; its memory stays until no event can speak of it. */
static void end(struct connection *c, const char *why)
{
	struct carrier_server *s = c->server;

	if (c->state == CONNECTION_OVER)
		return;
	if (c->is_proved)
		log_info("%s left %s: %s", c->id, c->from, why);
	else
		log_debug("%s: %s", c->from, why);
	if (c->relay)
		s->counts.dropped += relay_dropped(c->relay);
	c->relay = relay_free(c->relay);
	stream_done(&c->stream);
	datagrams_close(&c->udp);
	text_done(&c->out);
	secret_wipe(c->in, sizeof(c->in));
	secret_wipe(c->digest, sizeof(c->digest));
	unlink_connection(c);
	c->state = CONNECTION_OVER;
	c->older = s->graveyard;
	s->graveyard = c;
}

static void bury(struct carrier_server *s)
{
	while (s->graveyard) {
		struct connection *c = s->graveyard;

		s->graveyard = c->older;
		free(c);
	}
}

/* --- Letting in --- */

/* A newer one is more likely to be in use: the oldest may be of a client that is long gone. */
static void bound_key(struct carrier_server *s, const struct carrier_key *key)
{
	struct connection *oldest = NULL;
	unsigned int n = 0;

	for (struct connection *c = s->newest; c; c = c->older) {
		if (!c->is_proved || !secret_equal(c->digest, key->digest, sizeof(c->digest)))
			continue;
		oldest = c;
		n++;
	}
	if (n < SERVER_PER_KEY)
		return;
	s->counts.crowded++;
	end(oldest, "gave way to a newer connection of the same key");
}

int connection_let_in(struct connection *c, const struct carrier_key *key)
{
	int err = datagrams_connect(&c->udp, &c->server->config.target);

	if (err != 0)
		return err;
	bound_key(c->server, key);
	memcpy(c->digest, key->digest, sizeof(c->digest));
	memcpy(c->id, key->id, sizeof(c->id));
	c->is_proved = true;
	c->server->counts.proved++;
	c->server->counts.users++;
	log_info("%s came from %s over %s", c->id, c->from, carrier_kind_name(c->kind));
	return 0;
}

int connection_begin_relay(struct connection *c, enum framing_kind kind)
{
	int err = relay_new(&c->stream, &c->udp, kind, c->in, c->have, &c->relay);

	if (err != 0)
		return err;
	c->state = CONNECTION_RELAYING;
	c->deadline_ns = UINT64_MAX;
	c->have = 0;
	text_done(&c->out);
	c->udp_watch = (struct watch){ .kind = WATCH_UDP, .of = c };
	err = watch(c->server, c->udp.fd, &c->udp_watch, EPOLLIN);
	return err == 0 ? relay_from_stream(c->relay) : err;
}

/* --- Turning --- */

/* Bring a connection as far as it goes now. */
static void go_on(struct connection *c)
{
	struct diag d = { .text = "" };
	int err = 0;

	if (c->state == CONNECTION_SHAKING) {
		err = stream_shake(&c->stream, &d);
		if (err == 0) {
			c->state = CONNECTION_ASKING;
			c->deadline_ns = c->server->now_ns + SERVER_PATIENCE_NS;
		}
	}
	if (err == 0 && c->state != CONNECTION_RELAYING)
		err = c->kind == CARRIER_TCP ? connection_prove(c) : connection_http(c);
	else if (err == 0)
		err = relay_from_stream(c->relay);
	if (err == 0 && c->state == CONNECTION_RELAYING)
		err = relay_flush(c->relay, c->server->now_ns);
	if (err == 0 || err == -EAGAIN)
		err = watch_stream(c);
	if (err != 0)
		end(c, d.text[0] ? d.text : err_text(err));
}

static void take_datagrams(struct connection *c)
{
	int err = relay_from_udp(c->relay, c->server->now_ns);

	if (err == 0)
		err = watch_stream(c);
	if (err != 0)
		end(c, err_text(err));
}

static void make_room(struct carrier_server *s)
{
	struct connection *c = s->oldest;

	while (c && c->is_proved)
		c = c->newer;
	if (!c)
		return;
	s->counts.crowded++;
	end(c, "gave way to a newer connection");
}

static void name_remote(struct connection *c, const struct sockaddr_storage *name)
{
	struct endpoint e = { .port = 0 };
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	memcpy(&sin, name, sizeof(sin));
	memcpy(&sin6, name, sizeof(sin6));
	if (name->ss_family == AF_INET) {
		e.ip = ip_addr_v4((const uint8_t *)&sin.sin_addr);
		e.port = ntohs(sin.sin_port);
	} else {
		e.ip = ip_addr_v6((const uint8_t *)&sin6.sin6_addr);
		e.port = ntohs(sin6.sin6_port);
	}
	endpoint_format(&e, c->from);
}

static void add(struct carrier_server *s, enum carrier_kind kind, int fd,
		const struct sockaddr_storage *name)
{
	struct connection *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->kind = kind;
	c->state = kind == CARRIER_HTTPS ? CONNECTION_SHAKING : CONNECTION_ASKING;
	c->deadline_ns = s->now_ns + SERVER_PATIENCE_NS;
	c->udp.fd = -1;
	c->stream_watch = (struct watch){ .kind = WATCH_STREAM, .of = c };
	stream_init(&c->stream, fd, UNANSWERED_MS);
	name_remote(c, name);
	c->older = s->newest;
	if (s->newest)
		s->newest->newer = c;
	else
		s->oldest = c;
	s->newest = c;
	s->counts.connections++;
	s->counts.accepted++;
	if (kind == CARRIER_HTTPS)
		err = s->tls ? stream_secure(&c->stream, s->tls, STREAM_SERVER, NULL)
			     : -ENOTCONN;
	if (err != 0)
		end(c, err_text(err));
	else
		go_on(c);
}

static void accept_some(struct carrier_server *s, const struct listener *l)
{
	for (int i = 0; i < ACCEPTS; i++) {
		struct sockaddr_storage name = { .ss_family = AF_UNSPEC };
		socklen_t len = sizeof(name);
		int fd = accept4(l->fd, (struct sockaddr *)&name, &len,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			make_room(s);
		if (fd < 0)
			return;
		if (s->counts.connections >= SERVER_CONNECTIONS_MAX)
			make_room(s);
		if (s->counts.connections >= SERVER_CONNECTIONS_MAX)
			close(fd); /* everybody here has proved a key */
		else
			add(s, l->kind, fd, &name);
	}
}

static void heed(struct carrier_server *s, const struct watch *w)
{
	struct connection *c;

	if (w->kind == WATCH_LISTENER) {
		accept_some(s, w->of);
		return;
	}
	c = w->of;
	if (c->state == CONNECTION_OVER)
		return;
	if (w->kind == WATCH_UDP)
		take_datagrams(c);
	else
		go_on(c);
}

static void sweep(struct carrier_server *s)
{
	struct connection *c = s->oldest;

	if (s->now_ns - s->swept_ns < SWEEP_NS)
		return;
	s->swept_ns = s->now_ns;
	while (c) {
		struct connection *next = c->newer;

		if (c->deadline_ns <= s->now_ns)
			end(c, "took too long");
		c = next;
	}
}

void carrier_server_turn(struct carrier_server *s)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(s->epoll, events, EVENTS, 0);

	s->now_ns = clock_boot_ns();
	for (int i = 0; i < n; i++)
		heed(s, events[i].data.ptr);
	sweep(s);
	bury(s);
}

uint64_t carrier_server_deadline_ns(const struct carrier_server *s)
{
	return s->oldest ? s->swept_ns + SWEEP_NS : UINT64_MAX;
}

int carrier_server_fd(const struct carrier_server *s)
{
	return s->epoll;
}

/* --- Making and changing --- */

int carrier_server_new(const struct carrier_server_config *config, struct carrier_keys *keys,
		       struct site *site, struct carrier_server **ret)
{
	struct carrier_server *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s) {
		carrier_keys_free(keys);
		site_free(site);
		return -ENOMEM;
	}
	s->config = *config;
	ip_addr_format(&config->target.ip, s->target_host);
	s->keys = keys;
	s->site = site;
	s->now_ns = s->swept_ns = clock_boot_ns();
	random_fill(s->nobody, sizeof(s->nobody));
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0) {
		err = -errno;
		carrier_server_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

struct carrier_server *carrier_server_free(struct carrier_server *s)
{
	if (!s)
		return NULL;
	while (s->oldest)
		end(s->oldest, "the carrier ends");
	bury(s);
	for (size_t i = 0; i < s->n_listeners; i++)
		close(s->listeners[i].fd);
	if (s->epoll >= 0)
		close(s->epoll);
	carrier_keys_free(s->keys);
	site_free(s->site);
	tls_free(s->tls);
	secret_wipe(s->nobody, sizeof(s->nobody));
	free(s);
	return NULL;
}

int carrier_server_listen(struct carrier_server *s, enum carrier_kind kind, int fd)
{
	struct listener *l = &s->listeners[s->n_listeners];

	if (s->n_listeners == SERVER_LISTENERS_MAX) {
		close(fd);
		return ERR_LIMIT;
	}
	*l = (struct listener){ .kind = kind,
				.fd = fd,
				.watch = { .kind = WATCH_LISTENER, .of = l } };
	s->n_listeners++;
	return watch(s, fd, &l->watch, EPOLLIN);
}

void carrier_server_set_keys(struct carrier_server *s, struct carrier_keys *keys)
{
	carrier_keys_free(s->keys);
	s->keys = keys;
	for (struct connection *c = s->oldest; c;) {
		struct connection *next = c->newer;

		if (c->is_proved && !carrier_keys_find(keys, c->digest))
			end(c, "the key is gone");
		c = next;
	}
	bury(s);
}

void carrier_server_set_site(struct carrier_server *s, struct site *site)
{
	for (struct connection *c = s->oldest; c;) { /* they send from the old one */
		struct connection *next = c->newer;

		if (c->state == CONNECTION_ANSWERING && c->body)
			end(c, "the site has changed");
		c = next;
	}
	bury(s);
	site_free(s->site);
	s->site = site;
}

void carrier_server_set_tls(struct carrier_server *s, struct ssl_ctx_st *context)
{
	tls_free(s->tls); /* connections hold on to theirs */
	s->tls = context;
}

void carrier_server_count(const struct carrier_server *s, struct carrier_server_counts *ret)
{
	*ret = s->counts;
	for (const struct connection *c = s->oldest; c; c = c->newer)
		ret->dropped += c->relay ? relay_dropped(c->relay) : 0;
}
