/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/connect_udp.h"
#include "crypto/secret.h"
#include "proxy/address.h"
#include "proxy/answer.h"
#include "proxy/internal.h"

#define BIT(n) (1U << (n))

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

/* Where each state may lead. Anything else is a bug in this file. */
static const unsigned int exits[] = {
	[CLIENT_READING] = BIT(CLIENT_RESOLVING) | BIT(CLIENT_DIALING) | BIT(CLIENT_PARTING) |
			   BIT(CLIENT_GONE),
	[CLIENT_RESOLVING] = BIT(CLIENT_DIALING) | BIT(CLIENT_PARTING) | BIT(CLIENT_GONE),
	[CLIENT_DIALING] = BIT(CLIENT_RELAYING) | BIT(CLIENT_PARTING) | BIT(CLIENT_GONE),
	[CLIENT_RELAYING] = BIT(CLIENT_GONE),
	[CLIENT_PARTING] = BIT(CLIENT_GONE),
	[CLIENT_GONE] = 0,
};

/* The only place that writes @state. */
static void enter(struct client *c, enum client_state to)
{
	assert(exits[c->state] & BIT(to));
	if (c->state == CLIENT_READING)
		c->loop->n_reading--;
	c->state = (uint8_t)to;
}

void client_set_timer(struct client *c, enum timer which)
{
	c->timer_of = (uint8_t)which;
	c->since_ns = c->loop->now_ns;
	link_append(&c->loop->timers[which], &c->timer);
}

static void drop_head(struct client *c)
{
	if (c->head)
		secret_wipe(c->head, REQUEST_HEAD_MAX);
	free(c->head);
	c->head = NULL;
}

static void drop_question(struct client *c)
{
	if (!c->job)
		return;
	atomic_store(&c->job->is_dropped, true);
	c->job->asker = NULL; /* the worker frees it */
	c->job = NULL;
}

static void drop_key(struct client *c)
{
	if (c->key)
		atomic_fetch_sub(&c->key->tunnels, 1);
	proxy_key_release(c->key);
	c->key = NULL;
}

static void close_socket(int fd, bool reset)
{
	const struct linger abort_it = { .l_onoff = 1, .l_linger = 0 };

	if (fd < 0)
		return;
	if (reset)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
	close(fd);
}

void client_end(struct client *c, bool reset)
{
	struct loop *w = c->loop;

	if (c->state == CLIENT_GONE)
		return;
	if (c->state == CLIENT_RELAYING)
		counters_add(&w->counters, PROXY_CLOSED, 1);
	enter(c, CLIENT_GONE);
	drop_question(c);
	dial_end(c);
	drop_key(c);
	drop_head(c);
	udp_end(c);
	flow_done(&c->up, &w->pipes);
	flow_done(&c->down, &w->pipes);
	close_socket(c->near.fd, reset);
	close_socket(c->far.fd, reset);
	c->near.fd = c->far.fd = -1;
	link_remove(&c->timer);
	link_remove(&c->born);
	link_append(&w->gone, &c->ready);
	atomic_fetch_sub(&w->server->n_clients, 1);
}

/* --- Refusing --- */

/* What it still sends is read, or the answer might be lost in a reset. */
static void read_out(struct client *c)
{
	struct loop *w = c->loop;

	for (int i = 0; i < 4; i++) {
		ssize_t n = recv(c->near.fd, w->scratch, FLOW_COPY, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client_end(c, false);
			return;
		}
		if (n < 0)
			return;
	}
	client_end(c, true); /* nobody with good manners sends that much */
}

void client_refuse(struct client *c, int status, const char *why)
{
	char answer[ANSWER_MAX];
	size_t len = answer_write(status, why, answer);

	counters_add(&c->loop->counters, answer_count(status), 1);
	dial_end(c);
	drop_question(c);
	drop_key(c);
	drop_head(c);
	close_socket(c->far.fd, true);
	c->far.fd = -1;
	enter(c, CLIENT_PARTING);
	if (send(c->near.fd, answer, len, MSG_NOSIGNAL) != (ssize_t)len ||
	    shutdown(c->near.fd, SHUT_WR) < 0) {
		client_end(c, true);
		return;
	}
	client_set_timer(c, TIMER_PART);
	read_out(c);
}

/* --- Finding the target --- */

static void refuse_address(struct client *c, enum egress_verdict v)
{
	char why[128];

	snprintf(why, sizeof(why), "the target is not to be reached from here: %s",
		 egress_verdict_text(v));
	client_refuse(c, 403, why);
}

/* Those of @found that may be reached. */
static void dial_allowed(struct client *c, const struct endpoint *found, size_t n)
{
	struct endpoint to[RESOLVER_FOUND_MAX];
	enum egress_verdict refused = EGRESS_RESERVED;
	size_t n_to = 0;
	int err;

	for (size_t i = 0; i < n; i++) {
		enum egress_verdict v = policy_judge(c->loop->server->policy, &found[i].ip);

		if (v == EGRESS_OK)
			to[n_to++] = found[i];
		else
			refused = v;
	}
	if (n_to == 0) {
		refuse_address(c, refused);
		return;
	}
	enter(c, CLIENT_DIALING);
	if (!c->capsules) {
		dial_begin(c, to, n_to);
		return;
	}
	err = udp_dial(c, to, n_to);
	if (err == 0)
		client_dialled(c, 0);
	else
		client_refuse(c, 502, err_text(err));
}

/* For whom a name is asked: the key's owner, else who is at that address. Of IPv6 anybody has a /64. */
static void name_party(const struct client *c, uint8_t ret[RESOLVER_PARTY_LEN])
{
	struct sockaddr_storage name = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(name);
	struct endpoint e;

	static_assert((int)KEYS_DIGEST_LEN == (int)RESOLVER_PARTY_LEN, "a digest fits");
	memset(ret, 0, RESOLVER_PARTY_LEN);
	if (c->key) {
		memcpy(ret, c->key->digest, RESOLVER_PARTY_LEN);
		return;
	}
	if (getpeername(c->near.fd, (struct sockaddr *)&name, &len) < 0)
		return;
	e = address_read((struct sockaddr *)&name);
	ret[0] = e.ip.family;
	memcpy(ret + 1, e.ip.b, e.ip.family == ADDR_V4 ? 4 : 8);
}

static void ask_for_name(struct client *c, const struct request *r)
{
	struct resolver_job *job = calloc(1, sizeof(*job));
	int err;

	if (!job) {
		client_refuse(c, 503, "there is no memory for another name");
		return;
	}
	memcpy(job->host, r->host, sizeof(job->host));
	job->port = r->port;
	job->inbox = &c->loop->inbox;
	job->asker = c;
	name_party(c, job->party);
	err = resolver_ask(c->loop->server->resolver, job);
	if (err != 0) {
		free(job);
		client_refuse(c, err == -EBUSY ? 429 : 503,
			      err == -EBUSY
				      ? "too many names of yours are waiting to be resolved"
				      : "too many names are waiting to be resolved");
		return;
	}
	c->job = job;
	enter(c, CLIENT_RESOLVING);
}

void client_answered(struct client *c, struct resolver_job *job)
{
	c->job = NULL;
	if (job->err == 0)
		dial_allowed(c, job->found, job->n);
	else if (job->err == ERR_UNKNOWN)
		client_refuse(c, 502, "there is no such host");
	else
		client_refuse(c, 502, "the name of the target cannot be resolved now");
	free(job);
}

/* --- The request --- */

/* Before anything is done for it: whose key is it? Return: whether to go on. */
static bool admit(struct client *c, const struct request *r)
{
	struct server *s = c->loop->server;

	if (s->config.is_open)
		return true;
	if (r->key_len > 0)
		c->key = proxy_keys_find(s->keys, r->key, r->key_len);
	if (!c->key) {
		client_refuse(c, 407,
			      "a key is needed: Proxy-Authorization with Bearer, or with"
			      " Basic and the key as the password");
		return false;
	}
	if (atomic_fetch_add(&c->key->tunnels, 1) >= s->config.per_key) {
		client_refuse(c, 429, "this key has as many tunnels as it may have");
		return false;
	}
	return true;
}

static void take_request(struct client *c, const struct request *r, const char *early,
			 size_t early_len)
{
	const struct endpoint to = { .ip = r->ip, .port = r->port };

	if (!admit(c, r))
		return;
	if ((r->is_udp ? udp_begin(c, early, early_len)
		       : flow_carry(&c->up, early, early_len)) < 0) {
		client_refuse(c, 503, "there is no memory for what came early");
		return;
	}
	client_set_timer(c, TIMER_CONNECT);
	if (r->ip.family != ADDR_NONE)
		dial_allowed(c, &to, 1);
	else
		ask_for_name(c, r);
}

static void keep_partial(struct client *c, const char *head, size_t len)
{
	if (!c->head) {
		c->head = malloc(REQUEST_HEAD_MAX);
		if (!c->head) {
			client_refuse(c, 503, "there is no memory for another request");
			return;
		}
		memcpy(c->head, head, len);
	}
	c->head_len = (uint16_t)len;
}

static void take_head(struct client *c, const char *head, size_t len)
{
	struct request request;
	struct diag d = { .text = "" };
	int status = request_parse(head, len, &request, &d);

	if (status == REQUEST_IS_PARTIAL) {
		keep_partial(c, head, len);
		return;
	}
	if (status == REQUEST_IS_WHOLE) {
		take_request(c, &request, head + request.head_len, len - request.head_len);
		request_done(&request);
		drop_head(c);
		return;
	}
	client_refuse(c, status, d.text);
}

/* In one piece it is read where everybody's is, and nothing of it is kept. */
static void read_request(struct client *c)
{
	while (c->state == CLIENT_READING && c->up.readable) {
		char *at = c->head ? c->head : (char *)c->loop->scratch;
		size_t room = REQUEST_HEAD_MAX - c->head_len;
		ssize_t n = recv(c->near.fd, at + c->head_len, room, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			c->up.readable = false;
			return;
		}
		if (n <= 0) {
			client_end(c, n < 0);
			return;
		}
		if ((size_t)n < room && !c->up.hangs_up)
			c->up.readable = false;
		take_head(c, at, c->head_len + (size_t)n);
		secret_wipe(c->loop->scratch, (size_t)n);
	}
}

/* --- Relaying --- */

static enum flow_state pump(struct client *c, struct flow *f, int from, int to,
			    enum proxy_count count)
{
	struct loop *w = c->loop;
	struct flow_means means = { .pipes = &w->pipes,
				    .scratch = w->scratch,
				    .allowance = c->key ? &c->key->allowance : NULL,
				    .rate = c->key ? w->server->config.rate : 0,
				    .now_ns = w->now_ns };
	enum flow_state state = flow_pump(f, from, to, &means);

	if (means.moved > 0)
		counters_add(&w->counters, count, means.moved);
	return state;
}

static void settle(struct client *c, enum flow_state up, enum flow_state down)
{
	struct loop *w = c->loop;

	if (up == FLOW_BROKEN || down == FLOW_BROKEN) {
		client_end(c, true);
		return;
	}
	if (up == FLOW_ENDED && down == FLOW_ENDED) {
		client_end(c, false);
		return;
	}
	client_set_timer(c, up == FLOW_ENDED || down == FLOW_ENDED ? TIMER_HALF : TIMER_IDLE);
	if (up == FLOW_AGAIN || down == FLOW_AGAIN)
		link_append(&w->ready, &c->ready);
	else if (up == FLOW_THROTTLED || down == FLOW_THROTTLED)
		link_append(&w->throttled, &c->ready);
	else
		link_remove(&c->ready);
}

/* A UDP socket has no end of its own: it ends with its client. */
static void pump_datagrams(struct client *c)
{
	uint64_t up = 0, down = 0;
	enum flow_state state = udp_pump_up(c, &up);

	if (state == FLOW_ENDED || state == FLOW_BROKEN) {
		client_end(c, state == FLOW_BROKEN);
		return;
	}
	counters_add(&c->loop->counters, PROXY_BYTES_UP, up);
	settle(c, state, udp_pump_down(c, &down));
	counters_add(&c->loop->counters, PROXY_BYTES_DOWN, down);
}

void client_pump(struct client *c)
{
	if (c->capsules) {
		pump_datagrams(c);
		return;
	}

	enum flow_state up = pump(c, &c->up, c->near.fd, c->far.fd, PROXY_BYTES_UP);
	enum flow_state down =
		up == FLOW_BROKEN ? up
				  : pump(c, &c->down, c->far.fd, c->near.fd, PROXY_BYTES_DOWN);

	settle(c, up, down);
}

/* What an event says stays noted until a call says otherwise. */
static void note(struct flow *from_it, struct flow *to_it, uint32_t events)
{
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		from_it->hangs_up = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		from_it->readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		to_it->writable = true;
}

void client_dialled(struct client *c, uint32_t events)
{
	const char *accepted = c->capsules ? connect_udp_accepted : established;
	struct loop *w = c->loop;

	if (policy_is_ourselves(c->far.fd)) {
		refuse_address(c, EGRESS_OWN);
		return;
	}
	if (send(c->near.fd, accepted, strlen(accepted), MSG_NOSIGNAL) !=
	    (ssize_t)strlen(accepted)) {
		client_end(c, true);
		return;
	}
	enter(c, CLIENT_RELAYING);
	counters_add(&w->counters, PROXY_TUNNELS, 1);
	c->born_ns = w->now_ns;
	link_append(&w->tunnels, &c->born);
	c->up.writable = c->down.writable = true;
	note(&c->down, &c->up, events);
	client_pump(c);
}

/* --- Events --- */

/* A client that went away takes what was begun for it along; one that has only said all it has to say
 * waits for the answer. */
static bool went_away(const struct client *c, uint32_t events)
{
	return (c->state == CLIENT_RESOLVING || c->state == CLIENT_DIALING) &&
	       (events & (EPOLLERR | EPOLLHUP));
}

static void near_event(struct client *c, uint32_t events)
{
	note(&c->up, &c->down, events);
	if (went_away(c, events))
		client_end(c, true);
	else if (c->state == CLIENT_READING)
		read_request(c);
	else if (c->state == CLIENT_RELAYING)
		client_pump(c);
	else if (c->state == CLIENT_PARTING)
		read_out(c);
}

void client_event(struct client *c, struct watch *w, uint32_t events)
{
	if (c->state == CLIENT_GONE)
		return;
	if (w->kind == WATCH_NEAR) {
		near_event(c, events);
	} else if (w->kind == WATCH_TRY) {
		dial_event(c, w, events);
	} else if (c->state == CLIENT_RELAYING) {
		note(&c->down, &c->up, events);
		client_pump(c);
	}
}

void client_expire(struct client *c)
{
	struct counters *n = &c->loop->counters;

	switch ((enum timer)c->timer_of) {
	case TIMER_HEAD:
		client_refuse(c, 408, "the request did not come in time");
		return;
	case TIMER_CONNECT:
		client_refuse(c, 504, "the target did not answer in time");
		return;
	case TIMER_IDLE:
	case TIMER_HALF:
		counters_add(n, PROXY_IDLE, 1);
		client_end(c, true);
		return;
	case TIMER_PART:
	case TIMERS:
		client_end(c, true);
		return;
	}
}

static struct client *make(struct loop *w, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = w;
	c->near = (struct watch){ .kind = WATCH_NEAR, .fd = fd, .of = c };
	c->far = (struct watch){ .kind = WATCH_FAR, .fd = -1, .of = c };
	link_init(&c->timer);
	link_init(&c->born);
	link_init(&c->ready);
	c->state = CLIENT_READING;
	return c;
}

/* Of those whose request has not come, the one that was given most time makes room. */
static void make_room(struct loop *w)
{
	struct link *oldest = w->timers[TIMER_HEAD].next;

	if (w->n_reading <= w->server->reading_max || oldest == &w->timers[TIMER_HEAD])
		return;
	counters_add(&w->counters, PROXY_SLOW, 1);
	client_end(HOLDER(struct client, oldest, timer), true);
}

void client_accept(struct loop *w, int fd)
{
	struct server *s = w->server;
	struct client *c;

	counters_add(&w->counters, PROXY_CONNECTIONS, 1);
	c = make(w, fd);
	if (!c) {
		close(fd);
		return;
	}
	w->n_reading++;
	if (loop_watch(w, &c->near, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
		w->n_reading--;
		close(fd);
		free(c);
		return;
	}
	client_set_timer(c, TIMER_HEAD);
	if (atomic_fetch_add(&s->n_clients, 1) >= s->config.tunnels) {
		client_refuse(c, 503, "as many connections as there may be are open");
		client_end(c, false); /* it may read that, but not stay for it */
		return;
	}
	make_room(w);
	c->up.readable = true; /* mostly the request came right behind */
	read_request(c);
}
