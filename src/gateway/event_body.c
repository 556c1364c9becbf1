/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/event_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/codec.h"
#include "base/json_write.h"
#include "gateway/event_names.h"

enum { TIME_MAX = 40 };

static const uint64_t SECOND_NS = 1000000000;

/* At the head of "data", where no text of strangers can stand: their quotes are escaped. */
static const char no_number[] = "\"data\":{\"id\":0,";

/* --- Pieces --- */

static void put_null(struct text *out, const char *name)
{
	json_put_name(out, name);
	text_puts(out, "null");
}

static void put_time(struct text *out, const char *name, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / SECOND_NS);
	char day[TIME_MAX], text[TIME_MAX];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) ||
	    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		day[0] = '\0';
	snprintf(text, sizeof(text), "%.30s.%03" PRIu64 "Z", day,
		 wall_ns % SECOND_NS / 1000000);
	json_put_text(out, name, text);
}

static void begin(struct text *out, const char *gateway, const char *type, uint64_t wall_ns)
{
	text_puts(out, "{");
	json_put_text(out, "type", type);
	put_time(out, "timestamp", wall_ns);
	json_put_text(out, "gateway", gateway);
	json_put_name(out, "data");
	text_puts(out, "{");
}

static void end(struct text *out)
{
	text_puts(out, "}}");
}

static void put_address(struct text *out, const struct ip_addr *ip)
{
	struct ip_prefix whole = { *ip, ip->family == ADDR_V4 ? 32 : 128 };
	char text[ADDR_TEXT_MAX];

	if (ip->family == ADDR_NONE)
		return;
	json_put_next(out);
	ip_prefix_format(&whole, text);
	json_put_string(out, text, strlen(text));
}

static void put_addresses(struct text *out, const struct ip_addr *v4, const struct ip_addr *v6)
{
	json_put_name(out, "addresses");
	text_puts(out, "[");
	put_address(out, v4);
	put_address(out, v6);
	text_puts(out, "]");
}

static void put_blocked(struct text *out, unsigned int blocked)
{
	static const char *const words[] = { "expired", "quota", "schedule", "account" };

	json_put_name(out, "blocked");
	text_puts(out, "[");
	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(blocked & 1U << i))
			continue;
		json_put_next(out);
		json_put_string(out, words[i], strlen(words[i]));
	}
	text_puts(out, "]");
}

/* Id, name and key: which peer it is. */
static void put_identity(struct text *out, int64_t id, const char *name, const uint8_t key[32])
{
	char text[KEY_BASE64_LEN + 1];

	json_put_number(out, "id", (uint64_t)id);
	if (name[0])
		json_put_text(out, "name", name);
	else
		put_null(out, "name");
	key_to_base64(key, text);
	json_put_text(out, "public_key", text);
}

static void put_account(struct text *out, int64_t id)
{
	if (id)
		json_put_number(out, "account", (uint64_t)id);
	else
		put_null(out, "account");
}

static void put_peer(struct text *out, const struct store_peer *p)
{
	put_identity(out, p->id, p->name, p->public_key);
	put_addresses(out, &p->v4, &p->v6);
	json_put_bool(out, "enabled", p->status == STORE_PEER_ACTIVE);
	put_blocked(out, p->blocked);
	put_account(out, p->account_id);
	if (p->expires_ns)
		put_time(out, "expires", p->expires_ns);
	else
		put_null(out, "expires");
}

/* --- Events --- */

static void put_what(struct text *out, const struct store_change *c)
{
	switch (c->kind) {
	case STORE_ADD_PEER:
	case STORE_CHANGE_PEER:
	case STORE_REMOVE_PEER:
		put_peer(out, &c->peer);
		break;
	case STORE_PUT_RECORD:
	case STORE_DROP_RECORD:
		json_put_number(out, "id", (uint64_t)c->record.id);
		json_put_text(out, "name", c->record.name);
		break;
	case STORE_SET_PROFILES:
	case STORE_SET_USAGE:
	case STORE_NO_CHANGE:
		json_put_text(out, "subject", c->subject);
		break;
	}
}

void event_body_change(struct text *out, const char *gateway, const struct store_change *c)
{
	char name[EVENT_NAME_MAX + 1];

	begin(out, gateway, event_name(c->action, name), c->now_ns);
	put_what(out, c);
	json_put_text(out, "who", c->who);
	if (c->detail && c->detail[0])
		json_put_text(out, "detail", c->detail);
	end(out);
}

const char *event_body_lives_name(enum lives_event event)
{
	static const char *const names[] = {
		[LIVES_CONNECTED] = "peer.connected",
		[LIVES_SILENT] = "peer.disconnected",
		[LIVES_MOVED] = "peer.endpoint_changed",
		[LIVES_SHARED] = "peer.shared",
	};

	return names[event];
}

void event_body_life(struct text *out, const char *gateway, enum lives_event event,
		     const struct peer *peer, const struct endpoint *endpoint, uint64_t wall_ns)
{
	char text[ADDR_TEXT_MAX];

	begin(out, gateway, event_body_lives_name(event), wall_ns);
	put_identity(out, peer->id, peer->name, peer->public_key);
	put_addresses(out, &peer->v4, &peer->v6);
	put_account(out, peer->account_id);
	if (endpoint->ip.family != ADDR_NONE)
		json_put_text(out, "endpoint", endpoint_format(endpoint, text));
	else
		put_null(out, "endpoint");
	end(out);
}

void event_body_missed(struct text *out, const char *gateway, uint64_t n, uint64_t wall_ns)
{
	begin(out, gateway, "missed", wall_ns);
	json_put_number(out, "events", n);
	end(out);
}

uint64_t event_body_missed_count(const char *body)
{
	static const char head[] = "{\"type\":\"missed\",", name[] = "\"data\":{\"events\":";
	const char *at = strncmp(body, head, sizeof(head) - 1) == 0 ? strstr(body, name) : NULL;
	uint64_t n = 0;

	if (at) {
		at += sizeof(name) - 1;
		(void)decimal_parse(at, strspn(at, "0123456789"), UINT64_MAX, &n);
	}
	return n;
}

void event_body_plain(struct text *out, const char *gateway, const char *type, uint64_t wall_ns)
{
	begin(out, gateway, type, wall_ns);
	end(out);
}

void event_body_number(struct text *out, const char *body, int64_t id)
{
	const char *at = strstr(body, no_number);
	size_t before = at ? (size_t)(at - body) + sizeof(no_number) - 3 : 0;

	if (!at) {
		text_puts(out, body);
		return;
	}
	text_add(out, body, before);
	if (id > 0)
		text_printf(out, "%" PRId64, id);
	else
		text_puts(out, "null");
	text_puts(out, body + before + 1);
}
