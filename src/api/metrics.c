/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A dialect is a table of metrics. An answer walks through it; each metric that has a
 * line for every peer is one walk through the peers, in pieces of a block, between which others are
 * served and peers may come and go: the walk goes on behind the id it had reached. The first walk adds up
 * what the totals at the end of the table say. What the interface said is looked up anew for each piece,
 * because it does not outlive one.
 */
#include "api/metrics.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "base/codec.h"
#include "gateway/sessions.h"
#include "sys/clock.h"

enum {
	LINE_MAX_LEN = 4096, /* longest line, all labels escaped */
	WGD_KEY_LEN = 16,
	ADDED_PER_TURN = 4000, /* peers; two milliseconds */
	STATUS_CLASSES_FIRST = 2,
};

static const uint64_t SECOND_NS = 1000000000;
static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

/* What a metric says. Up to VALUE_PEER_LAST it has a line for each peer. */
enum value {
	VALUE_SENT = 1,
	VALUE_RECEIVED,
	VALUE_HANDSHAKE_AT,  /* seconds since 1970; 0: never */
	VALUE_HANDSHAKE_AGE, /* seconds; 0: never */
	VALUE_HANDSHAKE_AGE_IF_ANY,
	VALUE_UP,
	VALUE_PEER_LAST = VALUE_UP,
	VALUE_PEERS,
	VALUE_ENABLED,
	VALUE_CONNECTED,
	VALUE_ALL_SENT,
	VALUE_ALL_RECEIVED,
	VALUE_INTERFACES,
	VALUE_OBSERVED_AGE,
	VALUE_DRIFT,
	VALUE_ANSWERS, /* a line for each class of statuses */
	VALUE_EVENTS_WAITING,
	VALUE_EVENTS_DELIVERED,
	VALUE_EVENTS_FAILED,
	VALUE_EVENTS_MISSED,
};

enum kind {
	KIND_COUNTER,
	KIND_GAUGE,
};

/* struct metric - @name has one HELP and one TYPE, so one row */
struct metric {
	const char *name;
	const char *help;
	enum kind kind;
	enum value value;
};

/* struct counted - Of one peer, or of all */
struct counted {
	uint64_t rx;
	uint64_t tx;
	uint64_t handshake_s; /* 0: never */
	bool is_connected;
};

struct scrape;

/* struct dialect - @put_labels writes those of a peer, without braces */
struct dialect {
	const char *word;
	const struct metric *metrics;
	size_t n;
	char *(*put_labels)(char *to, const struct scrape *s, const struct peer *peer);
};

/**
 * struct scrape - One answer on its way
 * @at:		The metric it is at, and @after the peer, by id
 * @is_inside:	HELP and TYPE of @at were written
 * @adds_up:	No walk through the peers has come to its end
 * @account_id:	Only that one's peers; 0: all
 * @is_waiting:	The interface was asked; @is_closed: and nobody reads any more
 * @block:	@filled octets, of which @sent were taken
 */
struct scrape {
	struct api *api;
	struct http_exchange *x;
	bool is_waiting;
	bool is_closed;
	const struct dialect *dialect;
	size_t at;
	int64_t after;
	bool is_inside;
	bool adds_up;
	bool has_peers;
	int64_t account_id;
	uint64_t wall_ns;
	struct counted all;
	uint64_t n_peers;
	uint64_t n_enabled;
	uint64_t n_connected;
	size_t filled;
	size_t sent;
	char block[METRICS_BLOCK];
};

/* --- Text --- */

static char *put_octets(char *to, const char *data, size_t len)
{
	memcpy(to, data, len);
	return to + len;
}

static char *put(char *to, const char *text)
{
	return put_octets(to, text, strlen(text));
}

static char *put_number(char *to, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		*to++ = digits[--n];
	return to;
}

/* A label's value: backslash, quote and line end are escaped. */
static char *put_value(char *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			to = put(to, "\\n");
			continue;
		}
		if (*text == '\\' || *text == '"')
			*to++ = '\\';
		*to++ = *text;
	}
	return to;
}

/* "name=\"value\"", with a comma in front where it is not the first. */
static char *put_label(char *to, const char *before, const char *value)
{
	to = put(to, before);
	to = put_value(to, value);
	*to++ = '"';
	return to;
}

static char *put_interface(char *to, const struct scrape *s)
{
	return put_label(to, "interface=\"", gateway_config(s->api->gateway)->interface);
}

static char *put_key(char *to, const struct peer *peer, size_t len)
{
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(peer->public_key, key);
	key[len] = '\0';
	return put_label(to, ",public_key=\"", key);
}

static char *put_addresses(char *to, const char *before, const struct peer *peer)
{
	const struct ip_addr *addresses[] = { &peer->v4, &peer->v6 };
	char text[ADDR_TEXT_MAX];
	bool is_first = true;

	to = put(to, before);
	for (int i = 0; i < 2; i++) {
		struct ip_prefix p = { *addresses[i], (uint8_t)ip_addr_bits(addresses[i]) };

		if (p.ip.family == ADDR_NONE)
			continue;
		to = put(to, is_first ? "" : ",");
		to = put(to, ip_prefix_format(&p, text));
		is_first = false;
	}
	if (peer->routes && peer->routes[0]) {
		to = put(to, is_first ? "" : ",");
		to = put_value(to, peer->routes);
	}
	*to++ = '"';
	return to;
}

/* --- Labels --- */

static char *put_exporter_labels(char *to, const struct scrape *s, const struct peer *peer)
{
	to = put_interface(to, s);
	to = put_key(to, peer, KEY_BASE64_LEN);
	to = put_addresses(to, ",allowed_ips=\"", peer);
	return peer->name[0] ? put_label(to, ",friendly_name=\"", peer->name) : to;
}

static char *put_easy_labels(char *to, const struct scrape *s, const struct peer *peer)
{
	char text[ADDR_TEXT_MAX] = "";

	to = put_interface(to, s);
	to = put_label(to, ",enabled=\"", peer->status == STORE_PEER_ACTIVE ? "true" : "false");
	to = put_label(to, ",address=\"", ip_addr_format(&peer->v4, text));
	return put_label(to, ",name=\"", peer->name);
}

static char *put_portal_labels(char *to, const struct scrape *s, const struct peer *peer)
{
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(peer->public_key, key);
	to = put_interface(to, s);
	to = put_addresses(to, ",addresses=\"", peer);
	to = put_label(to, ",id=\"", key);
	return put_label(to, ",name=\"", peer->name);
}

static char *put_wgd_labels(char *to, const struct scrape *s, const struct peer *peer)
{
	return put_key(put_interface(to, s), peer, WGD_KEY_LEN);
}

/* --- The dialects --- */

static const struct metric exporter_metrics[] = {
	{ "wireguard_sent_bytes_total", "Octets sent to the peer", KIND_COUNTER, VALUE_SENT },
	{ "wireguard_received_bytes_total", "Octets received from the peer", KIND_COUNTER,
	  VALUE_RECEIVED },
	{ "wireguard_latest_handshake_seconds", "When the last handshake was, since 1970",
	  KIND_GAUGE, VALUE_HANDSHAKE_AT },
	{ "culvert_sent_bytes", "Octets sent to all peers there are", KIND_GAUGE,
	  VALUE_ALL_SENT },
	{ "culvert_received_bytes", "Octets received from all peers there are", KIND_GAUGE,
	  VALUE_ALL_RECEIVED },
	{ "culvert_peers", "Peers there are", KIND_GAUGE, VALUE_PEERS },
	{ "culvert_peers_enabled", "Peers that are enabled", KIND_GAUGE, VALUE_ENABLED },
	{ "culvert_peers_connected", "Peers with a handshake no session outlives", KIND_GAUGE,
	  VALUE_CONNECTED },
	{ "culvert_observation_age_seconds", "How old what the interface said is", KIND_GAUGE,
	  VALUE_OBSERVED_AGE },
	{ "culvert_drift_total", "Changes to the interface that somebody else made",
	  KIND_COUNTER, VALUE_DRIFT },
	{ "culvert_http_requests_total", "Requests answered", KIND_COUNTER, VALUE_ANSWERS },
	{ "culvert_webhook_events_waiting", "Events that webhooks have not got yet", KIND_GAUGE,
	  VALUE_EVENTS_WAITING },
	{ "culvert_webhook_events_delivered_total", "Events that webhooks have got",
	  KIND_COUNTER, VALUE_EVENTS_DELIVERED },
	{ "culvert_webhook_tries_failed_total", "Tries to deliver that did not succeed",
	  KIND_COUNTER, VALUE_EVENTS_FAILED },
	{ "culvert_webhook_events_missed_total",
	  "Events that were dropped before a webhook got them", KIND_COUNTER,
	  VALUE_EVENTS_MISSED },
};

static const struct metric easy_metrics[] = {
	{ "wireguard_sent_bytes", "Octets sent to the peer", KIND_COUNTER, VALUE_SENT },
	{ "wireguard_received_bytes", "Octets received from the peer", KIND_COUNTER,
	  VALUE_RECEIVED },
	{ "wireguard_latest_handshake_seconds", "Seconds since the last handshake", KIND_GAUGE,
	  VALUE_HANDSHAKE_AGE },
	{ "wireguard_configured_peers", "Peers there are", KIND_GAUGE, VALUE_PEERS },
	{ "wireguard_enabled_peers", "Peers that are enabled", KIND_GAUGE, VALUE_ENABLED },
	{ "wireguard_connected_peers", "Peers that are connected", KIND_GAUGE,
	  VALUE_CONNECTED },
};

static const struct metric portal_metrics[] = {
	{ "wireguard_peer_up", "Whether the peer is connected", KIND_GAUGE, VALUE_UP },
	{ "wireguard_peer_last_handshake_seconds", "When the last handshake was, since 1970",
	  KIND_GAUGE, VALUE_HANDSHAKE_AT },
	{ "wireguard_peer_received_bytes_total", "Octets received from the peer", KIND_COUNTER,
	  VALUE_RECEIVED },
	{ "wireguard_peer_sent_bytes_total", "Octets sent to the peer", KIND_COUNTER,
	  VALUE_SENT },
	{ "wireguard_interface_received_bytes_total", "Octets received", KIND_GAUGE,
	  VALUE_ALL_RECEIVED },
	{ "wireguard_interface_sent_bytes_total", "Octets sent", KIND_GAUGE, VALUE_ALL_SENT },
};

static const struct metric wgd_metrics[] = {
	{ "wireguard_peer_last_handshake_seconds", "Seconds since the last handshake",
	  KIND_GAUGE, VALUE_HANDSHAKE_AGE_IF_ANY },
	{ "wireguard_peer_receive_bytes_total", "Octets received from the peer", KIND_COUNTER,
	  VALUE_RECEIVED },
	{ "wireguard_peer_transmit_bytes_total", "Octets sent to the peer", KIND_COUNTER,
	  VALUE_SENT },
	{ "wireguard_peers_total", "Peers there are", KIND_GAUGE, VALUE_PEERS },
	{ "wireguard_peers_active", "Peers that are connected", KIND_GAUGE, VALUE_CONNECTED },
	{ "wireguard_interface_receive_bytes_total", "Octets received", KIND_GAUGE,
	  VALUE_ALL_RECEIVED },
	{ "wireguard_interface_transmit_bytes_total", "Octets sent", KIND_GAUGE,
	  VALUE_ALL_SENT },
	{ "wireguard_interface_count", "Interfaces there are", KIND_GAUGE, VALUE_INTERFACES },
};

#define DIALECT(word_, metrics_, put_)                                                \
	{                                                                             \
		(word_), (metrics_), sizeof(metrics_) / sizeof((metrics_)[0]), (put_) \
	}

/* The first is the one of whoever asks for none. */
static const struct dialect dialects[] = {
	DIALECT("exporter", exporter_metrics, put_exporter_labels),
	DIALECT("wg-easy", easy_metrics, put_easy_labels),
	DIALECT("wg-portal", portal_metrics, put_portal_labels),
	DIALECT("wgd", wgd_metrics, put_wgd_labels),
};

/* --- Counting --- */

static struct counted count(const struct scrape *s, const struct observation *seen,
			    const struct peer *peer)
{
	const struct observed *o = seen ? observation_find(seen, peer->public_key) : NULL;
	struct counted c = { .rx = 0 };
	struct usage known;

	lives_usage(s->api->lives, peer->id, &known);
	c.rx = known.rx;
	c.tx = known.tx;
	if (!o)
		return c;
	c.rx += usage_more(o->rx_bytes, known.seen_rx);
	c.tx += usage_more(o->tx_bytes, known.seen_tx);
	c.handshake_s = o->last_handshake_ns / SECOND_NS;
	c.is_connected = o->last_handshake_ns != 0 &&
			 o->last_handshake_ns + SESSION_SILENT_S * SECOND_NS > s->wall_ns;
	return c;
}

static void add_up(struct scrape *s, const struct peer *peer, const struct counted *c)
{
	s->all.rx += c->rx;
	s->all.tx += c->tx;
	s->n_peers++;
	s->n_enabled += peer->status == STORE_PEER_ACTIVE;
	s->n_connected += c->is_connected;
}

/* The next peer behind @after that counts. */
static const struct peer *next_peer(const struct scrape *s, const struct peer *peer)
{
	while (peer && s->account_id != 0 && peer->account_id != s->account_id)
		peer = peer->next;
	return peer;
}

/* --- Lines --- */

static uint64_t age_s(const struct scrape *s, uint64_t at_s)
{
	uint64_t now_s = s->wall_ns / SECOND_NS;

	return at_s != 0 && at_s < now_s ? now_s - at_s : 0;
}

static uint64_t value_of_peer(const struct scrape *s, enum value which, const struct counted *c)
{
	switch (which) {
	case VALUE_SENT:
		return c->tx;
	case VALUE_RECEIVED:
		return c->rx;
	case VALUE_HANDSHAKE_AT:
		return c->handshake_s;
	case VALUE_HANDSHAKE_AGE:
	case VALUE_HANDSHAKE_AGE_IF_ANY:
		return age_s(s, c->handshake_s);
	default:
		return c->is_connected;
	}
}

static uint64_t value_of_webhooks(const struct scrape *s, enum value which)
{
	struct webhook_state all;

	webhooks_totals(s->api->webhooks, &all);
	switch (which) {
	case VALUE_EVENTS_WAITING:
		return all.pending;
	case VALUE_EVENTS_DELIVERED:
		return all.delivered;
	case VALUE_EVENTS_FAILED:
		return all.failed;
	default:
		return all.missed;
	}
}

static uint64_t value_of_all(const struct scrape *s, enum value which)
{
	uint64_t at_ns = 0;

	if (which >= VALUE_EVENTS_WAITING)
		return value_of_webhooks(s, which);

	switch (which) {
	case VALUE_PEERS:
		return s->n_peers;
	case VALUE_ENABLED:
		return s->n_enabled;
	case VALUE_CONNECTED:
		return s->n_connected;
	case VALUE_ALL_SENT:
		return s->all.tx;
	case VALUE_ALL_RECEIVED:
		return s->all.rx;
	case VALUE_OBSERVED_AGE:
		observer_last(s->api->observer, &at_ns);
		return (clock_boot_ns() - at_ns) / SECOND_NS;
	case VALUE_DRIFT:
		return drift_total(&s->api->reconcile->drift);
	default:
		return 1;
	}
}

static char *put_header(char *to, const struct metric *m)
{
	to = put(put(put(to, "# HELP "), m->name), " ");
	to = put(put(to, m->help), "\n# TYPE ");
	to = put(to, m->name);
	return put(to, m->kind == KIND_COUNTER ? " counter\n" : " gauge\n");
}

static char *put_peer(char *to, const struct scrape *s, const struct metric *m,
		      const struct peer *peer, const struct counted *c)
{
	if (m->value == VALUE_HANDSHAKE_AGE_IF_ANY && c->handshake_s == 0)
		return to;
	to = put(put(to, m->name), "{");
	to = put(s->dialect->put_labels(to, s, peer), "} ");
	to = put_number(to, value_of_peer(s, m->value, c));
	*to++ = '\n';
	return to;
}

static char *put_answers(char *to, const struct scrape *s, const struct metric *m)
{
	for (unsigned int first = STATUS_CLASSES_FIRST; first < API_STATUS_CLASSES; first++) {
		to = put(put(to, m->name), "{code=\"");
		*to++ = (char)('0' + first);
		to = put_number(put(to, "xx\"} "), s->api->answers[first]);
		*to++ = '\n';
	}
	return to;
}

static char *put_total(char *to, const struct scrape *s, const struct metric *m)
{
	to = put_header(to, m);
	if (m->value == VALUE_ANSWERS)
		return put_answers(to, s, m);
	to = put(to, m->name);
	if (m->value != VALUE_INTERFACES)
		to = put(put_interface(put(to, "{"), s), "}");
	to = put_number(put(to, " "), value_of_all(s, m->value));
	*to++ = '\n';
	return to;
}

/* --- Walking --- */

static bool has_room(const struct scrape *s)
{
	return s->filled + LINE_MAX_LEN <= sizeof(s->block);
}

/* On through the peers until the block is full or they are at their end. @m NULL: only add up, some of
 * them in one turn. Return: may it go on in this turn? */
static bool walk(struct scrape *s, const struct metric *m)
{
	int left = m ? INT_MAX : ADDED_PER_TURN;
	const struct peers *peers = gateway_peers(s->api->gateway);
	const struct observation *seen = observer_last(s->api->observer, NULL);
	const struct peer *peer = next_peer(s, peers_after(peers, s->after));

	for (; peer && has_room(s) && left-- > 0; peer = next_peer(s, peer->next)) {
		struct counted c = count(s, seen, peer);
		char *end = s->block + s->filled;

		if (m)
			end = put_peer(end, s, m, peer, &c);
		s->filled = (size_t)(end - s->block);
		if (s->adds_up)
			add_up(s, peer, &c);
		s->after = peer->id;
	}
	if (peer)
		return m != NULL;
	s->adds_up = false;
	s->after = 0;
	s->is_inside = false;
	s->at += m != NULL;
	return true;
}

/* More of the metric @s is at. Return: may it go on in this turn? */
static bool proceed(struct scrape *s)
{
	const struct metric *m = &s->dialect->metrics[s->at];
	char *end = s->block + s->filled;

	if (m->value > VALUE_PEER_LAST && s->adds_up)
		return walk(s, NULL); /* no metric has walked through the peers */
	if (m->value > VALUE_PEER_LAST) {
		/* How busy we are is nothing that an account's key shows. */
		if (m->value < VALUE_ANSWERS || s->account_id == 0)
			s->filled = (size_t)(put_total(end, s, m) - s->block);
		s->at++;
	} else if (!s->has_peers) {
		s->at++;
	} else {
		if (!s->is_inside)
			s->filled = (size_t)(put_header(end, m) - s->block);
		s->is_inside = true;
		if (has_room(s))
			walk(s, m);
	}
	return true;
}

static ssize_t read_scrape(void *context, char *out, size_t max)
{
	struct scrape *s = context;
	bool goes_on = true;
	size_t len;

	if (s->sent == s->filled) {
		if (s->is_waiting)
			return 0;
		s->sent = s->filled = 0;
		while (goes_on && s->at < s->dialect->n && has_room(s))
			goes_on = proceed(s);
	}
	len = s->filled - s->sent;
	if (len == 0)
		return goes_on ? -1 : HTTP_STREAM_PAUSE;
	if (len > max)
		len = max;
	memcpy(out, s->block + s->sent, len);
	s->sent += len;
	return (ssize_t)len;
}

/* --- The request --- */

static const struct dialect *find_dialect(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
		if (strlen(dialects[i].word) == len && memcmp(dialects[i].word, word, len) == 0)
			return &dialects[i];
	}
	return NULL;
}

static bool is_pair(const char *text, size_t len, const char *wanted)
{
	return strlen(wanted) == len && memcmp(text, wanted, len) == 0;
}

static bool read_query(const char *query, struct scrape *s)
{
	static const char compat[] = "compat=";
	const size_t compat_len = sizeof(compat) - 1;

	while (*query) {
		size_t len = strcspn(query, "&");

		if (is_pair(query, len, "peers=on"))
			s->has_peers = true;
		else if (is_pair(query, len, "peers=off"))
			s->has_peers = false;
		else if (len > compat_len && memcmp(query, compat, compat_len) == 0)
			s->dialect = find_dialect(query + compat_len, len - compat_len);
		else
			return false;
		query += len + (query[len] == '&');
	}
	return s->dialect != NULL;
}

static void close_scrape(void *context)
{
	struct scrape *s = context;

	observer_release(s->api->observer);
	s->is_closed = true;
	if (!s->is_waiting)
		free(s);
}

static void observed(void *context, int err, const struct observation *seen)
{
	struct scrape *s = context;

	(void)err, (void)seen; /* without it there are the counters of before */
	s->is_waiting = false;
	if (s->is_closed)
		free(s);
	else
		http_stream_wake(s->x);
}

static struct scrape *scrape_new(const struct call *call)
{
	struct scrape *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	memset(s, 0, offsetof(struct scrape, block));
	s->api = call->api;
	s->x = call->x;
	s->dialect = &dialects[0];
	s->adds_up = true;
	s->has_peers = !call->api->metrics_without_peers;
	s->account_id = call->who.account_id;
	s->wall_ns = call->now_ns;
	return s;
}

/* The answer begins at once, with what is known already. */
static void ask_again(struct scrape *s)
{
	uint64_t at_ns = 0, now_ns = clock_boot_ns();

	if (observer_last(s->api->observer, &at_ns) &&
	    now_ns - at_ns < METRICS_AGE_S * SECOND_NS)
		return;
	s->filled = (size_t)(put(s->block, "# The interface is asked.\n") - s->block);
	s->is_waiting = true;
	if (observer_look(s->api->observer, now_ns, observed, s) != 0)
		s->is_waiting = false;
}

void metrics_show(struct call *call)
{
	struct scrape *s = scrape_new(call);

	if (!s) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	if (!read_query(call->match.query, s)) {
		free(s);
		call_refuse(call, 400,
			    "The query takes compat (exporter, wg-easy, wg-portal or wgd) and"
			    " peers (on or off)");
		return;
	}
	observer_hold(call->api->observer);
	ask_again(s);
	call_stream(call, content_type, read_scrape, close_scrape, s);
}

static const struct route routes[] = {
	ROUTE(HTTP_GET, "/metrics", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, metrics_show),
};

const struct surface surface_metrics = {
	.name = "metrics",
	.family = SURFACE_TEXT,
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
};
