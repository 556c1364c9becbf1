/* SPDX-License-Identifier: Apache-2.0 */
#include "api/obfuscation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/client_conf.h"
#include "api/time_text.h"
#include "sys/clock.h"

enum {
	KEEP_DAYS = 30,
	KEEP_DAYS_MAX = 3650,
};

static const uint64_t DAY_NS = UINT64_C(86400) * 1000000000;

/* --- A profile as JSON --- */

/* How many peers were last heard that way, "" being level off. The interface goes by the name, which
 * new parameters may have got since: who came before they were made came under others. */
static json_t *heard(const struct observation *seen, const char *name, uint64_t since_ns)
{
	json_int_t n = 0;

	if (!seen)
		return json_null();
	for (size_t i = 0; i < seen->n; i++) {
		const struct observed *o = &seen->peers[i];

		n += o->last_handshake_ns != 0 && o->last_handshake_ns >= since_ns &&
		     !o->is_heard_gone && strcmp(o->profile_heard, name) == 0;
	}
	return json_integer(n);
}

/* Of a level: which of its profiles each has a file for, nobody here knows. */
static json_t *peers_of(const struct call *call, enum frame_level level)
{
	return json_integer(
		(json_int_t)peers_count_level(gateway_peers(call->api->gateway), level));
}

static json_t *time_or_null(uint64_t ns)
{
	char text[TIME_TEXT_MAX];

	return ns ? json_string(time_text_utc(ns, text)) : json_null();
}

static json_t *profile_json(const struct call *call, const struct profile *p,
			    const struct observation *seen)
{
	const char *level = frame_level_name(p->level);
	bool is_current = strcmp(p->name, level) == 0;

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", p->name, "level", level,
			 "created", time_or_null(p->created_ns), "until",
			 time_or_null(p->until_ns), "peers",
			 is_current ? peers_of(call, p->level) : json_null(), "heard",
			 heard(seen, p->name, p->created_ns), "amneziawg",
			 client_conf_parameters(&p->parameters));
}

/* Level off is no profile of ours, but what the interface does by default. */
static json_t *off_json(const struct call *call, const struct observation *seen)
{
	const char *off = frame_level_name(FRAME_OFF);

	return json_pack("{s:s, s:s, s:n, s:n, s:o, s:o, s:{}}", "name", off, "level", off,
			 "created", "until", "peers", peers_of(call, FRAME_OFF), "heard",
			 heard(seen, "", 0), "amneziawg");
}

/* Of one level, or of all where it is FRAME_LEVELS. */
static json_t *list_json(const struct call *call, enum frame_level level,
			 const struct observation *seen)
{
	const struct profiles *all = gateway_profiles(call->api->gateway);
	json_t *list = json_array();

	if (level == FRAME_LEVELS)
		json_array_append_new(list, off_json(call, seen));
	for (size_t i = 0; i < all->n; i++)
		if (level == FRAME_LEVELS || all->all[i].level == level)
			json_array_append_new(list, profile_json(call, &all->all[i], seen));
	return list;
}

static int room(const struct call *call)
{
	return (int)profiles_room(gateway_profiles(call->api->gateway), call->now_ns);
}

/* --- List --- */

static void list(void *context, int err, const struct observation *seen)
{
	struct call *call = context;

	(void)err; /* then @seen is NULL, and nobody was heard that we know of */
	call_reply(call, 200,
		   json_pack("{s:s, s:i, s:o}", "default_level",
			     frame_level_name(call->api->level), "room", room(call), "profiles",
			     list_json(call, FRAME_LEVELS, seen)));
}

void obfuscation_list(struct call *call)
{
	if (observer_look(call->api->observer, clock_boot_ns(), list, call) != 0)
		list(call, 0, NULL);
}

/* --- Rotate, drop --- */

static void changed(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)peer;
	if (err != 0)
		call_fail(call, err, NULL);
	else if (carried != 0)
		call_refuse(call, 503, "Stored, but the interface does not act on it yet");
	else
		call_reply(call, 200,
			   json_pack("{s:i, s:o}", "room", room(call), "profiles",
				     list_json(call, (enum frame_level)call->id, NULL)));
}

static void refuse_full(struct call *call)
{
	const struct profiles *all = gateway_profiles(call->api->gateway);
	struct text why = { .data = NULL };

	text_printf(
		&why,
		"The interface has as many profiles as it takes, %zu of them former ones: drop"
		" one ('culvert gateway obfuscation drop NAME'), wait until one ends, or keep"
		" those of now for 0 days",
		profiles_former(all, call->now_ns));
	if (why.err == 0)
		call_conclude_refusal(call, 409, why.data);
	else
		call_fail(call, why.err, NULL);
	text_done(&why);
}

static bool read_days(struct call *call, int64_t *ret)
{
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	json_take_number(&r, "keep_days", 0, KEEP_DAYS_MAX, ret);
	json_refuse_unknown(&r, (const char *const[]){ "keep_days", NULL });
	return call_end_members(call, &r);
}

void obfuscation_rotate(struct call *call)
{
	enum frame_level level = frame_level_find(call->match.part, call->match.part_len);
	struct gateway_grant grant = call_grant(call);
	int64_t days = KEEP_DAYS;
	int err;

	if (level == FRAME_LEVELS) {
		call_conclude_refusal(call, 404, "There is no such level");
		return;
	}
	if (!read_days(call, &days))
		return;
	call->id = level;
	err = gateway_rotate(call->api->gateway, level, (uint64_t)days * DAY_NS, &grant,
			     changed, call);
	if (err == -EBUSY)
		call_again(call);
	else if (err == ERR_RANGE)
		call_conclude_refusal(call, 422,
				      "Level off is plain WireGuard: it has no parameters");
	else if (err == ERR_EXHAUSTED)
		refuse_full(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}

/* What new clients of a level get. */
static const char is_current[] =
	"New clients get these parameters: rotate the level, and keep those of now for 0 days";

void obfuscation_drop(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	const struct profile *p;
	char name[FRAME_NAME_MAX + 1];
	int err;

	/* Also "basic", "off": no profile is named so, but who says it means one. */
	if (frame_level_find(call->match.part, call->match.part_len) < FRAME_LEVELS) {
		call_conclude_refusal(call, 409, is_current);
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)call->match.part_len, call->match.part);
	p = call->match.part_len < sizeof(name)
		    ? profiles_named(gateway_profiles(call->api->gateway), name)
		    : NULL;
	if (!p) {
		call_conclude_refusal(call, 404, "There is no such profile");
		return;
	}
	call->id = p->level;
	err = gateway_drop_profile(call->api->gateway, name, &grant, changed, call);
	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}
