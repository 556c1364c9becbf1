/* SPDX-License-Identifier: Apache-2.0 */
/**
 * call.h - One request on its way through the API: who asked, what for, and the answer
 *
 * A handler gets a call whose caller is known to be allowed. It answers with one of the
 * call_ functions below, at once or from a callback; the call is gone then.
 *
 * A request that may change something is good for one use. If it did change something,
 * its signature was committed with the change. If it came to a definite answer without a
 * change ("exists", "not found"), call_conclude() commits the signature before answering.
 * If it failed for want of something (disk, memory), call_fail() forgets the signature, so
 * that the same request may be sent again.
 *
 * Errors have the shape of the caller's dialect (api/surface.h).
 *
 * Threads: the main loop's.
 */
#pragma once

/* What to say of ERR_UNABLE. */
#define CALL_UNABLE                                                                        \
	"This interface is the kernel's WireGuard: it has no obfuscation and no limits of" \
	" rates"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "api/postgres_watch.h"
#include "api/surface.h"
#include "auth/allowance.h"
#include "auth/e2e.h"
#include "auth/hmac.h"
#include "auth/penalty.h"
#include "auth/principal.h"
#include "crypto/suite.h"
#include "gateway/background.h"
#include "gateway/gateway.h"
#include "gateway/lives.h"
#include "gateway/observer.h"
#include "gateway/reconcile.h"
#include "gateway/webhooks.h"
#include "http/json.h"
#include "http/router.h"
#include "sys/machine.h"

enum {
	API_DNS_CHOICES = 3,
	API_HOST_MAX = 255,
	API_RESOLVERS_MAX = 64, /* octets of a list of addresses */
	API_STATUS_CLASSES = 6, /* from 1xx on, by their first digit */
};

/**
 * struct api - What all handlers share; the objects are borrowed
 * @users:	NULL unless their surface is served
 * @postgres:	Server that the status page tells of; NULL: none
 * @failures:	To prove who one is, by source; @link_failures: links that do not work, likewise
 * @listeners:	What each listener of the server serves
 * @needs_version_2: Signatures of version 1 are switched off
 * @agent_key:	The node agent's shared secret; its @agent_cache remembers @agent_window_s
 * @agent_health_is_open, @agent_metrics_are_open: Without a signature, too
 * @metrics_without_peers: /metrics has no line for each peer, unless asked to
 * @isolates_peers: They do not reach each other, whatever access lists say
 * @kind:	What serves the interface: a word; @kind_why: why it is usernet, or NULL
 * @is_usernet:	There is no interface, and no firewall for access lists
 * @answers:	How many of each class of statuses were given
 * @started_ns:	Boot clock
 * @own_uid:	The user we run as
 * @window_s:	How far a timestamp may be off
 * @dns:	Resolver addresses behind the words d1, d2, d3; several with commas
 * @endpoint:	Where clients find the interface, as host, [v6] or either with a port; "":
 *		find out per request
 * @level:	Of a peer for whom nobody says one
 * @fallback:	Our address when the way to the Internet does not tell; may be none
 * @link_base:	What links begin with: "https://vpn.example.com"
 * @links_due_ns: Boot clock: then those that lead nowhere are looked for, behind the id @links_at
 * @name:	Of this gateway, for statistics; ""
 * @node:	Of this machine, for its status page
 * @ecdh_key:	For payloads that the backend cannot read, if @has_ecdh_key
 * @actions:	1 << enum host_action for each that the host may be asked for, over @uplink
 * @switches:	wg-manager may be stopped and started without a program of the host's
 * @acting, @acting_serial: Who waits for an action to end; NULL: nobody
 */
struct api {
	struct gateway *gateway;
	struct observer *observer;
	struct background *background;
	struct postgres_watch *postgres;
	struct reconcile *reconcile;
	struct replay_cache *cache;
	struct pace *failures;
	struct pace *link_failures;
	struct allowance allowance;
	struct events *events;
	struct lives *lives;
	struct users *users;
	struct webhooks *webhooks;
	struct suite *suite;
	struct surface_listener listeners[HTTP_LISTENERS_MAX];
	struct hmac_key key;
	bool needs_version_2;
	struct hmac_key agent_key;
	struct replay_cache *agent_cache;
	uint64_t agent_window_s;
	bool agent_health_is_open;
	bool agent_metrics_are_open;
	bool metrics_without_peers;
	bool isolates_peers;
	bool is_usernet;
	const char *kind;
	const char *kind_why;
	uint64_t answers[API_STATUS_CLASSES];
	uint64_t started_ns;
	uid_t own_uid;
	uint64_t window_s;
	char dns[API_DNS_CHOICES][API_RESOLVERS_MAX + 1];
	char endpoint[API_HOST_MAX + 1];
	enum frame_level level;
	struct ip_addr fallback;
	char link_base[API_HOST_MAX + 64];
	uint64_t links_due_ns;
	int64_t links_at;
	struct machine *machine;
	struct dns_laps *laps;
	char name[STORE_NAME_MAX + 1];
	char node[API_HOST_MAX + 1];
	struct secret_key ecdh_key;
	bool has_ecdh_key;
	struct uplink *uplink;
	uint32_t actions;
	bool switches;
	struct call *acting;
	uint64_t acting_serial;
};

/**
 * struct call - One request
 * @use:	What is remembered of its signature
 * @key:	For handlers: the peer it is about
 * @id:		For handlers: likewise
 * @is_repeated: A signature that was used before, on a surface that repeats its answers
 * @private_key, @preshared_key: For handlers: made for this call; wiped at the end
 * @tells_secret: For handlers: the reply has one that was made for this call
 * @answered_digest, @answered_fingerprint: Of the request's Idempotency-Key, if @has_answered
 * @body:	Owned JSON body once read, or NULL
 * @value:	For handlers: kept between two steps; owned, or NULL
 * @e2e:	Keys of a payload that came encrypted, if @has_e2e
 */
struct call {
	struct api *api;
	struct http_exchange *x;
	const struct surface *surface;
	struct route_match match;
	struct principal who;
	struct hmac_use use;
	uint64_t now_ns; /* wall clock */
	uint8_t key[32];
	int64_t id;
	bool is_repeated;
	struct secret_key private_key;
	bool has_private_key;
	struct secret_key preshared_key;
	bool has_preshared_key;
	bool tells_secret;
	bool has_answered;
	uint8_t answered_digest[STORE_DIGEST_LEN];
	uint8_t answered_fingerprint[STORE_DIGEST_LEN];
	const char *word; /* for handlers: points to static text or into @body */
	json_t *body;
	json_t *value;
	struct e2e e2e;
	bool has_e2e;
	char name[STORE_NAME_MAX + 1]; /* for handlers */
};

/* --- Answers. @value is taken over; NULL means out of memory and answers 500. --- */

void call_reply(struct call *call, unsigned int status, json_t *value);
/* The same with one more header field. */
void call_reply_with(struct call *call, unsigned int status, json_t *value, const char *name,
		     const char *field);
/* 200 with @len octets of another type, and perhaps (@name) one more header field. */
void call_reply_static(struct call *call, const char *type, const void *data, size_t len,
		       const char *name, const char *field);
/* Compact JSON with a newline behind; plain text. */
void call_reply_line(struct call *call, unsigned int status, json_t *value);
void call_reply_text(struct call *call, unsigned int status, const char *text);
/* 200 with a body of that type, which is taken over. */
void call_reply_body(struct call *call, const char *type, struct text *body);
/* The same with any status and @n header fields. */
void call_reply_whole(struct call *call, unsigned int status, const char *type,
		      struct text *body, const struct http_field *fields, size_t n);
/* 200 with a body that is made piece by piece, as in http/server.h. */
void call_stream(struct call *call, const char *type,
		 ssize_t (*read)(void *context, char *out, size_t max),
		 void (*close)(void *context), void *context);
void call_conclude(struct call *call, unsigned int status, json_t *value);

/** call_refuse() - The caller is wrong. @text: "Configuration not found" */
void call_refuse(struct call *call, unsigned int status, const char *text);
/** call_conclude_refusal() - The same, and the signature is spent */
void call_conclude_refusal(struct call *call, unsigned int status, const char *text);
/** call_refuse_fields() - 422 with the list of what is wrong; @errors is taken over */
void call_refuse_fields(struct call *call, json_t *errors);
/** call_conclude_errors() - With @text and a list as above; the signature is spent */
void call_conclude_errors(struct call *call, unsigned int status, const char *text,
			  json_t *errors);
/** call_fail() - We are wrong: @err of the gateway as status and text; forgets the signature */
void call_fail(struct call *call, int err, const char *text);

/** call_redirect() - 307 to @location */
void call_redirect(struct call *call, const char *location);

/** call_refuse_for() - 429: not before @wait_s seconds; forgets the signature */
void call_refuse_for(struct call *call, unsigned int wait_s, const char *text);

/* --- Reading --- */

/**
 * call_read_object() - The body as an object, in @call->body
 *
 * Return: false when it is none; the call has been answered then.
 */
bool call_read_object(struct call *call);

/** call_read_members() - The same, and @r begun on it */
bool call_read_members(struct call *call, struct json_reader *r);
/** call_end_members() - Was all of it well? @r is done. Return: false: 422 was answered */
bool call_end_members(struct call *call, struct json_reader *r);

/**
 * call_read_idempotency_key() - Read that header field, if there is one, into @call
 *
 * Return: false when it is none (1 to 255 visible characters); the call has been answered then.
 */
bool call_read_idempotency_key(struct call *call);

/** call_grant() - What the gateway should remember with the change */
struct gateway_grant call_grant(const struct call *call);

/**
 * call_again() - Somebody else's change is on its way: run the handler again after it
 *
 * Whatever @err the gateway returned instead of 0, -EBUSY leads here.
 */
void call_again(struct call *call);

/** call_refusal_body() - For the HTTP server: its own refusals in the shape of a listener's first
 *  surface; @context is a struct api */
void call_refusal_body(void *context, unsigned int listener, struct http_reply *reply,
		       unsigned int status, const char *why);
