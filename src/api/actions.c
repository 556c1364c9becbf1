/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/time_text.h"
#include "gateway/ifstate.h"
#include "gateway/uplink.h"
#include "host/messages.h"
#include "sys/clock.h"

enum { TEXT_MAX = 160 };

static const char manager[] = "wg-manager";
static const char whisper[] = "whisper-node";

static const char *service_of(enum host_action a)
{
	return a == HOST_ACTION_STOP_WHISPER || a == HOST_ACTION_START_WHISPER ? whisper
									       : manager;
}

/* What the audit trail calls it. */
static const char *name_of(enum host_action a)
{
	switch (a) {
	case HOST_ACTION_REBOOT:
		return "host.reboot";
	case HOST_ACTION_STOP_MANAGER:
	case HOST_ACTION_STOP_WHISPER:
		return "host.stop";
	case HOST_ACTION_START_MANAGER:
	case HOST_ACTION_START_WHISPER:
		return "host.start";
	case HOST_ACTION_WIPE:
	case HOST_ACTIONS:
		break;
	}
	return "host.wipe";
}

/* --- Answers --- */

static json_t *now_text(const struct call *call)
{
	char text[TIME_TEXT_MAX];

	return json_string(time_text_local(call->now_ns, text));
}

static const char *reason_of(int err)
{
	switch (err) {
	case -EPERM:
		return "it is not allowed on this host";
	case -EBUSY:
		return "another one is under way, or there were too many lately";
	case -EACCES:
		return "the program may not be run any more";
	case -EIO:
		return "the program failed";
	case -ETIMEDOUT:
		return "the program took too long";
	default:
		return err_text(err);
	}
}

static void refuse(struct call *call, const char *what, int err)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%s: %s", what, reason_of(err));
	call_refuse(call, 500, text);
}

static void reply_reboot(struct call *call, int err)
{
	if (err != 0)
		refuse(call, "Reboot failed", err);
	else
		call_reply(call, 200,
			   json_pack("{s:s, s:s, s:o}", "status", "reboot_scheduled", "message",
				     "Gateway will reboot in 5 seconds", "timestamp",
				     now_text(call)));
}

static void reply_wipe(struct call *call, int err)
{
	if (err == -ETIMEDOUT)
		call_reply(call, 200,
			   json_pack("{s:s, s:s}", "status", "timeout", "message",
				     "Wipe script timed out but may still complete"));
	else if (err != 0)
		refuse(call, "Wipe failed", err);
	else
		call_reply(call, 200,
			   json_pack("{s:s, s:s, s:s}", "status", "accepted", "message",
				     "Gateway wipe initiated. Server will reboot in ~10 "
				     "seconds.",
				     "output", ""));
}

static void reply_service(struct call *call, enum host_action a, bool stops, int err)
{
	char text[TEXT_MAX];

	if (err == 0) {
		call_reply(call, 200,
			   json_pack("{s:s, s:s}", "status", stops ? "stopped" : "started",
				     "service", service_of(a)));
		return;
	}
	if (err == -ETIMEDOUT)
		snprintf(text, sizeof(text), "Service %s timed out", stops ? "stop" : "start");
	else
		snprintf(text, sizeof(text), "Failed to %s %s", stops ? "stop" : "start",
			 service_of(a));
	call_refuse(call, 500, text);
}

static void reply(struct call *call, enum host_action a, int err)
{
	switch (a) {
	case HOST_ACTION_REBOOT:
		reply_reboot(call, err);
		return;
	case HOST_ACTION_STOP_MANAGER:
	case HOST_ACTION_STOP_WHISPER:
		reply_service(call, a, true, err);
		return;
	case HOST_ACTION_START_MANAGER:
	case HOST_ACTION_START_WHISPER:
		reply_service(call, a, false, err);
		return;
	case HOST_ACTION_WIPE:
	case HOST_ACTIONS:
		reply_wipe(call, err);
		return;
	}
}

/* --- By a program of the host --- */

static struct call *take_waiting(struct api *api)
{
	struct call *call = api->acting;

	api->acting = NULL;
	return call;
}

void actions_acted(struct api *api, uint64_t serial, int err)
{
	struct call *call;

	if (!api->acting || serial != api->acting_serial)
		return;
	call = take_waiting(api);
	reply(call, (enum host_action)call->id, err);
}

void actions_give_up(struct api *api)
{
	struct call *call = take_waiting(api);

	if (call)
		reply(call, (enum host_action)call->id, -ECANCELED);
}

/* It is in the trail now. */
static void noted(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;
	struct api *api = call->api;

	(void)carried, (void)peer;
	if (err != 0) {
		call_fail(call, err, NULL);
		return;
	}
	err = api->acting
		      ? -EBUSY
		      : uplink_act(api->uplink, (unsigned int)call->id, &api->acting_serial);
	if (err != 0)
		reply(call, (enum host_action)call->id, err);
	else
		api->acting = call;
}

static void act(struct call *call, enum host_action a)
{
	struct gateway_grant grant = call_grant(call);
	int err;

	if (!(call->api->actions & UINT32_C(1) << a)) {
		call_conclude_refusal(call, 403, "This is switched off on this gateway");
		return;
	}
	call->id = a;
	err = gateway_note(call->api->gateway, name_of(a),
			   a == HOST_ACTION_REBOOT || a == HOST_ACTION_WIPE ? ""
									    : service_of(a),
			   &grant, noted, call);
	if (err != 0)
		call_fail(call, err, NULL);
}

void actions_reboot(struct call *call)
{
	act(call, HOST_ACTION_REBOOT);
}

void actions_wipe(struct call *call)
{
	act(call, HOST_ACTION_WIPE);
}

/* --- Services --- */

static void switched(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried, (void)peer; /* stored: the interface follows as soon as it can */
	if (err != 0)
		call_fail(call, err, NULL);
	else
		reply(call, (enum host_action)call->id, 0);
}

/* Without a program: what wg-manager is to its peers. */
static void switch_interface(struct call *call, enum host_action a)
{
	struct gateway_grant grant = call_grant(call);
	enum ifstate to = a == HOST_ACTION_START_MANAGER ? IFSTATE_UP : IFSTATE_DOWN;
	int err;

	call->id = a;
	err = ifstate_set(call->api->gateway, to, &grant, switched, call);
	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}

static bool is_part(const struct call *call, const char *word)
{
	return call->match.part_len == strlen(word) &&
	       memcmp(call->match.part, word, strlen(word)) == 0;
}

static void service(struct call *call, enum host_action of_manager, enum host_action of_whisper)
{
	const struct route_match *m = &call->match;
	char text[96];

	if (is_part(call, whisper)) {
		act(call, of_whisper);
	} else if (is_part(call, manager)) {
		if (call->api->actions & UINT32_C(1) << of_manager || !call->api->switches)
			act(call, of_manager);
		else
			switch_interface(call, of_manager);
	} else {
		snprintf(text, sizeof(text), "Invalid service: %.*s",
			 (int)(m->part_len < 64 ? m->part_len : 64), m->part);
		call_conclude_refusal(call, 400, text);
	}
}

void actions_stop(struct call *call)
{
	service(call, HOST_ACTION_STOP_MANAGER, HOST_ACTION_STOP_WHISPER);
}

void actions_start(struct call *call)
{
	service(call, HOST_ACTION_START_MANAGER, HOST_ACTION_START_WHISPER);
}
