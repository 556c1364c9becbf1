/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/places.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/own_address.h"
#include "api/surface.h"
#include "cmd/options.h"
#include "cmd/shelf.h"
#include "sys/log.h"

/* What a place serves. */
static const struct surface *const *surfaces_of(enum serving_surface which)
{
	static const struct surface *const served[SERVING_SURFACES][4] = {
		[SERVING_GATEWAY] = { &surface_contract, &surface_own, &surface_links },
		[SERVING_LINKS] = { &surface_links },
		[SERVING_AGENT] = { &surface_agent },
		[SERVING_USERS] = { &surface_users },
		[SERVING_STATUS] = { &surface_status },
		[SERVING_METRICS] = { &surface_metrics },
	};

	return served[which];
}

static void add_surfaces(struct surface_listener *l, enum serving_surface which)
{
	const struct surface *const *add = surfaces_of(which);
	size_t n = 0;

	while (l->surfaces[n])
		n++;
	for (; *add && n < SURFACES_PER_LISTENER_MAX; add++)
		l->surfaces[n++] = *add;
}

/* The listener that is there already for this address; -1: none. */
static int find_shared(const struct places *s, const struct serving_place *wanted,
		       const int number[SERVING_SURFACES])
{
	for (int i = 0; i < SERVING_SURFACES; i++) {
		const struct serving_place *p = &s->serving.place[i];

		if (number[i] >= 0 && p->is_shared && p->scheme == wanted->scheme &&
		    p->at.port == wanted->at.port && p->at.port != 0 &&
		    ip_addr_equal(&p->at.ip, &wanted->at.ip) &&
		    strcmp(p->path, wanted->path) == 0)
			return number[i];
	}
	return -1;
}

static int open_listener(struct places *s, const struct serving_place *p, char *shown,
			 struct diag *d)
{
	struct http_listener *l = &s->http.listeners[s->http.n_listeners];
	int fd = listen_open(p, shown, d);

	if (fd < 0)
		return fd;
	*l = (struct http_listener){ .fd = fd, .is_local = p->scheme == SERVING_UNIX };
	if (p->scheme == SERVING_HTTPS) {
		l->cert = s->certificate.cert;
		l->key = s->certificate.key;
	}
	return (int)s->http.n_listeners++;
}

static bool is_any(const struct ip_addr *a)
{
	const struct ip_addr v4 = { .family = ADDR_V4 }, v6 = { .family = ADDR_V6 };

	return ip_addr_equal(a, &v4) || ip_addr_equal(a, &v6);
}

/* What links begin with: the name that clients know us by, or the address that is listened on. The last
 * place that is asked counts. */
static void name_links(struct places *s, const struct serving_place *p, const char *shown)
{
	const char *port = strrchr(shown, ':'), *endpoint = s->api->endpoint;
	const char *scheme = p->scheme == SERVING_HTTPS ? "https" : "http";
	struct ip_addr own = p->at.ip;
	char text[ADDR_TEXT_MAX];
	size_t len = strcspn(endpoint, ":");

	s->api->link_base[0] = '\0';
	if (p->scheme == SERVING_UNIX || !port)
		return;
	if (endpoint[0] == '[')
		len = strcspn(endpoint, "]") + 1;
	else if (strchr(endpoint, ':') != strrchr(endpoint, ':'))
		len = 0; /* a bare address of IPv6 */
	if (is_any(&own) && len > 0)
		snprintf(s->api->link_base, sizeof(s->api->link_base), "%s://%.*s%s", scheme,
			 (int)len, endpoint, port);
	else if (!is_any(&own) || own_address_towards_internet(&own) == 0)
		snprintf(s->api->link_base, sizeof(s->api->link_base),
			 own.family == ADDR_V6 ? "%s://[%s]%s" : "%s://%s%s", scheme,
			 ip_addr_format(&own, text), port);
}

static int open_place(struct places *s, enum serving_surface which,
		      int number[SERVING_SURFACES], struct diag *d)
{
	const struct serving_place *p = &s->serving.place[which];
	char shown[LISTEN_SHOWN_MAX];
	struct surface_listener *l;
	int at;

	if (p->scheme == SERVING_OFF)
		return 0;
	at = find_shared(s, p, number);
	if (at < 0) {
		at = open_listener(s, p, which == SERVING_GATEWAY ? s->shown : shown, d);
		if (at < 0)
			return at;
		if (which != SERVING_GATEWAY)
			log_info("%s: %s", serving_name(which), shown);
		if (which == SERVING_GATEWAY || which == SERVING_LINKS)
			name_links(s, p, which == SERVING_GATEWAY ? s->shown : shown);
	}
	number[which] = at;
	l = &s->api->listeners[at];
	add_surfaces(l, which);
	l->allowed = p->allowed;
	l->n_allowed = p->n_allowed;
	return 0;
}

static bool wants_tls(const struct serving *serving)
{
	for (int i = 0; i < SERVING_SURFACES; i++) {
		if (serving->place[i].scheme == SERVING_HTTPS)
			return true;
	}
	return false;
}

static int open_certificate(struct places *s, const struct options *o, struct diag *d)
{
	const char *cert = options_get(o, "tls-cert"), *key = options_get(o, "tls-key");
	char own_cert[PATH_MAX], own_key[PATH_MAX];
	int err;

	if (!wants_tls(&s->serving))
		return 0;
	if (!cert != !key)
		return diag_set(d, ERR_FORMAT, 0, "tls cert and tls key belong together");
	snprintf(own_cert, sizeof(own_cert), "%s/cert.pem", s->state);
	snprintf(own_key, sizeof(own_key), "%s/key.pem", s->state);
	err = certificate_read(cert ? cert : own_cert, key ? key : own_key, !cert,
			       s->api->endpoint[0] ? s->api->endpoint : "localhost",
			       &s->certificate, d);
	if (err == 0)
		log_info("https: certificate with SHA-256 fingerprint %s",
			 s->certificate.fingerprint);
	return err;
}

static int open_local(struct places *s, struct diag *d)
{
	unsigned int at = s->http.n_listeners;
	int fd = listen_local(s->socket_path, d);

	if (fd < 0)
		return fd;
	s->http.listeners[at] = (struct http_listener){ .fd = fd, .is_local = true };
	s->http.n_listeners++;
	add_surfaces(&s->api->listeners[at], SERVING_GATEWAY);
	return 0;
}

/* Whoever comes after this process may serve those who wait. */
static void leave_for_the_next(const struct places *s)
{
	int fds[HTTP_LISTENERS_MAX];
	int err;

	for (unsigned int i = 0; i < s->http.n_listeners; i++)
		fds[i] = s->http.listeners[i].fd;
	err = shelf_put(s->shelf[0], s->shelf[1], fds, s->http.n_listeners);
	if (err != 0)
		log_warning("the next process will have to listen anew: %s", err_text(err));
}

int places_open(struct places *s, const struct options *o, struct diag *d)
{
	int number[SERVING_SURFACES];
	int err = serving_read(o, &s->serving, d);

	memset(number, -1, sizeof(number));
	s->api->needs_version_2 = s->serving.needs_version_2;
	s->api->switches = s->serving.switches;
	s->api->metrics_without_peers = s->serving.metrics_without_peers;
	s->api->allowance.per_s = s->serving.request_rate;
	if (s->shelf[1] >= 0)
		shelf_look(s->shelf[1]);
	if (err == 0)
		err = open_certificate(s, o, d);
	for (enum serving_surface which = 0; which < SERVING_SURFACES && err == 0; which++)
		err = open_place(s, which, number, d);
	if (s->serving.links_url[0])
		snprintf(s->api->link_base, sizeof(s->api->link_base), "%s",
			 s->serving.links_url);
	if (err == 0)
		err = open_local(s, d);
	if (err == 0 && s->shelf[0] >= 0)
		leave_for_the_next(s);
	return err;
}

void places_done(struct places *s)
{
	certificate_done(&s->certificate);
}

void places_say_first_steps(const struct places *s)
{
	printf("  a first client    culvert gateway peer add NAME\n"
	       "  a key of the API  culvert gateway key add NAME --role operator\n"
	       "  its signing key   %s/api.key\n"
	       "  its description   %s/docs\n"
	       "  what goes on      journal and GET /api/v1/events; metrics in GET /metrics\n",
	       s->state, s->shown);
}
