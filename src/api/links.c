/* SPDX-License-Identifier: Apache-2.0 */
#include "api/links.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/client_conf.h"
#include "api/key_text.h"
#include "api/objects.h"
#include "api/peer_json.h"
#include "api/time_text.h"
#include "sys/clock.h"
#include "sys/random.h"

enum {
	SWEEP_S = 60,
	SWEPT_MAX = 64, /* in one go */
	URL_MAX = API_HOST_MAX + 128,
};

static_assert((int)LINKS_MAX <= (int)RECORDS_LINKS_MAX, "each is a record");

static const uint64_t SECOND_NS = 1000000000;

static const char unknown_peer[] = "There is no such peer";

/* Its time is over, or its file is no use any more. What becomes of a peer's key that is being changed is not
 * known yet. */
static bool leads_nowhere(const struct gateway *g, const struct link_record *l,
			  uint64_t wall_ns)
{
	const struct peer *peer = peers_find_id(gateway_peers(g), l->peer_id);

	if (!peer || l->until_ns <= wall_ns)
		return true;
	return !peer->is_busy && memcmp(peer->public_key, l->public_key, 32) != 0;
}

/* --- Making one --- */

/**
 * struct wanted - What the request asks for
 * @generate:	The peer gets a new key, and a new preshared one if it has one
 */
struct wanted {
	int64_t ttl_s;
	int64_t uses;
	bool generate;
	bool has_key;
	bool has_preshared_key;
};

static bool read_key(struct json_reader *r, const char *name, struct secret_key *ret)
{
	const char *text = NULL;

	json_take_text(r, name, false, 2 * KEY_BASE64_LEN, &text);
	if (!text)
		return false;
	if (key_text_read(text, strlen(text), ret->b) == 0)
		return true;
	json_refuse(r, name, "value_error", "A key is 32 octets in base64");
	return false;
}

static void check_key(struct call *call, struct json_reader *r, const struct peer *peer,
		      const struct wanted *w)
{
	uint8_t public_key[32];

	if (w->has_key) {
		dh_public(call->api->suite, public_key, &call->private_key);
		if (memcmp(public_key, peer->public_key, 32) != 0)
			json_refuse(r, "private_key", "value_error",
				    "This is not the private key of this peer");
	}
	if (w->has_key && w->generate)
		json_refuse(r, "generate", "value_error",
			    "Either a private_key is given or one is generated");
	if (w->has_key && peer->has_preshared_key && !w->has_preshared_key)
		json_refuse(r, "preshared_key", "missing",
			    "This peer has one, which nobody is told: send it along");
}

static bool read_wanted(struct call *call, const struct peer *peer, struct wanted *w)
{
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	json_take_number(&r, "ttl", LINK_TTL_MIN_S, LINK_TTL_MAX_S, &w->ttl_s);
	json_take_number(&r, "uses", 1, LINK_USES_MAX, &w->uses);
	json_take_bool(&r, "generate", false, &w->generate);
	w->has_key = read_key(&r, "private_key", &call->private_key);
	w->has_preshared_key = read_key(&r, "preshared_key", &call->preshared_key);
	check_key(call, &r, peer, w);
	json_refuse_unknown(&r, (const char *const[]){ "ttl", "uses", "generate", "private_key",
						       "preshared_key", NULL });
	return call_end_members(call, &r);
}

/* Somebody has its key already: a new one would cut that device off. */
static bool is_in_use(const struct call *call, const struct peer *peer)
{
	const struct observation *seen = observer_last(call->api->observer, NULL);
	const struct observed *o = seen ? observation_find(seen, peer->public_key) : NULL;
	struct usage used;

	lives_usage(call->api->lives, peer->id, &used);
	return used.rx > 0 || (o && o->last_handshake_ns != 0);
}

static void make_keys(struct call *call, const struct peer *peer, struct gateway_edit *e)
{
	random_fill(call->private_key.b, sizeof(call->private_key.b));
	dh_clamp(&call->private_key);
	dh_public(call->api->suite, e->public_key, &call->private_key);
	e->fields = GATEWAY_KEY;
	e->action = "peer.rotate";
	if (!peer->has_preshared_key)
		return;
	random_fill(call->preshared_key.b, sizeof(call->preshared_key.b));
	e->preshared_key = call->preshared_key;
	e->fields |= GATEWAY_PRESHARED_KEY;
}

static int write_file(const struct call *call, const struct peer *peer, struct text *out)
{
	const struct secret_key *psk =
		secret_is_zero(call->preshared_key.b, 32) ? NULL : &call->preshared_key;
	struct client_conf c;
	int err = client_conf_init(call->api, peer->level, &c);

	if (err == 0)
		err = client_conf_text(call->api, peer, &c, &call->private_key, psk, out);
	client_conf_done(&c);
	return err;
}

/* The record's body and name; the link itself into @call->value. */
static int make_record(struct call *call, const struct peer *peer, struct link_record *l,
		       char name[STORE_NAME_MAX + 1], struct text *body)
{
	struct text file = { .data = NULL }, url = { .data = NULL };
	char token_text[LINK_TOKEN_TEXT_MAX];
	uint8_t token[LINK_TOKEN_LEN];
	int err;

	random_fill(token, sizeof(token));
	link_name(call->api->suite, token, name);
	link_token_format(token, token_text);
	text_printf(&url, "%s/l/%s", call->api->link_base, token_text);
	err = write_file(call, peer, &file);
	if (err == 0)
		err = link_close(call->api->suite, token, file.data, file.len, l);
	if (err == 0)
		link_record_write(l, body);
	call->value = url.err == 0 ? json_string(url.data) : NULL;
	text_done(&file);
	text_done(&url);
	secret_wipe(token, sizeof(token));
	secret_wipe(token_text, sizeof(token_text));
	return err == 0 && body->err == 0 && call->value ? 0 : (err ? err : -ENOMEM);
}

static void ignore(void *context, int err, int carried, const struct peer *peer)
{
	(void)context, (void)err, (void)carried, (void)peer;
}

static json_t *link_json(const struct call *call, const struct record *record)
{
	char created[TIME_TEXT_MAX], until[TIME_TEXT_MAX];
	struct link_record l = { .uses = 0 };
	const struct peer *peer;
	json_t *json;

	if (link_record_peek(record->body, &l) != 0)
		return NULL;
	peer = peers_find_id(gateway_peers(call->api->gateway), l.peer_id);
	json = json_pack("{s:I, s:I, s:s?, s:s, s:s, s:i}", "id", (json_int_t)record->id,
			 "peer", (json_int_t)l.peer_id, "name",
			 peer && peer->name[0] ? peer->name : NULL, "created",
			 time_text_utc(record->created_ns, created), "expires",
			 time_text_utc(l.until_ns, until), "uses", (int)l.uses);
	return json;
}

static void created(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;
	const struct record *one =
		records_find_name(object_records(call), STORE_LINK, call->name);
	json_t *json = err == 0 && one ? link_json(call, one) : NULL;

	(void)carried, (void)peer;
	if (err != 0) {
		call_fail(call, err, NULL);
		return;
	}
	if (json)
		json_object_set(json, "url", call->value);
	call_reply(call, 201, json);
}

/**
 * struct standing - What there is already, when a link to a peer is made
 * @of_account:	Links to other peers of its account
 * @weakest:	Of the peer's links one that leads nowhere, or else the oldest; NULL: none
 */
struct standing {
	size_t of_peer;
	size_t of_account;
	const struct record *weakest;
	bool weakest_is_dead;
};

static struct standing look_around(const struct call *call, const struct peer *peer)
{
	const struct gateway *g = call->api->gateway;
	const struct record *one = records_after(object_records(call), STORE_LINK, 0);
	struct standing s = { .weakest = NULL };

	for (; one; one = one->next) {
		struct link_record l;
		const struct peer *other;

		if (link_record_peek(one->body, &l) != 0)
			continue;
		if (l.peer_id == peer->id) {
			s.of_peer++;
			if (!s.weakest ||
			    (!s.weakest_is_dead && leads_nowhere(g, &l, call->now_ns))) {
				s.weakest = one;
				s.weakest_is_dead = leads_nowhere(g, &l, call->now_ns);
			}
		} else if (peer->account_id != 0) {
			other = peers_find_id(gateway_peers(g), l.peer_id);
			if (other && other->account_id == peer->account_id)
				s.of_account++;
		}
	}
	return s;
}

/* Both or neither: a link to a key that the peer does not have is no use, nor is a key that nobody has. */
static int submit(struct call *call, const struct peer *peer, const struct gateway_edit *edit,
		  const char *body, const struct record *replaced)
{
	struct gateway_grant grant = call_grant(call), plain = grant;
	char detail[STORE_NAME_MAX + 32];
	int err = 0;

	snprintf(detail, sizeof(detail), "peer %lld %s", (long long)peer->id, peer->name);
	gateway_batch_begin(call->api->gateway);
	if (edit->fields != 0) {
		err = gateway_change_peer(call->api->gateway, peer->id, edit, &grant, ignore,
					  NULL);
		plain.has_signature = false; /* it is spent with the first */
	}
	plain.detail = detail;
	if (err == 0)
		err = gateway_put_record(call->api->gateway, STORE_LINK, 0, call->name, body,
					 "link.create", &plain, created, call);
	plain.has_signature = false;
	if (err == 0 && replaced)
		err = gateway_drop_record(call->api->gateway, STORE_LINK, replaced->id,
					  "link.delete", &plain, ignore, NULL);
	if (err != 0)
		(void)gateway_batch_end(call->api->gateway, false);
	else
		err = gateway_batch_end(call->api->gateway, true);
	return err;
}

static void create(struct call *call, const struct peer *peer, const struct wanted *w,
		   const struct record *replaced)
{
	struct gateway_edit edit = { .fields = 0 };
	struct link_record l = { .peer_id = peer->id,
				 .until_ns = call->now_ns + (uint64_t)w->ttl_s * SECOND_NS,
				 .uses = (unsigned int)w->uses };
	struct text body = { .data = NULL };
	int err;

	memcpy(l.public_key, peer->public_key, 32);
	if (!w->has_key) {
		make_keys(call, peer, &edit);
		memcpy(l.public_key, edit.public_key, 32);
	}
	err = make_record(call, peer, &l, call->name, &body);
	if (err == 0)
		err = submit(call, peer, &edit, body.data, replaced);
	link_record_done(&l);
	text_done(&body);
	secret_key_done(&edit.preshared_key);
	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}

/* A peer that has all its links gets the new one in place of one: who asks for a link wants that it works. */
static void create_within_bounds(struct call *call, const struct peer *peer,
				 const struct wanted *w)
{
	struct standing s = look_around(call, peer);

	if (s.of_peer >= LINKS_PER_PEER)
		create(call, peer, w, s.weakest);
	else if (s.of_account + s.of_peer >= LINKS_PER_ACCOUNT)
		call_conclude_refusal(call, 409, "This account has too many links already");
	else if (records_count(object_records(call), STORE_LINK) >= LINKS_MAX)
		call_conclude_refusal(call, 409, "There are too many links already");
	else
		create(call, peer, w, NULL);
}

void links_create(struct call *call)
{
	const struct peer *peer = peer_json_find(call);
	struct wanted w = { .ttl_s = LINK_TTL_S, .uses = 1 };

	json_decref(call->value); /* of a first try */
	call->value = NULL;
	if (!peer || peer->id == 0) {
		call_conclude_refusal(call, 404, unknown_peer);
		return;
	}
	if (!read_wanted(call, peer, &w))
		return;
	if (!client_conf_has(call->api, peer->level))
		call_fail(call, -ENOTCONN, "This gateway has no parameters for that level yet");
	else if (!w.has_key && !w.generate && is_in_use(call, peer))
		call_conclude_refusal(
			call, 409,
			"This peer is in use, and nobody here has its private key: send private_key,"
			" or \"generate\": true for a new one, which cuts its device off");
	else
		create_within_bounds(call, peer, &w);
}

/* --- Those there are --- */

/* A key of an account sees the links of its own peers. */
static bool may_see(const struct call *call, const struct record *record)
{
	struct link_record l = { .uses = 0 };
	const struct peer *peer;

	if (call->who.account_id == 0)
		return true;
	if (link_record_peek(record->body, &l) != 0)
		return false;
	peer = peers_find_id(gateway_peers(call->api->gateway), l.peer_id);
	return peer && peer_json_may_see(call, peer);
}

static bool read_after(const char *query, uint64_t *ret)
{
	*ret = 0;
	return !*query || (strncmp(query, "after=", 6) == 0 &&
			   decimal_parse(query + 6, strlen(query + 6), INT64_MAX, ret) == 0);
}

/* Those that the caller may not see count too: so a request costs the same whoever sends it. */
void links_list(struct call *call)
{
	const struct record *one;
	json_t *page, *next;
	uint64_t after;

	if (!read_after(call->match.query, &after)) {
		call_refuse(call, 400, "The query takes after (an id)");
		return;
	}
	page = json_array();
	one = records_after(object_records(call), STORE_LINK, (int64_t)after);
	for (size_t n = 0; one && n < LINKS_LOOKED_AT; n++, one = one->next) {
		after = (uint64_t)one->id;
		if (may_see(call, one))
			json_array_append_new(page, link_json(call, one));
	}
	next = one ? json_integer((json_int_t)after) : json_null();
	call_reply(call, 200, json_pack("{s:o, s:o}", "links", page, "next", next));
}

void links_delete(struct call *call)
{
	const struct record *one = object_find(call, STORE_LINK);

	object_drop_one(call, one && may_see(call, one) ? one : NULL, "link.delete",
			"It is in use");
}

/* --- Time --- */

void links_tick(struct api *api, uint64_t now_ns, uint64_t wall_ns)
{
	struct gateway *g = api->gateway;
	const struct record *one;

	if (now_ns < api->links_due_ns)
		return;
	one = records_after(gateway_records(g), STORE_LINK, api->links_at);
	for (unsigned int n = 0; one && n < SWEPT_MAX; n++, one = one->next) {
		struct link_record l;

		api->links_at = one->id;
		if (link_record_peek(one->body, &l) == 0 && leads_nowhere(g, &l, wall_ns))
			(void)gateway_drop_record(g, STORE_LINK, one->id, "", NULL, ignore,
						  NULL);
	}
	if (one)
		return;
	api->links_at = 0;
	api->links_due_ns = now_ns + SWEEP_S * SECOND_NS;
}
