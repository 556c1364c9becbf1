/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/serving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"

enum {
	HOST_MAX = 64,
	NAME_MAX_LEN = 40,
	RETRY_MAX_S = 3600,
	REQUEST_RATE_MAX = 1000000,
};

static const struct {
	const char *name;
	uint16_t port; /* where the URL names none */
} surfaces[SERVING_SURFACES] = {
	[SERVING_GATEWAY] = { "gateway", 8000 }, [SERVING_AGENT] = { "agent", 8080 },
	[SERVING_USERS] = { "users", 8000 },	 [SERVING_STATUS] = { "status", 8000 },
	[SERVING_METRICS] = { "metrics", 9586 }, [SERVING_LINKS] = { "links", 8443 },
};

const char *serving_name(enum serving_surface surface)
{
	return surfaces[surface].name;
}

/* --- One URL --- */

/* struct reading - One option on its way */
struct reading {
	const char *origin;
	const char *text;
	struct diag *d;
};

static int refuse(const struct reading *r, const char *why)
{
	return diag_set(r->d, ERR_FORMAT, 0, "%s: \"%.100s\": %s", r->origin, r->text, why);
}

/* "[v6]:port", "v4:port", "localhost", all of @len octets. */
static int read_endpoint(const struct reading *r, const char *host, size_t len,
			 uint16_t default_port, struct endpoint *ret)
{
	static const char expected[] = "an address looks like 127.0.0.1:8000 or [::1]:8000";
	bool is_v6 = len > 0 && host[0] == '[';
	const char *close = is_v6 ? memchr(host, ']', len) : NULL;
	const char *colon = close ? close + 1 : memchr(host, ':', len);
	uint64_t port = default_port;
	char text[HOST_MAX];
	size_t host_len;

	if (is_v6 && !close)
		return refuse(r, expected);
	if (colon == host + len) /* nothing behind the bracket */
		colon = NULL;
	host_len = (size_t)((colon ? colon : host + len) - host);
	if (is_v6) {
		host++;
		host_len = (size_t)(close - host);
	}
	if (host_len >= sizeof(text))
		return refuse(r, expected);
	memcpy(text, host, host_len);
	text[host_len] = '\0';
	if (colon) {
		size_t digits = len - (size_t)(colon + 1 - (is_v6 ? host - 1 : host));

		if (*colon != ':' || decimal_parse(colon + 1, digits, UINT16_MAX, &port) != 0)
			return refuse(r, expected);
	}
	if (ip_addr_parse(strcmp(text, "localhost") == 0 ? "127.0.0.1" : text, &ret->ip) != 0)
		return refuse(r, expected);
	ret->port = (uint16_t)port;
	return 0;
}

static bool starts(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static int read_url(const struct reading *r, const char *url, size_t len, uint16_t port,
		    struct serving_place *ret)
{
	if (len == 3 && memcmp(url, "off", 3) == 0)
		return 0;
	if (starts(url, len, "unix:")) {
		if (len - 5 > SERVING_PATH_MAX)
			return refuse(r, "a socket's path has at most 107 octets");
		if (len == 5 || url[5] != '/')
			return refuse(r, "a socket's path begins with /");
		ret->scheme = SERVING_UNIX;
		memcpy(ret->path, url + 5, len - 5);
		return 0;
	}
	if (starts(url, len, "https://"))
		ret->scheme = SERVING_HTTPS;
	else if (starts(url, len, "http://"))
		ret->scheme = SERVING_HTTP;
	else
		return refuse(r, "expected http://ADDRESS:PORT, https://ADDRESS:PORT, "
				 "unix:/PATH or off");

	size_t skip = ret->scheme == SERVING_HTTPS ? 8 : 7;

	if (len > skip && url[len - 1] == '/')
		len--;
	return read_endpoint(r, url + skip, len - skip, port, &ret->at);
}

static int read_word(const struct reading *r, const char *word, size_t len,
		     struct serving_place *ret)
{
	if (len == 8 && memcmp(word, "insecure", 8) == 0)
		ret->is_insecure = true;
	else if (len == 5 && memcmp(word, "share", 5) == 0)
		ret->is_shared = true;
	else
		return refuse(r, "behind the URL only \"insecure\" and \"share\" may stand");
	return 0;
}

static bool is_loopback(const struct ip_addr *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return a->family == ADDR_V4 ? a->b[0] == 127 : memcmp(a->b, v6, 16) == 0;
}

static int read_place(const struct reading *r, uint16_t port, struct serving_place *ret)
{
	const char *at = r->text + strspn(r->text, " ");
	size_t len = strcspn(at, " ");
	int err = read_url(r, at, len, port, ret);

	for (at += len; err == 0 && *(at += strspn(at, " ")); at += len) {
		len = strcspn(at, " ");
		err = read_word(r, at, len, ret);
	}
	if (err != 0)
		return err;
	if (ret->scheme == SERVING_HTTP && !ret->is_insecure && !is_loopback(&ret->at.ip))
		return refuse(r, "this is reachable from other machines and not encrypted; use "
				 "https://, or write \"insecure\" behind the URL");
	return 0;
}

static int read_allowed(const struct reading *r, struct serving_place *ret)
{
	const char *at = r->text;

	while (*(at += strspn(at, " ,"))) {
		size_t len = strcspn(at, " ,");
		char one[ADDR_TEXT_MAX];

		if (ret->n_allowed == SERVING_ALLOWED_MAX)
			return refuse(r, "at most 32 prefixes");
		snprintf(one, sizeof(one), "%.*s", (int)len, at);
		if (len >= sizeof(one) ||
		    ip_prefix_parse(one, false, &ret->allowed[ret->n_allowed]) != 0)
			return refuse(r, "expected prefixes such as 10.0.0.0/8, fd00::/8");
		ret->n_allowed++;
		at += len;
	}
	return 0;
}

/* --- All of them --- */

static const char *option_name(enum serving_surface s, const char *suffix, char out[])
{
	snprintf(out, NAME_MAX_LEN, "listen-%s%s", surfaces[s].name, suffix);
	return out;
}

/* By contract API_PORT. */
static uint16_t users_port(void)
{
	const char *text = getenv("API_PORT");
	uint64_t port;

	if (text && decimal_parse(text, strlen(text), UINT16_MAX, &port) == 0 && port > 0)
		return (uint16_t)port;
	return surfaces[SERVING_USERS].port;
}

static int read_surface(const struct options *o, enum serving_surface s,
			struct serving_place *ret, struct diag *d)
{
	char name[NAME_MAX_LEN];
	const char *option = option_name(s, "", name);
	struct reading r = { .d = d };
	int err;

	/* --listen is its older name. */
	if (s == SERVING_GATEWAY && !options_get(o, option))
		option = "listen";
	r.text = options_get(o, option);
	r.origin = options_origin(o, option);
	err = read_place(&r, s == SERVING_USERS ? users_port() : surfaces[s].port, ret);
	if (err != 0)
		return err;
	option = option_name(s, "-allow", name);
	r.text = options_get(o, option);
	r.origin = options_origin(o, option);
	return r.text ? read_allowed(&r, ret) : 0;
}

static bool is_same(const struct serving_place *a, const struct serving_place *b)
{
	if (a->scheme == SERVING_OFF || b->scheme == SERVING_OFF)
		return false;
	if (a->scheme == SERVING_UNIX || b->scheme == SERVING_UNIX)
		return a->scheme == b->scheme && strcmp(a->path, b->path) == 0;
	return a->at.port != 0 && a->at.port == b->at.port &&
	       ip_addr_equal(&a->at.ip, &b->at.ip);
}

/* A route that both have: /health is the agent's, the users' and the page's, /metrics and links also the
 * REST API's, for whoever may. NULL: none. */
static const char *collision(enum serving_surface a, enum serving_surface b)
{
	bool has_health[SERVING_SURFACES] = {
		[SERVING_AGENT] = true, [SERVING_USERS] = true, [SERVING_STATUS] = true
	};

	if (has_health[a] && has_health[b])
		return "/health";
	if (a == SERVING_GATEWAY && b == SERVING_LINKS)
		return "/l/";
	return a == SERVING_GATEWAY && b == SERVING_METRICS ? "/metrics" : NULL;
}

static int check_pair(const struct serving *s, enum serving_surface a, enum serving_surface b,
		      struct diag *d)
{
	const struct serving_place *x = &s->place[a], *y = &s->place[b];
	const char *x_name = surfaces[a].name, *y_name = surfaces[b].name;

	if (!is_same(x, y))
		return 0;
	if (collision(a, b))
		return diag_set(d, ERR_EXISTS, 0,
				"listen %s and listen %s cannot share one address: both have"
				" %s",
				x_name, y_name, collision(a, b));
	if (!x->is_shared || !y->is_shared)
		return diag_set(d, ERR_EXISTS, 0,
				"listen %s and listen %s are one address; choose another, or"
				" write \"share\" behind both URLs",
				x_name, y_name);
	if (x->scheme != y->scheme)
		return diag_set(d, ERR_EXISTS, 0,
				"listen %s and listen %s share an address, so both are http or"
				" both are https",
				x_name, y_name);
	return 0;
}

/* --- What they have in common --- */

static int read_switch(const struct options *o, const char *name, bool *ret, struct diag *d)
{
	const char *text = options_get(o, name);

	if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
		return diag_set(d, ERR_FORMAT, 0, "%s: \"%.100s\" is neither on nor off",
				options_origin(o, name), text);
	*ret = text[1] == 'n';
	return 0;
}

static int read_links_url(const struct options *o, struct serving *ret, struct diag *d)
{
	const char *url = options_get(o, "links-url");
	size_t len = url ? strlen(url) : 0;

	if (!url)
		return 0;
	while (len > 0 && url[len - 1] == '/')
		len--;
	if (len > SERVING_URL_MAX || url[strcspn(url, " \"<>?#")] ||
	    !(starts(url, len, "https://") || starts(url, len, "http://")))
		return diag_set(
			d, ERR_FORMAT, 0,
			"%s: \"%.100s\": expected a URL such as https://vpn.example.com",
			options_origin(o, "links-url"), url);
	snprintf(ret->links_url, sizeof(ret->links_url), "%.*s", (int)len, url);
	return 0;
}

static int read_webhooks(const struct options *o, struct serving *ret, struct diag *d)
{
	const char *retry = options_get(o, "webhooks-retry");
	int err = read_switch(o, "webhooks-private", &ret->webhooks_private, d);

	if (err == 0)
		err = read_switch(o, "webhooks-insecure", &ret->webhooks_insecure, d);
	if (err != 0)
		return err;
	if (decimal_parse(retry, strlen(retry), RETRY_MAX_S, &ret->webhooks_retry_s) != 0 ||
	    ret->webhooks_retry_s == 0)
		return diag_set(d, ERR_FORMAT, 0, "%s: \"%.100s\" is no number from 1 to 3600",
				options_origin(o, "webhooks-retry"), retry);
	return 0;
}

static int read_common(const struct options *o, struct serving *ret, struct diag *d)
{
	const char *rate = options_get(o, "api-request-rate");
	bool has_peers, has_version_1, switches;
	uint64_t number;
	int err = read_switch(o, "metrics-peers", &has_peers, d);

	if (err == 0)
		err = read_switch(o, "api-version1", &has_version_1, d);
	if (err == 0)
		err = read_switch(o, "api-switch", &switches, d);
	if (err == 0 && decimal_parse(rate, strlen(rate), REQUEST_RATE_MAX, &number) != 0)
		err = diag_set(d, ERR_RANGE, 0,
			       "%s: \"%.100s\" is no number of requests from 0 to %d",
			       options_origin(o, "api-request-rate"), rate, REQUEST_RATE_MAX);
	if (err != 0)
		return err;
	ret->metrics_without_peers = !has_peers;
	ret->needs_version_2 = !has_version_1;
	ret->switches = switches;
	ret->request_rate = (uint32_t)number;
	return 0;
}

static int read_choice(const struct options *o, const char *name, const char *no,
		       const char *yes, bool *ret, struct diag *d)
{
	const char *word = options_get(o, name);

	*ret = strcmp(word, yes) == 0;
	if (*ret || strcmp(word, no) == 0)
		return 0;
	return diag_set(d, ERR_FORMAT, 0, "%s: \"%.100s\" is neither %s nor %s",
			options_origin(o, name), word, no, yes);
}

static int read_users(const struct options *o, struct serving *ret, struct diag *d)
{
	const char *tree = options_get(o, "params");
	int err = read_choice(o, "users-list", "self", "all", &ret->lists_all_users, d);

	if (err == 0)
		err = read_choice(o, "users-private-keys", "keep", "forget",
				  &ret->forgets_private_keys, d);
	if (err == 0 && tree && strncmp(tree, "dir:/", 5) != 0 &&
	    strncmp(tree, "ssm:/", 5) != 0)
		err = diag_set(d, ERR_FORMAT, 0,
			       "%s: \"%.100s\" is neither dir:/PATH nor ssm:/PREFIX",
			       options_origin(o, "params"), tree);
	return err;
}

int serving_read(const struct options *o, struct serving *ret, struct diag *d)
{
	int err = 0;

	*ret = (struct serving){ .place = { { .scheme = SERVING_OFF } } };
	for (enum serving_surface s = 0; s < SERVING_SURFACES && err == 0; s++)
		err = read_surface(o, s, &ret->place[s], d);
	for (enum serving_surface a = 0; a < SERVING_SURFACES; a++)
		for (enum serving_surface b = a + 1; b < SERVING_SURFACES && err == 0; b++)
			err = check_pair(ret, a, b, d);
	if (err == 0)
		err = read_users(o, ret, d);
	if (err == 0)
		err = read_links_url(o, ret, d);
	if (err == 0)
		err = read_webhooks(o, ret, d);
	return err == 0 ? read_common(o, ret, d) : err;
}

void serving_arguments(const struct options *o, const char *out[])
{
	static const struct option_row rows[] = { SERVING_ROWS };
	static char names[sizeof(rows) / sizeof(rows[0])][NAME_MAX_LEN];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (options_is_default(o, rows[i].name))
			continue;
		snprintf(names[i], sizeof(names[i]), "--%s", rows[i].name);
		out[n++] = names[i];
		out[n++] = options_get(o, rows[i].name);
	}
	out[n] = NULL;
}
