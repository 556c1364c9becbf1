/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates. One becomes a list of literals and of places where host and port go, so that
 * {?target_host,target_port} is "?target_host=", the host, "&target_port=", the port. Expanding
 * walks the list one way and matching the other: a value that was put in consists of unreserved
 * characters and escapes, so it ends where another character begins.
 */
#include <stdio.h>
#include <string.h>

#include <strings.h>

#include "base/addr.h"
#include "base/codec.h"
#include "carrier/connect_udp.h"

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

/* --- Reading a template --- */

struct reader {
	struct connect_udp_template *t;
	size_t literals; /* octets of @t->literals in use */
	unsigned int hosts;
	unsigned int ports;
	struct diag *d;
};

static int add_part(struct reader *r, enum connect_udp_part_kind kind)
{
	if (r->t->n == CONNECT_UDP_PARTS_MAX)
		return diag_set(r->d, ERR_LIMIT, 0, "a template of more than %d parts",
				CONNECT_UDP_PARTS_MAX);
	r->t->parts[r->t->n++] = (struct connect_udp_part){ kind, (uint16_t)r->literals, 0 };
	return 0;
}

static int add_literal(struct reader *r, const char *text, size_t len)
{
	struct connect_udp_template *t = r->t;

	if (len > sizeof(t->literals) - r->literals)
		return diag_set(r->d, ERR_LIMIT, 0, "a template of more than %d octets",
				CONNECT_UDP_TEMPLATE_MAX - 1);
	if (t->n == 0 || t->parts[t->n - 1].kind != CONNECT_UDP_LITERAL) {
		int err = add_part(r, CONNECT_UDP_LITERAL);

		if (err != 0)
			return err;
	}
	memcpy(t->literals + r->literals, text, len);
	r->literals += len;
	t->parts[t->n - 1].len = (uint16_t)(t->parts[t->n - 1].len + len);
	return 0;
}

static int add_variable(struct reader *r, struct http_span name)
{
	bool is_host = http_span_is(name, "target_host");

	if (is_host)
		r->hosts++;
	else
		r->ports++;
	return add_part(r, is_host ? CONNECT_UDP_TARGET_HOST : CONNECT_UDP_TARGET_PORT);
}

/* RFC 6570 section 2.3; what level 4 adds (':' and '*') is refused here as well. */
static bool is_variable_name(struct http_span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is_unreserved(s.data[i]) || s.data[i] == '-' || s.data[i] == '~')
			return false;
	}
	return s.len > 0;
}

/* One name in braces; @operator is '?', '&' or 0, @is_first the first that has a value. */
static int add_named(struct reader *r, struct http_span name, char operator, bool * is_first)
{
	char lead[2] = { *is_first ? operator: '&', '\0' };
	int err = 0;

	if (!is_variable_name(name))
		return diag_set(r->d, ERR_FORMAT, 0,
				"RFC 9298 section 2: '%.*s' is no variable of level 3",
				(int)(name.len < 64 ? name.len : 64), name.data);
	if (!http_span_is(name, "target_host") && !http_span_is(name, "target_port"))
		return 0; /* RFC 6570 section 3.2.1: not defined, so nothing */
	if (operator!= '\0')
		err = add_literal(r, lead, 1);
	else if (!*is_first)
		err = add_literal(r, ",", 1);
	if (err == 0 && operator!= '\0')
		err = add_literal(r, name.data, name.len);
	if (err == 0 && operator!= '\0')
		err = add_literal(r, "=", 1);
	*is_first = false;
	return err == 0 ? add_variable(r, name) : err;
}

static int add_expression(struct reader *r, struct http_span inside)
{
	char operator= '\0';
	bool is_first = true;
	int err = 0;

	if (inside.len > 0 && strchr("+#./;=,!@|", inside.data[0]))
		return diag_set(r->d, ERR_FORMAT, 0,
				"RFC 9298 section 2: the operator '%c' is not allowed",
				inside.data[0]);
	if (inside.len > 0 && (inside.data[0] == '?' || inside.data[0] == '&')) {
		operator= inside.data[0];
		inside.data++, inside.len--;
	}
	for (;;) {
		const char *comma = memchr(inside.data, ',', inside.len);
		size_t len = comma ? (size_t)(comma - inside.data) : inside.len;

		err = add_named(r,
				(struct http_span){ inside.data, len }, operator, & is_first);
		if (err != 0 || !comma)
			return err;
		inside.data += len + 1;
		inside.len -= len + 1;
	}
}

static int read_path(struct reader *r, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "{}");
		const char *end;
		int err = len > 0 ? add_literal(r, text, len) : 0;

		text += len;
		if (err != 0 || *text == '\0')
			return err;
		end = *text == '{' ? strchr(text, '}') : NULL;
		if (!end)
			return diag_set(r->d, ERR_FORMAT, 0,
					"RFC 6570 section 2: a brace without its other one");
		err = add_expression(r,
				     (struct http_span){ text + 1, (size_t)(end - text) - 1 });
		if (err != 0)
			return err;
		text = end + 1;
	}
	return 0;
}

/* Scheme and authority, if there are any; *@text goes on to the path. */
static int read_origin(struct reader *r, const char **text)
{
	struct connect_udp_template *t = r->t;
	const char *rest = *text;
	size_t len;

	if (*rest == '/')
		return 0;
	if (strncmp(rest, "https://", 8) == 0)
		snprintf(t->scheme, sizeof(t->scheme), "https");
	else if (strncmp(rest, "http://", 7) == 0)
		snprintf(t->scheme, sizeof(t->scheme), "http");
	else
		return diag_set(r->d, ERR_FORMAT, 0,
				"RFC 9298 section 2: neither an http(s) URI nor a path");
	rest += strlen(t->scheme) + 3;
	len = strcspn(rest, "/?#{}");
	if (len == 0 || rest[len] != '/' || memchr(rest, '@', len))
		return diag_set(r->d, ERR_FORMAT, 0,
				"RFC 9298 section 2: a template has a host and a path");
	if (len >= sizeof(t->authority))
		return diag_set(r->d, ERR_LIMIT, 0, "the host of the template is too long");
	memcpy(t->authority, rest, len);
	*text = rest + len;
	return 0;
}

/* Behind a value must stand what no value contains, or matching would have to guess. */
static int check_ends(const struct connect_udp_template *t, struct diag *d)
{
	for (size_t i = 0; i + 1 < t->n; i++) {
		const struct connect_udp_part *next = &t->parts[i + 1];
		char c = t->literals[next->at];

		if (t->parts[i].kind == CONNECT_UDP_LITERAL)
			continue;
		if (next->kind != CONNECT_UDP_LITERAL || is_unreserved(c) || c == '%')
			return diag_set(d, ERR_FORMAT, 0,
					"nothing tells where a target ends in this template");
	}
	return 0;
}

static int check_text(const char *text, struct diag *d)
{
	if (strlen(text) >= CONNECT_UDP_TEMPLATE_MAX)
		return diag_set(d, ERR_LIMIT, 0, "a template of more than %d octets",
				CONNECT_UDP_TEMPLATE_MAX - 1);
	for (; *text; text++) {
		if (*text <= ' ' || *text > '~' || *text == '#' || *text == '"' ||
		    *text == '\\')
			return diag_set(d, ERR_FORMAT, 0,
					"RFC 9298 section 2: a character that no template has");
	}
	return 0;
}

int connect_udp_template_read(const char *text, struct connect_udp_template *ret,
			      struct diag *d)
{
	struct connect_udp_template t = { .n = 0 };
	struct reader r = { .t = &t, .d = d };
	int err = check_text(text, d);

	if (err == 0)
		err = read_origin(&r, &text);
	if (err == 0)
		err = read_path(&r, text);
	if (err == 0 && (r.hosts != 1 || r.ports != 1))
		err = diag_set(d, ERR_FORMAT, 0,
			       "RFC 9298 section 2: target_host and target_port, once each");
	if (err == 0)
		err = check_ends(&t, d);
	if (err == 0)
		*ret = t;
	return err;
}

/* --- Expanding --- */

struct writer {
	char *out;
	size_t len;
	size_t max;
	bool is_full;
};

static void put(struct writer *w, const char *data, size_t len)
{
	if (w->is_full || len > w->max - w->len) {
		w->is_full = true;
		return;
	}
	memcpy(w->out + w->len, data, len);
	w->len += len;
}

static void put_escaped(struct writer *w, const char *value)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		char escape[3] = { '%', digits[c >> 4], digits[c & 15] };

		if (is_unreserved(*value))
			put(w, value, 1);
		else
			put(w, escape, sizeof(escape));
	}
}

long connect_udp_expand(const struct connect_udp_template *t,
			const struct connect_udp_target *target, char out[CONNECT_UDP_PATH_MAX])
{
	struct writer w = { .out = out, .max = CONNECT_UDP_PATH_MAX - 1 };
	char port[8];

	snprintf(port, sizeof(port), "%u", target->port);
	for (size_t i = 0; i < t->n; i++) {
		const struct connect_udp_part *p = &t->parts[i];

		switch (p->kind) {
		case CONNECT_UDP_LITERAL:
			put(&w, t->literals + p->at, p->len);
			break;
		case CONNECT_UDP_TARGET_HOST:
			put_escaped(&w, target->host);
			break;
		case CONNECT_UDP_TARGET_PORT:
			put_escaped(&w, port);
			break;
		}
	}
	if (w.is_full)
		return ERR_LIMIT;
	out[w.len] = '\0';
	return (long)w.len;
}

/* --- Matching --- */

/* A value as it was before it was escaped. Return: 0 or ERR_FORMAT. */
static int unescape(struct http_span s, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (n + 1 >= size)
			return ERR_FORMAT;
		if (c == '%') {
			if (s.len - i < 3 || hex_decode(s.data + i + 1, 2, &c, 1) != 1)
				return ERR_FORMAT;
			i += 2;
		}
		if (c <= ' ' || c > '~')
			return ERR_FORMAT;
		out[n++] = c;
	}
	out[n] = '\0';
	return 0;
}

/* An address, or what a name is made of. A zone has no place here: RFC 9298 section 2. */
static bool is_host(const char *host)
{
	struct ip_addr ip;
	size_t label = 0, len = strlen(host);

	if (strchr(host, ':'))
		return ip_addr_parse(host, &ip) == 0;
	for (const char *at = host; *at; at++) {
		if (*at == '~' || !is_unreserved(*at))
			return false;
		label = *at == '.' ? 0 : label + 1;
		if (label > 63 || (label == 0 && (at == host || at[-1] == '.')))
			return false;
	}
	return len > 0 && len < CONNECT_UDP_HOST_MAX - 1;
}

static int take_value(const struct connect_udp_part *p, struct http_span value,
		      struct connect_udp_target *ret, struct diag *d)
{
	char port[8];
	uint64_t number = 0;

	if (p->kind == CONNECT_UDP_TARGET_HOST) {
		if (unescape(value, ret->host, sizeof(ret->host)) != 0 || !is_host(ret->host))
			return diag_set(d, ERR_FORMAT, 0,
					"RFC 9298 section 2: target_host is no host");
		return 0;
	}
	if (unescape(value, port, sizeof(port)) != 0 ||
	    decimal_parse(port, strlen(port), UINT16_MAX, &number) != 0 || number == 0)
		return diag_set(d, ERR_FORMAT, 0,
				"RFC 9298 section 2: target_port is not 1 to 65535");
	ret->port = (uint16_t)number;
	return 0;
}

/* As many octets as a value may have at the front of @s. */
static size_t value_len(struct http_span s)
{
	size_t n = 0;

	while (n < s.len && (is_unreserved(s.data[n]) || s.data[n] == '%'))
		n++;
	return n;
}

/* Cut @asked into the two values. false: it is not made from this template. */
static bool split(const struct connect_udp_template *t, struct http_span asked,
		  struct http_span values[CONNECT_UDP_PARTS_MAX])
{
	for (size_t i = 0; i < t->n; i++) {
		const struct connect_udp_part *p = &t->parts[i];
		size_t len = p->len;

		if (p->kind != CONNECT_UDP_LITERAL) {
			len = value_len(asked);
			values[i] = (struct http_span){ asked.data, len };
		} else if (asked.len < len ||
			   memcmp(asked.data, t->literals + p->at, len) != 0) {
			return false;
		}
		asked.data += len;
		asked.len -= len;
	}
	return asked.len == 0;
}

/* RFC 9112 section 3.2.2: a server takes the absolute form, too. Only the path of it counts. */
static struct http_span origin_form(struct http_span asked)
{
	size_t skip = 0;

	if (asked.len > 7 && strncasecmp(asked.data, "http://", 7) == 0)
		skip = 7;
	else if (asked.len > 8 && strncasecmp(asked.data, "https://", 8) == 0)
		skip = 8;
	while (skip > 0 && skip < asked.len && asked.data[skip] != '/')
		skip++;
	return (struct http_span){ asked.data + skip, asked.len - skip };
}

int connect_udp_match(const struct connect_udp_template *t, struct http_span asked,
		      struct connect_udp_target *ret, struct diag *d)
{
	struct http_span values[CONNECT_UDP_PARTS_MAX];
	struct connect_udp_target target = { .port = 0 };

	if (!split(t, origin_form(asked), values))
		return ERR_UNKNOWN;
	for (size_t i = 0; i < t->n; i++) {
		int err = t->parts[i].kind == CONNECT_UDP_LITERAL
				  ? 0
				  : take_value(&t->parts[i], values[i], &target, d);

		if (err != 0)
			return err;
	}
	*ret = target;
	return 0;
}
