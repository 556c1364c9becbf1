/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dns_stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/key_text.h"
#include "api/time_text.h"

enum { NAME_MAX_LEN = 64 };

struct lap {
	char name[NAME_MAX_LEN + 1];
	char time[TIME_TEXT_MAX];
};

/* struct dns_laps - @n of them, oldest first */
struct dns_laps {
	struct lap laps[DNS_LAPS_MAX];
	size_t n;
};

static const char *const levels[API_DNS_CHOICES][3] = {
	{ "d1", "Clean", "10.65.1.1" },
	{ "d2", "Ad-Block", "10.65.1.2" },
	{ "d3", "Maximum", "10.65.1.3" },
};

int dns_laps_new(struct dns_laps **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct dns_laps *dns_laps_free(struct dns_laps *l)
{
	free(l);
	return NULL;
}

/* T-utcZ: microseconds and a "Z". */
static const char *now_text(const struct call *call, char out[TIME_TEXT_MAX])
{
	char whole[TIME_TEXT_MAX];

	time_text_utc(call->now_ns, whole);
	whole[strlen(whole) - 1] = '\0';
	snprintf(out, TIME_TEXT_MAX, "%.19s.%06uZ", whole,
		 (unsigned int)(call->now_ns % 1000000000 / 1000));
	return out;
}

static const char *gateway_name(const struct call *call)
{
	return call->api->name[0] ? call->api->name : "unknown";
}

static json_t *no_totals(void)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:f}", "queries", 0, "cache_hits", 0,
			 "cache_miss", 0, "blocked", 0, "cache_hit_rate", 0.0);
}

static json_t *no_delta(void)
{
	return json_pack("{s:i, s:i, s:i}", "queries", 0, "blocked", 0, "cache_hits", 0);
}

void dns_stats_show(struct call *call)
{
	json_t *all = json_object();
	char now[TIME_TEXT_MAX];

	for (int i = 0; i < API_DNS_CHOICES; i++)
		json_object_set_new(all, levels[i][0],
				    json_pack("{s:s, s:s, s:b, s:i, s:i, s:i, s:i, s:f}",
					      "name", levels[i][1], "ip", levels[i][2],
					      "active", 0, "queries", 0, "cache_hits", 0,
					      "cache_miss", 0, "blocked", 0, "avg_response_ms",
					      0.0));
	call_reply(call, 200,
		   json_pack("{s:s, s:s, s:o, s:o, s:{s:i}}", "timestamp", now_text(call, now),
			     "gateway", gateway_name(call), "levels", all, "totals",
			     no_totals(), "summary", "active_levels", 0));
}

void dns_stats_summary(struct call *call)
{
	json_t *all = json_object();
	char now[TIME_TEXT_MAX];

	for (int i = 0; i < API_DNS_CHOICES; i++)
		json_object_set_new(
			all, levels[i][0],
			json_pack("{s:b, s:i, s:i}", "active", 0, "queries", 0, "blocked", 0));
	call_reply(call, 200,
		   json_pack("{s:s, s:s, s:i, s:i, s:f, s:i, s:o}", "timestamp",
			     now_text(call, now), "gateway", gateway_name(call),
			     "total_queries", 0, "total_blocked", 0, "cache_hit_rate", 0.0,
			     "active_levels", 0, "levels", all));
}

/* --- Laps --- */

static json_t *lap_json(const struct dns_laps *l, size_t i)
{
	json_t *all = json_object();

	for (int level = 0; level < API_DNS_CHOICES; level++)
		json_object_set_new(all, levels[level][0], no_delta());
	return json_pack("{s:i, s:s, s:s, s:{s:o, s:o}}", "lap_number", (int)i + 1, "name",
			 l->laps[i].name, "timestamp", l->laps[i].time, "snapshot", "totals",
			 no_totals(), "levels", all);
}

/* "name=…"; by default "Lap 3". Return: false: a name that is none. */
static bool read_name(const struct call *call, size_t number, char out[NAME_MAX_LEN + 1])
{
	const char *query = call->match.query, *why;

	snprintf(out, NAME_MAX_LEN + 1, "Lap %zu", number);
	if (!*query)
		return true;
	return strncmp(query, "name=", 5) == 0 &&
	       key_text_unescape(query + 5, strcspn(query, "&") - 5, out, NAME_MAX_LEN + 1) >
		       0 &&
	       key_text_is_name(out, &why);
}

void dns_stats_lap(struct call *call)
{
	struct dns_laps *l = call->api->laps;
	char name[NAME_MAX_LEN + 1], text[48];
	size_t number = (l->n < DNS_LAPS_MAX ? l->n : DNS_LAPS_MAX - 1) + 1;

	if (!read_name(call, number, name)) {
		call_refuse(call, 422, "The query takes name, of up to 64 characters");
		return;
	}
	if (l->n == DNS_LAPS_MAX)
		memmove(l->laps, l->laps + 1, --l->n * sizeof(l->laps[0]));
	memcpy(l->laps[l->n].name, name, sizeof(name));
	now_text(call, l->laps[l->n++].time);
	snprintf(text, sizeof(text), "Lap %zu created", l->n);
	call_reply(call, 200,
		   json_pack("{s:s, s:o, s:i}", "message", text, "lap", lap_json(l, l->n - 1),
			     "total_laps", (int)l->n));
}

void dns_stats_laps(struct call *call)
{
	const struct dns_laps *l = call->api->laps;
	json_t *list = json_array();
	char now[TIME_TEXT_MAX];

	for (size_t i = 0; i < l->n; i++) {
		json_t *one = lap_json(l, i);

		json_object_set_new(one, "delta_from_previous", no_delta());
		json_array_append_new(list, one);
	}
	call_reply(call, 200,
		   json_pack("{s:s, s:s, s:o, s:o, s:o, s:i}", "timestamp", now_text(call, now),
			     "gateway", gateway_name(call), "cumulative", no_totals(),
			     "since_last_lap", l->n ? no_delta() : json_null(), "laps", list,
			     "total_laps", (int)l->n));
}

void dns_stats_since(struct call *call)
{
	const struct dns_laps *l = call->api->laps;
	json_t *all = json_object();
	char now[TIME_TEXT_MAX], text[48];
	uint64_t number = 0;

	if (decimal_parse(call->match.part, call->match.part_len, DNS_LAPS_MAX, &number) != 0 ||
	    number == 0 || number > l->n) {
		json_decref(all);
		snprintf(text, sizeof(text), "Invalid lap number. Valid: 1-%zu", l->n);
		call_reply(call, 200, json_pack("{s:s}", "error", text));
		return;
	}
	for (int i = 0; i < API_DNS_CHOICES; i++)
		json_object_set_new(all, levels[i][0],
				    json_pack("{s:i, s:i}", "queries", 0, "blocked", 0));
	call_reply(call, 200,
		   json_pack("{s:s, s:s, s:{s:i, s:s, s:s}, s:o, s:o, s:o}", "timestamp",
			     now_text(call, now), "gateway", gateway_name(call), "since_lap",
			     "number", (int)number, "name", l->laps[number - 1].name,
			     "timestamp", l->laps[number - 1].time, "delta", no_delta(),
			     "level_deltas", all, "cumulative", no_totals()));
}

void dns_stats_clear(struct call *call)
{
	struct dns_laps *l = call->api->laps;
	char now[TIME_TEXT_MAX], text[48];

	snprintf(text, sizeof(text), "Cleared %zu laps", l->n);
	l->n = 0;
	call_reply(call, 200,
		   json_pack("{s:s, s:s}", "message", text, "timestamp", now_text(call, now)));
}
