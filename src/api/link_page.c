/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is behind a link: a page with two buttons, and behind those the file, or the file as a code to
 * scan. Messengers that look at links for a preview send GET, which uses nothing up.
 *
 * A link that never was, was used up, or whose time is over answers the same, and is a failure that makes
 * its source wait: the token is found by a hash of it, so how long looking takes tells nothing of it. The
 * failures are counted apart from those to prove who one is: any page can make a browser ask for links,
 * and would lock an admin, or everybody behind one address, out of the API.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/links.h"
#include "api/surface.h"
#include "auth/penalty.h"
#include "conf/qr.h"
#include "sys/clock.h"

static const char html[] = "text/html; charset=utf-8";
static const char policy[] =
	"default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
static const char head[] =
	"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width\">"
	"<meta name=\"robots\" content=\"noindex\">"
	"<meta name=\"referrer\" content=\"no-referrer\"><title>VPN configuration</title></head>"
	"<body><h1>VPN configuration</h1>\n";
static const char tail[] = "</body></html>\n";

/* --- Pages --- */

static void put_escaped(struct text *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '&')
			text_puts(out, "&amp;");
		else if (text[i] == '<')
			text_puts(out, "&lt;");
		else if (text[i] == '>')
			text_puts(out, "&gt;");
		else if (text[i] == '"')
			text_puts(out, "&quot;");
		else
			text_add(out, &text[i], 1);
	}
}

static void send_page(struct call *call, unsigned int status, struct text *page)
{
	const struct http_field fields[] = { { "Content-Security-Policy", policy },
					     { "X-Robots-Tag", "noindex" },
					     { "Referrer-Policy", "no-referrer" } };

	text_puts(page, tail);
	call_reply_whole(call, status, html, page, fields, sizeof(fields) / sizeof(fields[0]));
}

static void send_gone(struct call *call)
{
	const struct ip_addr *from = &http_exchange_request(call->x)->remote;
	struct text page = { .data = NULL };

	penalty_failed(call->api->link_failures, from, clock_boot_ns());
	text_puts(&page, head);
	text_puts(&page,
		  "<p>This link does not work, or not any more: it was used already, or its"
		  " time is over. Ask for a new one.</p>\n");
	send_page(call, 410, &page);
}

/* The picture without the line that belongs to a file of its own. */
static void put_code(struct text *page, const struct text *file)
{
	struct text svg = { .data = NULL };
	struct qr qr = { .width = 0 };
	struct diag d = { .text = "" };
	const char *at;

	if (qr_make(file->data, file->len, QR_WIDTH_MAX, &qr, &d) == 0)
		qr_write_svg(&svg, &qr);
	at = svg.err == 0 && svg.data ? strstr(svg.data, "<svg") : NULL;
	if (at)
		text_puts(page, at);
	else
		text_puts(page, "<p>This configuration is too long for one code: take it as a"
				" text.</p>\n");
	text_done(&svg);
	qr_done(&qr);
}

static void send_code(struct call *call, struct text *file)
{
	struct text page = { .data = NULL };

	text_puts(&page, head);
	text_puts(&page,
		  "<p>Scan this with the app now: the page cannot be called up again.</p>\n");
	put_code(&page, file);
	text_puts(&page, "<pre>");
	put_escaped(&page, file->data, file->len);
	text_puts(&page, "</pre>\n");
	text_done(file);
	send_page(call, 200, &page);
}

/* A name that programs take for an interface: 15 of the letters that are everywhere allowed. */
static void name_file(const struct peer *peer, char out[64])
{
	char name[16] = "vpn";
	size_t n = 0;

	for (const char *c = peer->name; *c && n < sizeof(name) - 1; c++) {
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
		    (*c >= '0' && *c <= '9') || *c == '-' || *c == '_')
			name[n++] = *c;
	}
	if (n > 0)
		name[n] = '\0';
	snprintf(out, 64, "attachment; filename=\"%s.conf\"", name);
}

static void send_file(struct call *call, struct text *file, const struct peer *peer)
{
	char disposition[64];
	const struct http_field fields[] = { { "Content-Security-Policy", policy },
					     { "Content-Disposition", disposition },
					     { "X-Robots-Tag", "noindex" },
					     { "Referrer-Policy", "no-referrer" } };

	name_file(peer, disposition);
	call_reply_whole(call, 200, "application/octet-stream", file, fields,
			 sizeof(fields) / sizeof(fields[0]));
}

/* --- Finding --- */

/* struct found - @peer still has the key that the link was made for */
struct found {
	uint8_t token[LINK_TOKEN_LEN];
	const struct record *record;
	const struct peer *peer;
	struct link_record link;
};

static void found_done(struct found *f)
{
	secret_wipe(f->token, sizeof(f->token));
	link_record_done(&f->link);
}

static bool find(const struct call *call, struct found *f)
{
	const struct gateway *g = call->api->gateway;
	char name[STORE_NAME_MAX + 1];

	if (link_token_read(call->match.part, call->match.part_len, f->token) != 0)
		return false;
	link_name(call->api->suite, f->token, name);
	f->record = records_find_name(gateway_records(g), STORE_LINK, name);
	if (!f->record || link_record_read(f->record->body, &f->link) != 0)
		return false;
	f->peer = peers_find_id(gateway_peers(g), f->link.peer_id);
	return f->peer && f->link.until_ns > call->now_ns && f->link.uses > 0 &&
	       memcmp(f->peer->public_key, f->link.public_key, 32) == 0;
}

/* Return: false when it was answered. */
static bool may_try(struct call *call)
{
	unsigned int wait_s =
		penalty_wait_s(call->api->link_failures,
			       &http_exchange_request(call->x)->remote, clock_boot_ns());

	if (wait_s == 0)
		return true;
	call_refuse_for(call, wait_s, "Too many links that do not work; wait");
	return false;
}

/* --- Handlers --- */

static void show(struct call *call)
{
	struct found f = { .record = NULL };
	struct text page = { .data = NULL };

	if (!may_try(call))
		return;
	if (!find(call, &f)) {
		found_done(&f);
		send_gone(call);
		return;
	}
	text_puts(&page, head);
	text_puts(&page, "<p>");
	put_escaped(&page, f.peer->name, strlen(f.peer->name));
	text_printf(&page,
		    "</p>\n<p>It holds a private key. %s</p>\n"
		    "<form method=\"post\"><p><button name=\"as\" value=\"file\">Download the"
		    " file</button></p><p><button name=\"as\" value=\"qr\">Show a code to"
		    " scan</button></p></form>\n",
		    f.link.uses == 1 ? "It is given once: choose one." : "");
	found_done(&f);
	send_page(call, 200, &page);
}

static bool wants_code(const struct call *call)
{
	const struct http_request *r = http_exchange_request(call->x);

	return r->body_len == 5 && memcmp(r->body, "as=qr", 5) == 0;
}

/* Now it is used up on the disk, whatever becomes of this answer. */
static void taken(void *context, int err, int carried, const struct peer *unused)
{
	struct call *call = context;
	const struct peer *peer = peers_find_id(gateway_peers(call->api->gateway), call->id);
	const char *kept = json_string_value(call->value);
	struct text file = { .data = NULL };

	(void)carried, (void)unused;
	if (err == ERR_UNKNOWN || (err == 0 && (!peer || !kept))) {
		send_gone(call);
		return;
	}
	if (err != 0) {
		call_fail(call, err, NULL);
		return;
	}
	text_puts(&file, kept);
	if (wants_code(call))
		send_code(call, &file);
	else
		send_file(call, &file, peer);
}

static int use_up(struct call *call, struct found *f)
{
	struct gateway_grant grant = { .now_ns = call->now_ns };
	char detail[STORE_NAME_MAX + ADDR_TEXT_MAX + 64], from[ADDR_TEXT_MAX] = "this host";
	const struct ip_addr *remote = &http_exchange_request(call->x)->remote;
	struct text body = { .data = NULL };
	int err;

	if (remote->family != ADDR_NONE)
		ip_addr_format(remote, from);
	snprintf(detail, sizeof(detail), "peer %lld %s, from %s", (long long)f->peer->id,
		 f->peer->name, from);
	snprintf(grant.who, sizeof(grant.who), "link %lld", (long long)f->record->id);
	grant.detail = detail;
	if (f->link.uses == 1)
		return gateway_drop_record(call->api->gateway, STORE_LINK, f->record->id,
					   "link.use", &grant, taken, call);
	f->link.uses--;
	link_record_write(&f->link, &body);
	err = body.err;
	if (err == 0)
		err = gateway_put_record(call->api->gateway, STORE_LINK, f->record->id,
					 f->record->name, body.data, "link.use", &grant, taken,
					 call);
	text_done(&body);
	return err;
}

static void take(struct call *call)
{
	struct found f = { .record = NULL };
	struct text file = { .data = NULL };
	int err;

	json_decref(call->value); /* of a try that met another one */
	call->value = NULL;
	if (!may_try(call))
		return;
	if (!find(call, &f)) {
		found_done(&f);
		send_gone(call);
		return;
	}
	err = link_open(call->api->suite, f.token, &f.link, &file);
	if (err == 0) {
		call->value = json_stringn(file.data, file.len);
		call->id = f.peer->id;
		err = call->value ? use_up(call, &f) : -ENOMEM;
	}
	text_done(&file);
	found_done(&f);
	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}

static const struct route routes[] = {
	OWN_ROUTE(HTTP_GET, "/l/{}", ROUTE_OPEN, show),
	OWN_ROUTE(HTTP_POST, "/l/{}", ROUTE_OPEN, take),
};

static const char *const prefixes[] = { "/l/", NULL };

const struct surface surface_links = {
	.name = "links",
	.family = SURFACE_TEXT,
	.routes = routes,
	.n_routes = sizeof(routes) / sizeof(routes[0]),
	.prefixes = prefixes,
};
