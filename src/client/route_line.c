/* SPDX-License-Identifier: Apache-2.0 */
#include "client/route_line.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"

/* --- Reading --- */

/* struct words - What is left of a line; @word is the one that was taken */
struct words {
	const char *at;
	const char *end;
	char word[64];
};

/* Return: false at the end. A word that is too long comes out as "?", which nothing takes. */
static bool take(struct words *w)
{
	const char *from;
	size_t len;

	while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\r'))
		w->at++;
	from = w->at;
	while (w->at < w->end && *w->at != ' ' && *w->at != '\t' && *w->at != '\r')
		w->at++;
	len = (size_t)(w->at - from);
	if (len >= sizeof(w->word) || memchr(from, '\0', len)) {
		from = "?";
		len = 1;
	}
	memcpy(w->word, from, len);
	w->word[len] = '\0';
	return len > 0;
}

static bool take_v4(struct words *w, struct ip_addr *ret)
{
	return take(w) && ip_addr_parse(w->word, ret) == 0 && ret->family == ADDR_V4;
}

static bool is_of(const char *text, const char *allowed, size_t max)
{
	size_t len = strlen(text);

	return len > 0 && len < max && strspn(text, allowed) == len && text[0] != '-' &&
	       text[0] != '.';
}

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS	"0123456789"

static bool take_device(struct words *w, struct route_line *r)
{
	static const char allowed[] = LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "._-@";
	size_t len;

	if (!take(w) || !is_of(w->word, allowed, sizeof(w->word)))
		return false;
	len = strcspn(w->word, "@"); /* "eth0@if7" */
	if (len == 0 || len >= sizeof(r->device))
		return false;
	memcpy(r->device, w->word, len);
	r->device[len] = '\0';
	return true;
}

static bool take_word(struct words *w, char out[ROUTE_LINE_WORD_MAX])
{
	if (!take(w) || !is_of(w->word, LETTERS DIGITS "_", ROUTE_LINE_WORD_MAX))
		return false;
	memcpy(out, w->word, strlen(w->word) + 1);
	return true;
}

static bool take_metric(struct words *w, struct route_line *r)
{
	uint64_t n = 0;

	if (!take(w) || decimal_parse(w->word, strlen(w->word), UINT32_MAX, &n) != 0)
		return false;
	r->has_metric = true;
	r->metric = (uint32_t)n;
	return true;
}

/* Of a moment, not of the route. */
static bool is_flag(const char *word)
{
	static const char *const flags[] = { "linkdown", "dead",   "pervasive", "offload",
					     "rt_trap",	 "notify", "cache",	"unresolved" };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(word, flags[i]) == 0)
			return true;
	}
	return false;
}

/* The key is in @w->word. */
static bool take_value(struct words *w, struct route_line *r)
{
	char ignored[ROUTE_LINE_WORD_MAX];

	if (strcmp(w->word, "via") == 0)
		return take_v4(w, &r->via);
	if (strcmp(w->word, "src") == 0)
		return take_v4(w, &r->source);
	if (strcmp(w->word, "dev") == 0)
		return take_device(w, r);
	if (strcmp(w->word, "metric") == 0)
		return take_metric(w, r);
	if (strcmp(w->word, "proto") == 0)
		return take_word(w, r->protocol);
	if (strcmp(w->word, "scope") == 0)
		return take_word(w, r->scope);
	if (strcmp(w->word, "expires") == 0 || strcmp(w->word, "uid") == 0)
		return take_word(w, ignored);
	if (strcmp(w->word, "onlink") == 0) {
		r->is_onlink = true;
		return true;
	}
	return is_flag(w->word);
}

static bool take_destination(struct words *w, struct route_line *r)
{
	if (!take(w))
		return false;
	r->is_default = strcmp(w->word, "default") == 0 || strcmp(w->word, "0.0.0.0/0") == 0;
	return r->is_default || (ip_prefix_parse(w->word, false, &r->destination) == 0 &&
				 r->destination.ip.family == ADDR_V4);
}

int route_line_read(const char *text, size_t len, struct route_line *ret, struct diag *d)
{
	struct words w = { .at = text, .end = text + len };
	struct route_line r = { .via.family = ADDR_NONE, .source.family = ADDR_NONE };

	if (len > ROUTE_LINE_MAX || !take_destination(&w, &r))
		return diag_set(d, ERR_FORMAT, 0, "this is no route of IPv4");
	while (take(&w)) {
		char key[sizeof(w.word)];

		memcpy(key, w.word, sizeof(key));
		if (!take_value(&w, &r))
			return diag_set(d, ERR_FORMAT, 0,
					"a route has no such word or value: \"%.40s\"",
					is_of(key, LETTERS DIGITS "_", sizeof(key)) ? key
										    : "?");
	}
	if (!r.device[0] && r.via.family == ADDR_NONE)
		return diag_set(d, ERR_FORMAT, 0,
				"the route has neither a gateway nor a device");
	*ret = r;
	return 0;
}

bool route_line_equal(const struct route_line *a, const struct route_line *b)
{
	return a->is_default == b->is_default && a->is_onlink == b->is_onlink &&
	       a->metric == b->metric && ip_addr_equal(&a->via, &b->via) &&
	       ip_addr_equal(&a->source, &b->source) && strcmp(a->device, b->device) == 0 &&
	       (a->is_default || (a->destination.bits == b->destination.bits &&
				  ip_addr_equal(&a->destination.ip, &b->destination.ip)));
}

/* --- Giving back --- */

static void put(struct route_arguments *out, const char *word)
{
	size_t size = strlen(word) + 1;

	/* Each value is bounded by its type: all of them fit. */
	assert(out->n + 1 < ROUTE_LINE_ARGUMENTS_MAX && out->len + size <= sizeof(out->text));
	memcpy(out->text + out->len, word, size);
	out->words[out->n++] = out->text + out->len;
	out->words[out->n] = NULL;
	out->len += size;
}

static void put_pair(struct route_arguments *out, const char *key, const char *value)
{
	if (!value[0])
		return;
	put(out, key);
	put(out, value);
}

static void put_address(struct route_arguments *out, const char *key, const struct ip_addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (a->family != ADDR_NONE)
		put_pair(out, key, ip_addr_format(a, text));
}

void route_line_put(const struct route_line *r, struct route_arguments *out)
{
	char text[ADDR_TEXT_MAX];

	put(out, r->is_default ? "default" : ip_prefix_format(&r->destination, text));
	put_address(out, "via", &r->via);
	put_pair(out, "dev", r->device);
	put_pair(out, "proto", r->protocol);
	put_pair(out, "scope", r->scope);
	put_address(out, "src", &r->source);
	if (r->has_metric) {
		snprintf(text, sizeof(text), "%u", r->metric);
		put_pair(out, "metric", text);
	}
	if (r->is_onlink)
		put(out, "onlink");
}
