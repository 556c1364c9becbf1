/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "carrier/dial_internal.h"
#include "crypto/secret.h"

enum { CREDENTIALS_MAX = 2 * CARRIER_SECRET_MAX + 2 };

/* Read up to the end of a head; what is behind it stays behind it in @early. */
static int read_head(struct call *c, struct http_head *ret, size_t *ret_len)
{
	struct dialed *r = c->ret;
	size_t seen = 0;

	for (;;) {
		long end = http_head_end(r->early, r->early_len, &seen);
		ssize_t n;
		int err;

		if (end > 0) {
			*ret_len = (size_t)end;
			return http_head_read_answer((const char *)r->early, (size_t)end, ret,
						     c->d);
		}
		if (end < 0)
			return diag_set(c->d, ERR_FORMAT, 0, "what answers is no HTTP/1.1");
		n = stream_read(&r->stream, r->early + r->early_len,
				sizeof(r->early) - r->early_len);
		if (n == 0)
			return diag_set(c->d, -EPIPE, 0, "the connection ended in the answer");
		err = n < 0 ? (int)n : 0;
		if (n == -EAGAIN)
			err = stream_wait(&r->stream, c->to->stop_fd, c->deadline_ns);
		if (err != 0)
			return err;
		r->early_len += n > 0 ? (size_t)n : 0;
	}
}

static void drop_head(struct dialed *r, size_t len)
{
	r->early_len -= len;
	memmove(r->early, r->early + len, r->early_len);
}

static int send_text(struct call *c, const struct text *t)
{
	return t->err ? t->err
		      : stream_write_all(&c->ret->stream, t->data, t->len, c->to->stop_fd,
					 c->deadline_ns);
}

/* RFC 7617: a name and a password; without a name the key is a bearer's (RFC 6750). */
static void put_credentials(struct text *out, const struct carrier_via *via)
{
	char pair[CREDENTIALS_MAX], coded[(CREDENTIALS_MAX / 3 + 1) * 4 + 1];
	int n;

	if (via->key[0] == '\0')
		return;
	if (via->user[0] == '\0') {
		text_printf(out, "Proxy-Authorization: Bearer %s\r\n", via->key);
		return;
	}
	n = snprintf(pair, sizeof(pair), "%s:%s", via->user, via->key);
	base64_encode(pair, (size_t)n, coded);
	text_printf(out, "Proxy-Authorization: Basic %s\r\n", coded);
	secret_wipe(pair, sizeof(pair));
	secret_wipe(coded, sizeof(coded));
}

static int judge_proxy(struct call *c, const struct http_head *h)
{
	const struct carrier_via *via = c->to->via;

	if (h->status >= 200 && h->status < 300)
		return 0;
	if (h->status == 407)
		return diag_set(c->d, ERR_AUTH, 0,
				via->key[0] ? "the proxy %s does not take the key (407)"
					    : "the proxy %s wants a key (407)",
				via->host);
	return diag_set(c->d, -ECONNREFUSED, 0, "the proxy %s answers %u", via->host,
			h->status);
}

int carrier_dial_through_proxy(struct call *c)
{
	const struct carrier_url *u = c->to->url;
	const char *open = strchr(u->host, ':') ? "[" : "", *close = *open ? "]" : "";
	struct text out = { .data = NULL };
	struct http_head h = { .n = 0 };
	size_t len = 0;
	int err;

	text_printf(&out, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", open, u->host,
		    close, u->port, open, u->host, close, u->port);
	put_credentials(&out, c->to->via);
	text_puts(&out, "\r\n");
	err = send_text(c, &out);
	text_done(&out);
	if (err == 0)
		err = read_head(c, &h, &len);
	if (err == 0)
		err = judge_proxy(c, &h);
	if (err == 0 && c->ret->early_len > len) /* whoever is behind waits for us to begin */
		err = diag_set(c->d, ERR_FORMAT, 0, "the proxy says more than it was asked");
	c->ret->early_len = 0;
	return err;
}

int carrier_dial_upgrade(struct call *c)
{
	const struct carrier_url *u = c->to->url;
	char path[CONNECT_UDP_PATH_MAX], bearer[CARRIER_SECRET_MAX + 8];
	struct text out = { .data = NULL };
	struct http_head h = { .n = 0 };
	size_t len = 0;
	int err;

	if (connect_udp_expand(&u->path, c->to->target, path) < 0)
		return diag_set(c->d, ERR_LIMIT, 0, "the path for this target is too long");
	snprintf(bearer, sizeof(bearer), "Bearer %s", c->to->key);
	connect_udp_put_request(&out, u->authority, path, c->to->key[0] ? bearer : NULL);
	secret_wipe(bearer, sizeof(bearer));
	err = send_text(c, &out);
	text_done(&out);
	if (err == 0)
		err = read_head(c, &h, &len);
	if (err == 0 && h.status == 404)
		err = diag_set(c->d, ERR_AUTH, 0,
			       "no carrier at %s, or none for this key (404)", u->authority);
	if (err == 0)
		err = connect_udp_check_answer(&h, c->d);
	if (err != 0)
		return err;
	drop_head(c->ret, len);
	c->ret->framing = FRAMING_CAPSULE;
	return 0;
}
