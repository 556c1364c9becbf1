/* SPDX-License-Identifier: Apache-2.0 */
#include "api/peer_fields.h"

#include <stdio.h>
#include <string.h>

#include "api/key_text.h"
#include "api/level_word.h"
#include "api/time_text.h"
#include "gateway/hours.h"
#include "sys/random.h"

enum {
	KEY_TEXT_MAX = 64,
	TIME_MAX = 40,
	ADDRESSES_MAX = 2,
	ROUTES_COUNT_MAX = 32,
	DNS_WORDS = 3,
};

static const char *const period_words[STORE_PERIODS] = {
	"none", "day", "week", "month", "rolling-day", "rolling-month",
};

const char *peer_fields_period_word(enum store_period period)
{
	return period_words[period];
}

static void refuse(struct json_reader *r, const char *name, const char *why)
{
	json_refuse(r, name, "value_error", why);
}

/* Is the member there, be it null? Then it counts. */
static bool is_given(const struct json_reader *r, const char *name, struct peer_fields *f,
		     enum gateway_field field)
{
	if (!json_object_get(r->object, name))
		return false;
	f->edit.fields |= field;
	return true;
}

/* --- Single members --- */

static void read_name(struct json_reader *r, struct peer_fields *f)
{
	const char *name = NULL, *why;

	f->edit.name = "";
	if (!is_given(r, "name", f, GATEWAY_NAME))
		return;
	json_take_text(r, "name", false, STORE_NAME_MAX, &name);
	if (name && !key_text_is_name(name, &why))
		refuse(r, "name", why);
	else if (name)
		f->edit.name = name;
}

static void read_status(struct json_reader *r, struct peer_fields *f)
{
	bool enabled = true;

	if (is_given(r, "enabled", f, GATEWAY_STATUS))
		json_take_bool(r, "enabled", true, &enabled);
	f->edit.status = enabled ? STORE_PEER_ACTIVE : STORE_PEER_SUSPENDED;
}

static void read_level(struct json_reader *r, struct peer_fields *f)
{
	f->edit.level = FRAME_LEVELS;
	level_word_take(r, &f->edit.level, NULL);
	if (f->edit.level != FRAME_LEVELS)
		f->edit.fields |= GATEWAY_LEVEL;
}

static void read_dns(struct json_reader *r, struct peer_fields *f)
{
	static const char *const words[DNS_WORDS] = { "d1", "d2", "d3" };
	size_t word = 0;

	if (is_given(r, "dns", f, GATEWAY_DNS))
		json_take_word(r, "dns", words, DNS_WORDS, &word);
	f->edit.dns = words[word];
}

static void read_public_key(struct json_reader *r, struct peer_fields *f)
{
	const char *text = NULL;

	json_take_text(r, "public_key", false, KEY_TEXT_MAX, &text);
	if (!text)
		return;
	f->edit.fields |= GATEWAY_KEY;
	if (key_text_read(text, strlen(text), f->edit.public_key) != 0)
		refuse(r, "public_key", "A WireGuard public key is 44 characters of base64");
}

/* Base64, null for none, or true for one that is made here. */
static void read_preshared_key(struct json_reader *r, struct peer_fields *f)
{
	const json_t *member = json_object_get(r->object, "preshared_key");
	const char *text = NULL;

	if (!is_given(r, "preshared_key", f, GATEWAY_PRESHARED_KEY))
		return;
	if (json_is_true(member)) {
		random_fill(f->edit.preshared_key.b, sizeof(f->edit.preshared_key.b));
		f->made_preshared_key = true;
		return;
	}
	json_take_text(r, "preshared_key", false, KEY_TEXT_MAX, &text);
	if (text && key_text_read(text, strlen(text), f->edit.preshared_key.b) != 0)
		refuse(r, "preshared_key",
		       "A preshared key is 44 characters of base64, or true to have one made");
}

static bool is_one_host(const struct ip_prefix *p)
{
	return p->bits == ip_addr_bits(&p->ip);
}

static void read_addresses(struct json_reader *r, struct peer_fields *f)
{
	static const char few[] = "At most one IPv4 and one IPv6 address";
	const json_t *list = NULL;

	json_take_list(r, "addresses", &list);
	if (json_array_size(list) == 0)
		return;
	f->edit.fields |= GATEWAY_ADDRESSES;
	if (json_array_size(list) > ADDRESSES_MAX) {
		refuse(r, "addresses", few);
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		struct ip_prefix p;
		struct ip_addr *slot;

		if (!text || ip_prefix_parse(text, false, &p) != 0 || !is_one_host(&p)) {
			refuse(r, "addresses",
			       "An address is one host, like 10.0.1.2 or 10.0.1.2/32");
			return;
		}
		slot = p.ip.family == ADDR_V4 ? &f->edit.v4 : &f->edit.v6;
		if (slot->family != ADDR_NONE)
			refuse(r, "addresses", few);
		*slot = p.ip;
	}
}

/* --- Limits --- */

static void read_number(struct json_reader *r, struct peer_fields *f, const char *name,
			enum gateway_field field, int64_t max, int64_t *ret)
{
	if (is_given(r, name, f, field))
		json_take_number(r, name, 0, max, ret);
}

static void read_expiry(struct json_reader *r, uint64_t now_ns, struct peer_fields *f)
{
	const char *text = NULL;

	if (!is_given(r, "expires", f, GATEWAY_EXPIRES))
		return;
	json_take_text(r, "expires", false, TIME_MAX, &text);
	if (text && time_text_parse(text, &f->edit.limits.expires_ns) != 0)
		refuse(r, "expires", "A time looks like 2026-12-31T23:59:59Z");
	else if (text && f->edit.limits.expires_ns <= now_ns)
		refuse(r, "expires", "This time is over already");
}

/* {"bytes": N, "period": "month"}; null for none. */
static void read_quota(struct json_reader *r, struct peer_fields *f)
{
	const json_t *object = NULL;
	struct json_reader inner;
	int64_t bytes = 0;
	size_t period = STORE_PERIOD_NONE;

	if (!is_given(r, "quota", f, GATEWAY_QUOTA))
		return;
	json_take_object(r, "quota", &object);
	if (!object)
		return;
	inner = (struct json_reader){ .object = object, .errors = r->errors };
	if (!json_object_get(object, "bytes"))
		refuse(&inner, "quota", "A quota has \"bytes\", and mostly a \"period\"");
	json_take_number(&inner, "bytes", 1, INT64_MAX, &bytes);
	json_take_word(&inner, "period", period_words, STORE_PERIODS, &period);
	json_refuse_unknown(&inner, (const char *const[]){ "bytes", "period", NULL });
	f->edit.limits.quota_bytes = (uint64_t)bytes;
	f->edit.limits.quota_period = (enum store_period)period;
}

/* Networks behind the peer: masked, with commas. */
static void read_routes(struct json_reader *r, struct peer_fields *f)
{
	const json_t *list = NULL;
	size_t len = 0;

	if (!is_given(r, "routes", f, GATEWAY_ROUTES))
		return;
	json_take_list(r, "routes", &list);
	if (json_array_size(list) > ROUTES_COUNT_MAX) {
		refuse(r, "routes", "At most 32 networks");
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		char written[ADDR_TEXT_MAX];
		struct ip_prefix p;

		if (!text || ip_prefix_parse(text, true, &p) != 0 || p.bits == 0) {
			refuse(r, "routes",
			       "A network looks like 192.168.7.0/24, and is not everything");
			return;
		}
		len += (size_t)snprintf(f->routes + len, sizeof(f->routes) - len, "%s%s",
					len ? "," : "", ip_prefix_format(&p, written));
		if (len >= sizeof(f->routes)) {
			refuse(r, "routes", "Networks have at most 1024 characters together");
			return;
		}
	}
	f->edit.limits.routes = f->routes;
}

static void read_schedule(struct json_reader *r, struct peer_fields *f)
{
	const char *text = NULL, *why = NULL;

	if (!is_given(r, "schedule", f, GATEWAY_SCHEDULE))
		return;
	json_take_text(r, "schedule", false, STORE_SCHEDULE_MAX, &text);
	if (text && !hours_check(text, &why))
		refuse(r, "schedule", why);
	f->edit.limits.schedule = text;
}

static void read_note(struct json_reader *r, struct peer_fields *f)
{
	if (is_given(r, "note", f, GATEWAY_NOTE))
		json_take_text(r, "note", false, STORE_NOTE_MAX, &f->edit.limits.note);
}

static void read_limits(struct json_reader *r, uint64_t now_ns, struct peer_fields *f)
{
	struct gateway_limits *l = &f->edit.limits;
	int64_t rate = 0, keepalive = GATEWAY_KEEPALIVE_S;

	read_number(r, f, "account", GATEWAY_ACCOUNT, INT64_MAX, &l->account_id);
	read_number(r, f, "access", GATEWAY_ACCESS, INT64_MAX, &l->access_id);
	read_number(r, f, "rate_bps", GATEWAY_RATE, INT64_MAX, &rate);
	read_number(r, f, "keepalive", GATEWAY_KEEPALIVE, UINT16_MAX, &keepalive);
	l->rate_bps = (uint64_t)rate;
	l->keepalive_s = (uint16_t)keepalive;
	read_expiry(r, now_ns, f);
	read_quota(r, f);
	read_routes(r, f);
	read_schedule(r, f);
	read_note(r, f);
}

void peer_fields_read(struct json_reader *r, uint64_t now_ns, struct peer_fields *ret)
{
	*ret = (struct peer_fields){ .routes = "" };
	read_name(r, ret);
	read_status(r, ret);
	read_level(r, ret);
	read_dns(r, ret);
	read_public_key(r, ret);
	read_preshared_key(r, ret);
	read_addresses(r, ret);
	read_limits(r, now_ns, ret);
}

void peer_fields_refuse_unknown(struct json_reader *r, const char *beside)
{
	const char *const known[] = { "name",	   "enabled",	 "obfuscation_level",
				      "dns",	   "public_key", "preshared_key",
				      "addresses", "account",	 "access",
				      "expires",   "quota",	 "rate_bps",
				      "keepalive", "routes",	 "schedule",
				      "note",	   "generate",	 beside,
				      NULL };

	json_refuse_unknown(r, known);
}

void peer_fields_init_add(const struct peer_fields *f, struct gateway_add *ret)
{
	const struct gateway_edit *e = &f->edit;
	bool any = (e->fields & GATEWAY_ADDRESSES) == 0;

	*ret = (struct gateway_add){
		.name = e->name,
		.dns = e->dns,
		.obfuscation = "",
		.v4 = e->v4,
		.v6 = e->v6,
		.wants_v4 = any,
		.wants_v6 = any,
		.families = STORE_IPV4 | STORE_IPV6,
		.status = e->status,
		.preshared_key = e->preshared_key,
		.limits = e->limits,
	};
	memcpy(ret->public_key, e->public_key, sizeof(ret->public_key));
}
