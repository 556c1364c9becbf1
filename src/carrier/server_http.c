/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web server, to all but those who ask for connect-udp with a key of ours. Whether the key was
 * wrong or there was none makes no difference in what is answered, nor in what is computed: a
 * digest is taken and looked for in any case.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <strings.h>

#include "base/codec.h"
#include "carrier/server_internal.h"
#include "crypto/secret.h"
#include "sys/clock.h"

static const char other_target[] = "HTTP/1.1 403 Forbidden\r\n"
				   "Content-Type: text/plain\r\nContent-Length: 41\r\n"
				   "Connection: close\r\n\r\n"
				   "this carrier leads to one WireGuard only\n";

enum { BASIC_MAX = 2 * CARRIER_SECRET_MAX };

/* The key in the value of a field: "Bearer KEY", or "Basic" with it as password. @ret is always
 * a text; an empty one is nobody's key. */
static void read_key(struct http_span value, char ret[CARRIER_SECRET_MAX])
{
	char pair[BASIC_MAX];
	const char *key = NULL;
	size_t len = 0;

	ret[0] = '\0';
	if (value.len > 7 && strncasecmp(value.data, "Bearer ", 7) == 0) {
		key = value.data + 7;
		len = value.len - 7;
	} else if (value.len > 6 && strncasecmp(value.data, "Basic ", 6) == 0) {
		long n = base64_decode(value.data + 6, value.len - 6, pair, sizeof(pair));
		const char *colon = n > 0 ? memchr(pair, ':', (size_t)n) : NULL;

		key = colon ? colon + 1 : NULL;
		len = colon ? (size_t)(pair + n - key) : 0;
	}
	if (key && len < CARRIER_SECRET_MAX) {
		memcpy(ret, key, len);
		ret[len] = '\0';
	}
	secret_wipe(pair, sizeof(pair));
}

/* Whose key a request shows. NULL: nobody's. */
static const struct carrier_key *find_key(const struct connection *c, const struct http_head *h,
					  bool *ret_was_shown)
{
	const struct http_field *f = http_head_find(h, "Authorization", NULL);
	const struct carrier_key *key;
	uint8_t digest[HELLO_KEY_LEN];
	char text[CARRIER_SECRET_MAX];

	if (!f)
		f = http_head_find(h, "Proxy-Authorization", NULL);
	read_key(f ? f->value : (struct http_span){ "", 0 }, text);
	hello_digest(text, strlen(text), digest);
	key = carrier_keys_find(c->server->keys, digest);
	*ret_was_shown = text[0] != '\0';
	secret_wipe(text, sizeof(text));
	secret_wipe(digest, sizeof(digest));
	return *ret_was_shown ? key : NULL;
}

static bool is_target(const struct carrier_server *s, const struct connect_udp_target *t)
{
	return t->port == s->config.target.port &&
	       (strcasecmp(t->host, "localhost") == 0 || strcmp(t->host, s->target_host) == 0);
}

/* Does a request ask for connect-udp, in the right form and with a key? Then @out says what to. */
static bool is_let_in(struct connection *c, const struct http_head *h, int *ret_err)
{
	struct connect_udp_target target = { .port = 0 };
	bool was_shown = false;
	const struct carrier_key *key = find_key(c, h, &was_shown);
	bool asks = connect_udp_check_request(h, NULL) == 0 &&
		    connect_udp_match(&c->server->config.path, h->target, &target, NULL) == 0;

	if (!key || !asks) {
		c->server->counts.refused += was_shown && !key;
		return false;
	}
	text_clear(&c->out);
	if (!is_target(c->server, &target)) {
		text_puts(&c->out, other_target);
		c->ends = true;
		return true;
	}
	text_puts(&c->out, connect_udp_accepted);
	c->is_let_in = true;
	*ret_err = connection_let_in(c, key);
	return true;
}

/* Choose the answer to the head of @len octets, or to something that is none (@len 0). */
static int choose(struct connection *c, size_t len)
{
	struct http_head h;
	bool is_head =
		len > 0 && http_head_read_request((const char *)c->in, len, &h, NULL) == 0;
	struct site_answer a;
	int err = 0;

	c->written = 0;
	c->body = NULL;
	c->body_len = 0;
	if (!is_head || !is_let_in(c, &h, &err)) {
		a = site_answer(c->server->site, is_head ? &h : NULL,
				clock_wall_ns() / 1000000000, &c->out);
		c->body = a.body;
		c->body_len = a.body_len;
		c->ends = a.ends;
	}
	secret_wipe(c->in, len); /* a key may have been in it */
	c->have -= len;
	memmove(c->in, c->in + len, c->have);
	c->seen = 0;
	c->state = CONNECTION_ANSWERING;
	c->deadline_ns = c->server->now_ns + SERVER_PATIENCE_NS;
	return err != 0 ? err : c->out.err;
}

/* Return: 0: a head was there, or what is none; -EAGAIN; -EPIPE; -errno. */
static int ask(struct connection *c)
{
	for (;;) {
		long end = http_head_end(c->in, c->have, &c->seen);
		ssize_t n;

		if (end != 0)
			return choose(c, end > 0 ? (size_t)end : 0);
		n = stream_read(&c->stream, c->in + c->have, sizeof(c->in) - c->have);
		if (n <= 0)
			return n == 0 ? -EPIPE : (int)n;
		if (c->have == 0) /* a head has begun, and is not waited for as long */
			c->deadline_ns = c->server->now_ns + SERVER_PATIENCE_NS;
		c->have += (size_t)n;
	}
}

/* What is behind @written: of the head, then of the body. */
static struct http_span rest_of(const struct connection *c)
{
	if (c->written < c->out.len)
		return (struct http_span){ c->out.data + c->written, c->out.len - c->written };
	return (struct http_span){ c->body ? c->body + (c->written - c->out.len) : "",
				   c->body_len - (c->written - c->out.len) };
}

static int answer(struct connection *c)
{
	struct http_span rest;

	while ((rest = rest_of(c)).len > 0) {
		ssize_t n = stream_write(&c->stream, rest.data, rest.len);

		if (n < 0)
			return (int)n;
		c->written += (size_t)n;
	}
	if (c->is_let_in)
		return connection_begin_relay(c, FRAMING_CAPSULE);
	if (c->ends)
		return -EPIPE;
	c->state = CONNECTION_ASKING;
	c->deadline_ns = c->server->now_ns + SERVER_IDLE_NS;
	return 0;
}

int connection_http(struct connection *c)
{
	int err = 0;

	while (err == 0 && (c->state == CONNECTION_ASKING || c->state == CONNECTION_ANSWERING))
		err = c->state == CONNECTION_ASKING ? ask(c) : answer(c);
	return err == -EAGAIN ? 0 : err;
}
