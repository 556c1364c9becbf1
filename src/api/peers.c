/* SPDX-License-Identifier: Apache-2.0 */
#include "api/peers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/client_conf.h"
#include "api/key_text.h"
#include "api/peer_fields.h"
#include "api/peer_json.h"
#include "base/json_write.h"
#include "crypto/suite.h"
#include "sys/clock.h"
#include "sys/random.h"

enum { PAGE_MAX = 1000 };

static const char unknown_peer[] = "There is no such peer";
static const char no_parameters[] = "This gateway has no parameters for that level yet";

/* --- List --- */

/* struct query - Which peers, and how many */
struct query {
	uint64_t limit;
	uint64_t after; /* an id */
	bool is_descending;
	int64_t account_id;	       /* 0: any */
	int status;		       /* enum store_status; 0: any */
	enum frame_level level;	       /* FRAME_LEVELS: any */
	char part[STORE_NAME_MAX + 1]; /* of the name; "": any */
};

static bool read_number(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
	return decimal_parse(text, len, max, ret) == 0;
}

static bool read_status_word(const char *text, size_t len, struct query *q)
{
	if (len == 6 && memcmp(text, "active", 6) == 0)
		q->status = STORE_PEER_ACTIVE;
	else if (len == 9 && memcmp(text, "suspended", 9) == 0)
		q->status = STORE_PEER_SUSPENDED;
	return q->status != 0;
}

static bool read_sort(const char *text, size_t len, struct query *q)
{
	q->is_descending = len == 3 && memcmp(text, "-id", 3) == 0;
	return q->is_descending || (len == 2 && memcmp(text, "id", 2) == 0);
}

static bool read_pair(const char *name, size_t name_len, const char *value, size_t len,
		      struct query *q)
{
	uint64_t account = 0;

	if (name_len == 5 && memcmp(name, "limit", 5) == 0)
		return read_number(value, len, PAGE_MAX, &q->limit) && q->limit > 0;
	if (name_len == 5 && memcmp(name, "after", 5) == 0)
		return read_number(value, len, INT64_MAX, &q->after);
	if (name_len == 4 && memcmp(name, "sort", 4) == 0)
		return read_sort(value, len, q);
	if (name_len == 6 && memcmp(name, "status", 6) == 0)
		return read_status_word(value, len, q);
	if (name_len == 17 && memcmp(name, "obfuscation_level", 17) == 0) {
		q->level = frame_level_find(value, len);
		return q->level < FRAME_LEVELS;
	}
	if (name_len == 7 && memcmp(name, "account", 7) == 0) {
		bool good = read_number(value, len, INT64_MAX, &account) && account > 0;

		q->account_id = (int64_t)account;
		return good;
	}
	if (name_len == 4 && memcmp(name, "name", 4) == 0)
		return key_text_unescape(value, len, q->part, sizeof(q->part)) >= 0;
	return false;
}

/* Every part of it must be known. */
static bool read_query(const char *text, struct query *ret)
{
	struct query q = { .limit = PAGE_MAX, .level = FRAME_LEVELS };

	while (*text) {
		size_t len = strcspn(text, "&"), name_len = strcspn(text, "=&");

		if (name_len == len ||
		    !read_pair(text, name_len, text + name_len + 1, len - name_len - 1, &q))
			return false;
		text += len + (text[len] == '&');
	}
	*ret = q;
	return true;
}

static bool is_wanted(const struct call *call, const struct query *q, const struct peer *peer)
{
	return peer_json_may_see(call, peer) &&
	       (q->account_id == 0 || peer->account_id == q->account_id) &&
	       (q->status == 0 || (int)peer->status == q->status) &&
	       (q->level == FRAME_LEVELS || peer->level == q->level) &&
	       (!q->part[0] || strstr(peer->name, q->part));
}

/* The next one that is wanted, from @peer on. */
static const struct peer *skip(const struct call *call, const struct query *q,
			       const struct peer *peer)
{
	while (peer && !is_wanted(call, q, peer))
		peer = q->is_descending ? peer->prev : peer->next;
	return peer;
}

/* Of all that the caller may see. */
static size_t count_visible(const struct call *call)
{
	const struct gateway *g = call->api->gateway;
	const struct record *account;

	if (call->who.account_id == 0)
		return peers_count(gateway_peers(g));
	account = records_find_id(gateway_records(g), STORE_ACCOUNT, call->who.account_id);
	return account ? account->n_peers : 0;
}

/* One page. Return: the id of its last peer if there are more, 0 otherwise. */
static int64_t put_page(struct text *out, const struct call *call, struct query *q,
			const struct observation *seen)
{
	const struct peers *peers = gateway_peers(call->api->gateway);
	const struct peer *peer = q->is_descending ? peers_before(peers, (int64_t)q->after)
						   : peers_after(peers, (int64_t)q->after);
	int64_t last = 0;

	peer = skip(call, q, peer);
	for (; peer && q->limit > 0; q->limit--) {
		last = peer->id;
		json_put_next(out);
		peer_json_put(out, call, peer, seen);
		peer = skip(call, q, q->is_descending ? peer->prev : peer->next);
	}
	return peer ? last : 0;
}

static void list(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	struct text page = { .data = NULL };
	struct query q = { 0 };
	int64_t next;

	(void)err; /* then @seen is NULL, and the peers are listed without their traffic */
	read_query(call->match.query, &q);
	text_puts(&page, "{\"peers\":[");
	next = put_page(&page, call, &q, seen);
	text_puts(&page, "]");
	if (next)
		json_put_number(&page, "next", (uint64_t)next);
	else
		json_put_null(&page, "next");
	json_put_number(&page, "total", count_visible(call));
	text_puts(&page, "}");
	call_reply_body(call, "application/json", &page);
}

void peers_list(struct call *call)
{
	struct query q;

	if (!read_query(call->match.query, &q)) {
		call_refuse(
			call, 400,
			"The query takes limit (1 to 1000), after (an id), sort (id or -id),"
			" status (active or suspended), account (an id), obfuscation_level,"
			" name (a part of it)");
		return;
	}
	if (observer_look(call->api->observer, clock_boot_ns(), list, call) != 0)
		list(call, 0, NULL);
}

/* --- Show --- */

/* With its version, for If-Match. */
static void reply_peer(struct call *call, unsigned int status, const struct peer *peer,
		       json_t *value)
{
	char tag[24];

	snprintf(tag, sizeof(tag), "\"%" PRIx64 "\"", peer->changed_ns);
	call_reply_with(call, status, value, "ETag", tag);
}

static void show(void *context, int err, const struct observation *seen)
{
	struct call *call = context;
	const struct peer *peer = peers_find_id(gateway_peers(call->api->gateway), call->id);

	(void)err;
	if (!peer) /* removed while we asked */
		call_refuse(call, 404, unknown_peer);
	else
		reply_peer(call, 200, peer, peer_json_observed(call, peer, seen));
}

void peers_show(struct call *call)
{
	const struct peer *peer = peer_json_find(call);

	if (!peer || peer->id == 0) {
		call_refuse(call, 404, unknown_peer);
		return;
	}
	call->id = peer->id;
	if (observer_look(call->api->observer, clock_boot_ns(), show, call) != 0)
		show(call, 0, NULL);
}

/* --- Create --- */

static void make_key(struct call *call, uint8_t public_key[32])
{
	if (!call->has_private_key) {
		random_fill(call->private_key.b, sizeof(call->private_key.b));
		dh_clamp(&call->private_key);
		call->has_private_key = true;
	}
	dh_public(call->api->suite, public_key, &call->private_key);
}

/* A key of the client's, or one made here: not both. */
static void choose_key(struct call *call, struct json_reader *r, struct peer_fields *f)
{
	bool generate = false;

	json_take_bool(r, "generate", false, &generate);
	if (f->edit.fields & GATEWAY_KEY && generate)
		json_refuse(r, "generate", "value_error",
			    "Either a public_key is given or one is generated");
	else if (!(f->edit.fields & GATEWAY_KEY))
		make_key(call, f->edit.public_key);
}

/* One that was made or sent just now; nobody is told a stored one. */
static const struct secret_key *preshared_key_of(const struct call *call)
{
	return call->has_preshared_key ? &call->preshared_key : NULL;
}

/* Members "client" and "configuration". Return: NULL when they cannot be made; @body is gone. */
static json_t *add_client(struct call *call, json_t *body, const struct peer *peer,
			  const struct secret_key *key)
{
	struct text text = { .data = NULL };
	struct client_conf c;
	bool is_made = client_conf_init(call->api, peer->level, &c) == 0 &&
		       json_object_set_new(body, "client",
					   client_conf_values(call->api, peer, &c)) == 0 &&
		       client_conf_text(call->api, peer, &c, key, preshared_key_of(call),
					&text) == 0 &&
		       json_object_set_new(body, "configuration", json_string(text.data)) == 0;

	text_done(&text);
	client_conf_done(&c);
	if (is_made)
		return body;
	json_decref(body);
	return NULL;
}

/* For the client's file. */
static void keep_preshared_key(struct call *call, const struct peer_fields *f)
{
	call->preshared_key = f->edit.preshared_key;
	call->has_preshared_key =
		!secret_is_zero(f->edit.preshared_key.b, sizeof(f->edit.preshared_key.b));
}

/* What a change blocks or lets in is so from now on, although the change that does it comes after. */
static json_t *json_of_now(const struct call *call, const struct peer *peer)
{
	struct peer now = *peer;

	now.blocked = lives_judge(call->api->lives, peer, clock_wall_ns());
	return peer_json(&now);
}

static json_t *created_body(struct call *call, const struct peer *peer)
{
	const struct secret_key *key = call->has_private_key ? &call->private_key : NULL;
	json_t *body = json_of_now(call, peer);
	char text[KEY_BASE64_LEN + 1];

	if (key) {
		key_to_base64(key->b, text);
		json_object_set_new(body, "private_key", json_string(text));
		secret_wipe(text, sizeof(text));
	}
	if (call->has_preshared_key) {
		key_to_base64(call->preshared_key.b, text);
		json_object_set_new(body, "preshared_key", json_string(text));
		secret_wipe(text, sizeof(text));
	}
	return add_client(call, body, peer, key);
}

static void created(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)carried; /* stored: the interface gets it as soon as it can */
	if (err != 0)
		call_fail(call, err, NULL);
	else
		reply_peer(call, 201, peer, created_body(call, peer));
}

static void refuse_existing(struct call *call, const struct gateway_add *add)
{
	const struct peers *peers = gateway_peers(call->api->gateway);

	if (peers_find_name(peers, add->name))
		call_conclude_refusal(
			call, 409,
			"A peer with this name exists; choose another, or remove it first");
	else if (peers_find_key(peers, add->public_key))
		call_conclude_refusal(call, 409, "A peer with this key exists");
	else
		call_conclude_refusal(call, 409, "The address belongs to another peer");
}

/* What became of handing a change to the gateway. */
static void follow(struct call *call, int err)
{
	switch (err) {
	case 0:
		return;
	case -EBUSY:
		call_again(call);
		return;
	case ERR_EXISTS:
		call_conclude_refusal(call, 409,
				      "Name, key, address or network is another peer's");
		return;
	case ERR_KEY:
		call_refuse(call, 422, "This key cannot be a client's");
		return;
	case ERR_RANGE:
		call_refuse(call, 422, "The address is not a client's address of this gateway");
		return;
	case ERR_EXPIRED:
		call_conclude_refusal(call, 409,
				      "The address was given back a moment ago and rests");
		return;
	case ERR_UNKNOWN:
		call_refuse(call, 422, "There is no such account, or access list");
		return;
	case -EOPNOTSUPP:
		call_conclude_refusal(
			call, 409,
			"A peer with networks behind it cannot have an access list,"
			" be it its account's: packets from those would pass it");
		return;
	case ERR_UNABLE:
		call_refuse(call, 422, CALL_UNABLE);
		return;
	default:
		call_fail(call, err, NULL);
		return;
	}
}

static void create(struct call *call, const struct gateway_add *add)
{
	struct gateway_grant grant = call_grant(call);
	int err = gateway_add_peer(call->api->gateway, add, &grant, created, call);

	if (err == ERR_EXISTS)
		refuse_existing(call, add);
	else if (err == ERR_EXHAUSTED)
		call_fail(call, ERR_LIMIT, "The address pool is full");
	else
		follow(call, err);
}

/* The same request once more gets what it made, as it is now; a key that was made for it is not
 * shown twice. Return: false when it was answered. */
static bool is_first_time(struct call *call)
{
	const struct store_answered *before;
	const struct peer *peer;

	if (!call_read_idempotency_key(call))
		return false;
	before = call->has_answered ? answered_find(gateway_answered(call->api->gateway),
						    call->answered_digest, call->now_ns)
				    : NULL;
	if (!before)
		return true;
	peer = peers_find_id(gateway_peers(call->api->gateway), before->subject);
	if (memcmp(before->fingerprint, call->answered_fingerprint, STORE_DIGEST_LEN) != 0)
		call_refuse(call, 422, "This Idempotency-Key was used for another request");
	else if (!peer || !peer_json_may_see(call, peer))
		call_refuse(call, 409, "What this request made is gone by now");
	else
		reply_peer(call, 201, peer, add_client(call, peer_json(peer), peer, NULL));
	return false;
}

void peers_read_fields(const struct call *call, struct json_reader *r, struct peer_fields *f)
{
	peer_fields_read(r, call->now_ns, f);
	/* Networks are everybody's: one account must not draw another's to itself. */
	if (f->edit.fields & GATEWAY_ROUTES && call->who.account_id != 0)
		json_refuse(r, "routes", "value_error",
			    "A key of an account cannot set networks");
	if (f->edit.fields & GATEWAY_ACCESS && call->who.account_id != 0)
		json_refuse(r, "access", "value_error",
			    "A key of an account cannot choose an access list");
}

static bool read_create(struct call *call, struct peer_fields *f)
{
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	peers_read_fields(call, &r, f);
	if (!json_object_get(call->body, "name") ||
	    json_is_null(json_object_get(call->body, "name")))
		json_refuse(&r, "name", "missing", "Field required");
	choose_key(call, &r, f);
	peer_fields_refuse_unknown(&r, NULL);
	return call_end_members(call, &r);
}

void peers_prepare_add(const struct call *call, const struct peer_fields *f,
		       struct gateway_add *ret)
{
	peer_fields_init_add(f, ret);
	ret->port = gateway_config(call->api->gateway)->port;
	ret->level = f->edit.fields & GATEWAY_LEVEL ? f->edit.level : call->api->level;
	if (call->who.account_id != 0)
		ret->limits.account_id = call->who.account_id;
}

void peers_create(struct call *call)
{
	struct peer_fields f;
	struct gateway_add add;

	if (!is_first_time(call) || !read_create(call, &f))
		return;
	peers_prepare_add(call, &f, &add);
	keep_preshared_key(call, &f);
	if (!client_conf_has(call->api, add.level))
		call_fail(call, -ENOTCONN, no_parameters);
	else
		create(call, &add);
	secret_key_done(&add.preshared_key);
	secret_key_done(&f.edit.preshared_key);
}

/* --- A client's file once more --- */

/* "obfuscation_level=WORD" alone; nothing at all leaves what @ret is. */
static bool read_level(const char *query, enum frame_level *ret)
{
	static const char name[] = "obfuscation_level=";
	const char *word = query + sizeof(name) - 1;
	enum frame_level level;

	if (!*query)
		return true;
	if (strncmp(query, name, sizeof(name) - 1) != 0)
		return false;
	level = frame_level_find(word, strlen(word));
	if (level < FRAME_LEVELS)
		*ret = level;
	return level < FRAME_LEVELS;
}

/* Without the private key, which nobody here has. For clients whose level was rotated, and for
 * those that are to be heard at another one: the peer's own stays what it is. */
void peers_configuration(struct call *call)
{
	const struct peer *found = peer_json_find(call);
	struct peer peer;

	if (!found || found->id == 0) {
		call_refuse(call, 404, unknown_peer);
		return;
	}
	peer = *found;
	if (!read_level(call->match.query, &peer.level))
		call_refuse(call, 400,
			    "The query takes obfuscation_level, one of: off, low,"
			    " medium, high, extreme");
	else if (gateway_config(call->api->gateway)->is_plain && peer.level != FRAME_OFF)
		call_refuse(call, 422, CALL_UNABLE);
	else if (!client_conf_has(call->api, peer.level))
		call_refuse(call, 503, no_parameters);
	else
		call_reply(call, 200, add_client(call, peer_json(&peer), &peer, NULL));
}

/* --- Changes --- */

static void changed(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	if (err != 0)
		call_fail(call, err, NULL);
	else if (carried != 0)
		call_refuse(call, 503, "Stored, but the interface does not act on it yet");
	else
		reply_peer(call, 200, peer,
			   call->has_private_key || call->has_preshared_key
				   ? created_body(call, peer)
				   : json_of_now(call, peer));
}

/* "generate": true gives the peer a new key. */
static void rotate_key(struct call *call, struct json_reader *r, struct peer_fields *f)
{
	bool generate = false;

	json_take_bool(r, "generate", false, &generate);
	if (!generate)
		return;
	choose_key(call, r, f);
	f->edit.fields |= GATEWAY_KEY;
}

static const char *action_of(unsigned int fields, const struct gateway_edit *e)
{
	if (fields == GATEWAY_STATUS)
		return e->status == STORE_PEER_ACTIVE ? "peer.resume" : "peer.suspend";
	if (fields == GATEWAY_LEVEL)
		return "peer.level";
	return fields & GATEWAY_KEY ? "peer.rotate" : "peer.update";
}

bool peers_read_change(struct call *call, struct json_reader *r, struct peer_fields *f)
{
	peers_read_fields(call, r, f);
	rotate_key(call, r, f);
	if (f->edit.fields == 0 && json_reader_is_well(r))
		json_refuse(r, "enabled", "missing", "Nothing to change was said");
	if (f->edit.fields & GATEWAY_ACCOUNT && call->who.account_id != 0)
		json_refuse(r, "account", "value_error",
			    "A key of an account cannot change it");
	f->edit.action = action_of(f->edit.fields, &f->edit);
	return json_reader_is_well(r);
}

static bool read_change(struct call *call, struct peer_fields *f)
{
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	peer_fields_refuse_unknown(&r, NULL);
	if (!peers_read_change(call, &r, f)) {
		call_refuse_fields(call, json_reader_take_errors(&r));
		return false;
	}
	json_reader_done(&r);
	keep_preshared_key(call, f);
	return true;
}

/* If-Match: the version that the caller has seen is the one there is. */
static bool is_current(const struct call *call, const struct peer *peer)
{
	const char *wanted = http_exchange_header(call->x, "If-Match");
	char tag[24];

	snprintf(tag, sizeof(tag), "\"%" PRIx64 "\"", peer->changed_ns);
	return !wanted || strcmp(wanted, "*") == 0 || strcmp(wanted, tag) == 0;
}

static const char stale[] = "The peer is another by now than If-Match says";

void peers_change(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	const struct peer *peer;
	struct peer_fields f;

	if (!read_change(call, &f))
		return;
	peer = peer_json_find(call);
	if (!peer)
		call_conclude_refusal(call, 404, unknown_peer);
	else if (peer->is_busy)
		call_again(call);
	else if (!is_current(call, peer))
		call_conclude_refusal(call, 412, stale);
	else if (f.edit.fields & GATEWAY_LEVEL && !client_conf_has(call->api, f.edit.level))
		call_fail(call, -ENOTCONN, no_parameters);
	else
		follow(call, gateway_change_peer(call->api->gateway, peer->id, &f.edit, &grant,
						 changed, call));
	secret_key_done(&f.edit.preshared_key);
}

/* --- Delete --- */

static void deleted(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)peer;
	if (err != 0)
		call_fail(call, err, NULL);
	else if (carried != 0)
		call_refuse(call, 503, "Removed, but the interface does not act on it yet");
	else
		call_reply(call, 200, json_pack("{s:s}", "status", "deleted"));
}

void peers_delete(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	const struct peer *peer = peer_json_find(call);

	if (!peer)
		call_conclude_refusal(call, 404, unknown_peer);
	else if (peer->is_busy)
		call_again(call);
	else if (!is_current(call, peer))
		call_conclude_refusal(call, 412, stale);
	else
		follow(call, gateway_remove_peer(call->api->gateway, peer->id, &grant, deleted,
						 call));
}
