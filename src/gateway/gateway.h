/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway.h - What a gateway decides: who gets which address, who is a peer
 *
 * Every change goes the same way: it is decided here in memory, committed by the writer,
 * carried to the interface, and only then reported to whoever asked. Until then its peer is
 * busy and further decisions about it wait. State that is asked for is in memory.
 *
 * Threads: all calls from one thread; the callbacks run in gateway_collect().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/answered.h"
#include "gateway/peers.h"
#include "gateway/profiles.h"
#include "gateway/records.h"
#include "ipam/pool.h"
#include "store/store.h"
#include "store/writer.h"

/**
 * struct gateway_config - One interface
 * @generator:	For the parameters of levels; borrowed
 * @is_plain:	The kernel's WireGuard: no obfuscation, no limits of rates
 * @rest_ns:	How long a removed peer's addresses are not given again
 * @account_list: Which access list an account's body gives its peers; 0: none. NULL: no accounts do
 */
struct gateway_config {
	char interface[16];
	uint8_t public_key[32];
	struct ip_prefix subnet4;
	struct ip_prefix subnet6;
	uint16_t port;
	struct generator *generator;
	bool is_plain;
	uint64_t rest_ns;
	int64_t (*account_list)(const char *body);
};

/**
 * struct gateway_grant - What allowed a change
 * @now_ns:	Wall clock
 * @detail:	For the row of the audit trail; borrowed for the call; NULL: none
 * @frees_at_once: Addresses that a peer leaves do not rest: whoever asks gives them out itself. Those of
 *		a peer that a batch removes may be taken by what the batch decides after that
 * @has_answered: The request had an Idempotency-Key: @answered_digest, of caller and key, is
 *		remembered with the id of what is made. ERR_EXISTS where it is known
 */
struct gateway_grant {
	uint64_t now_ns;
	char who[STORE_WHO_MAX + 1];
	const char *detail;
	bool frees_at_once;
	bool has_signature;
	uint8_t digest[STORE_DIGEST_LEN];
	uint64_t signed_s;
	uint64_t forget_before_s;
	bool has_answered;
	uint8_t answered_digest[STORE_DIGEST_LEN];
	uint8_t answered_fingerprint[STORE_DIGEST_LEN];
};

/**
 * struct gateway_limits - What a peer may, beside its addresses
 * @account_id, @access_id: Records of those kinds; 0: none
 * @expires_ns, @quota_bytes, @rate_bps: 0: no limit
 * @keepalive_s: 0: none
 * @routes:	Networks behind it, as prefixes with commas; checked by the caller
 * @routes, @schedule, @note: NULL or "": none; borrowed
 */
struct gateway_limits {
	int64_t account_id;
	int64_t access_id;
	uint64_t expires_ns;
	uint64_t quota_bytes;
	enum store_period quota_period;
	uint64_t rate_bps;
	uint16_t keepalive_s;
	const char *routes;
	const char *schedule;
	const char *note;
};

enum { GATEWAY_KEEPALIVE_S = 25 }; /* what a data-plane entry has, by contract */

/**
 * struct gateway_add - A peer to be
 * @v4, @v6:	family ADDR_NONE: the lowest free one, if @wants_v4, @wants_v6
 * @preshared_key: All zeroes: none
 */
struct gateway_add {
	uint8_t public_key[32];
	const char *name; /* "" for none */
	const char *dns;
	const char *obfuscation; /* "" for none */
	struct ip_addr v4;
	struct ip_addr v6;
	bool wants_v4;
	bool wants_v6;
	unsigned int families;
	enum frame_level level;
	uint16_t port;
	enum store_status status; /* 0: active */
	struct secret_key preshared_key;
	struct gateway_limits limits;
};

/* Which fields of a struct gateway_edit count. */
enum gateway_field {
	GATEWAY_STATUS = 1 << 0,
	GATEWAY_LEVEL = 1 << 1,
	GATEWAY_NAME = 1 << 2,
	GATEWAY_DNS = 1 << 3,
	GATEWAY_KEY = 1 << 4,
	GATEWAY_PRESHARED_KEY = 1 << 5,
	GATEWAY_ADDRESSES = 1 << 6, /* ADDR_NONE: that family's is given up */
	GATEWAY_ACCOUNT = 1 << 7,
	GATEWAY_ACCESS = 1 << 8,
	GATEWAY_EXPIRES = 1 << 9,
	GATEWAY_QUOTA = 1 << 10, /* bytes and period */
	GATEWAY_RATE = 1 << 11,
	GATEWAY_KEEPALIVE = 1 << 12,
	GATEWAY_ROUTES = 1 << 13,
	GATEWAY_SCHEDULE = 1 << 14,
	GATEWAY_NOTE = 1 << 15,
	GATEWAY_BLOCKED = 1 << 16,
	GATEWAY_FAMILIES = 1 << 17,
	GATEWAY_PORT = 1 << 18,
};

/**
 * struct gateway_edit - What becomes of a peer; only what @fields names counts
 * @fields:	enum gateway_field, or'ed
 * @action:	For the audit trail; NULL: "peer.update"
 */
struct gateway_edit {
	unsigned int fields;
	const char *action;
	uint8_t public_key[32];
	struct secret_key preshared_key;
	const char *name;
	const char *dns;
	struct ip_addr v4;
	struct ip_addr v6;
	enum store_status status;
	enum frame_level level;
	unsigned int families;
	uint16_t port;
	unsigned int blocked;
	struct gateway_limits limits;
};

/**
 * gateway_done - What became of a change
 * @err:	0: it is on the disk; otherwise nothing was changed
 * @carried:	0: the interface has it as well; otherwise it will, later
 * @peer:	The peer it was about, as it is now; NULL when it is gone or there was none
 */
typedef void (*gateway_done)(void *context, int err, int carried, const struct peer *peer);

/* Called in gateway_collect() for every change that was made, after its own callback: whoever
 * tells others about it. @change->kind says what, @peer as above. */
typedef void (*gateway_listener)(void *context, const struct store_change *change,
				 const struct peer *peer);

struct gateway;

enum { GATEWAY_LISTENERS_MAX = 4 };

/**
 * gateway_new() - Load what is stored and start the writer
 * @store:	Borrowed until gateway_free()
 * @callbacks:	For the writer's thread
 *
 * Return: 0; ERR_RANGE for a prefix without room; ERR_CORRUPT; -errno; reason in @d.
 */
int gateway_new(const struct gateway_config *config, struct store *store,
		const struct writer_callbacks *callbacks, uint64_t now_ns, struct gateway **ret,
		struct diag *d);

/** gateway_stop() - Finish what is under way, with all callbacks, and stop the writer */
void gateway_stop(struct gateway *g);
struct gateway *gateway_free(struct gateway *g); /* takes NULL, returns NULL */

const struct gateway_config *gateway_config(const struct gateway *g);
const struct peers *gateway_peers(const struct gateway *g);
const struct profiles *gateway_profiles(const struct gateway *g);
const struct records *gateway_records(const struct gateway *g);
const struct answered *gateway_answered(const struct gateway *g);
struct store *gateway_store(const struct gateway *g); /* for store_read_audit() */
/* Up to GATEWAY_LISTENERS_MAX, called in this order. */
void gateway_listen(struct gateway *g, gateway_listener listener, void *context);

/**
 * gateway_announcer - What is to be written in the same transaction as @change
 * @peer:	The peer as it was, or is to be added; NULL when it is about none
 * @ret:	Empty; gets what gateway_event_new() made, linked by @next
 *
 * Called for every change that leaves a row in the audit trail, before it goes to the writer: it
 * has no number of its own yet. Return: 0; anything else refuses the change.
 */
typedef int (*gateway_announcer)(void *context, const struct store_change *change,
				 const struct peer *peer, struct store_change **ret);
void gateway_set_announcer(struct gateway *g, gateway_announcer announcer, void *context);

/** gateway_event_new() - A record of kind STORE_OUTBOX to be. Return: 0; ERR_LIMIT: too many wait
 *  already, or it is too long; -ENOMEM */
int gateway_event_new(struct gateway *g, const char *name, const char *body,
		      struct store_change **ret);
void gateway_events_free(struct store_change *chain);

/**
 * gateway_put_event() - One that goes with no change; @event is taken over in any case
 * @action:	"": no row in the audit trail
 * @grant:	NULL: nothing but the event is stored
 */
int gateway_put_event(struct gateway *g, struct store_change *event, const char *action,
		      const struct gateway_grant *grant, gateway_done done, void *context);

/* What is left of a peer's quota: asked for each change of one that has a quota. Until it is set,
 * all of it is. */
typedef uint64_t (*gateway_budget)(void *context, const struct peer *peer);
void gateway_set_budget(struct gateway *g, gateway_budget budget, void *context);
const struct pool *gateway_pool(const struct gateway *g, enum addr_family family);

int gateway_fd(const struct gateway *g); /* readable: call gateway_collect() */
void gateway_collect(struct gateway *g);
void gateway_wake(struct gateway *g); /* let the writer's thread look after the interface */

/* --- Changes. 0: @done will be called. Otherwise nothing happens, and:
 *	-EBUSY	somebody else's change of the same object is under way: gateway_wait(), then
 *		decide again
 *	ERR_LIMIT, -ENOMEM  try again later
 *
 * @done may still say ERR_EXISTS (two took the same name at once), ERR_UNKNOWN, or -ECANCELED
 * (another change of the batch was refused). --- */

/**
 * gateway_batch_begin() - What is decided from now on stands or falls together
 *
 * A change that cannot be decided is left out by itself: end the batch with @keep false then.
 * While a batch is open nothing else may be decided.
 */
void gateway_batch_begin(struct gateway *g);

/**
 * gateway_batch_end() - Send the batch on its way, or take all of it back
 * @keep:	false: as if nothing had been decided; no callback is called
 *
 * Return: 0; ERR_LIMIT: it was taken back.
 */
int gateway_batch_end(struct gateway *g, bool keep);

/**
 * gateway_add_peer() - Also ERR_EXISTS (key, name or address; look which), ERR_EXHAUSTED,
 *	ERR_KEY (nobody may use that key), ERR_RANGE (an address no pool gives), ERR_EXPIRED (an
 *	address that still rests), ERR_UNKNOWN (account or access list), -EOPNOTSUPP (networks
 *	behind a peer that has an access list, be it its account's), ERR_UNABLE (a plain
 *	interface has no level but off, and no rates)
 */
int gateway_add_peer(struct gateway *g, const struct gateway_add *add,
		     const struct gateway_grant *grant, gateway_done done, void *context);

/** gateway_change_peer() - Also as gateway_add_peer(), and ERR_UNKNOWN (no such peer) */
int gateway_change_peer(struct gateway *g, int64_t id, const struct gateway_edit *edit,
			const struct gateway_grant *grant, gateway_done done, void *context);
int gateway_set_status(struct gateway *g, int64_t id, enum store_status status,
		       const struct gateway_grant *grant, gateway_done done, void *context);
/* What its client's file is made for; the interface sends keepalives to match. */
int gateway_set_level(struct gateway *g, int64_t id, enum frame_level level,
		      const struct gateway_grant *grant, gateway_done done, void *context);
int gateway_remove_peer(struct gateway *g, int64_t id, const struct gateway_grant *grant,
			gateway_done done, void *context);

/**
 * gateway_put_record() - Make a record (@id 0), or give one another name and body
 *
 * Also ERR_LIMIT (records_max() of a new one's kind are there or on their way),
 * ERR_EXISTS (the name), ERR_UNKNOWN (no such record of that kind, or no such access list of an
 * account), -EOPNOTSUPP (an access list for peers with networks behind them). @done's @peer is NULL;
 * find the record by its name.
 */
int gateway_put_record(struct gateway *g, enum store_record_kind kind, int64_t id,
		       const char *name, const char *body, const char *action,
		       const struct gateway_grant *grant, gateway_done done, void *context);

/** gateway_drop_record() - Also ERR_UNKNOWN; ERR_EXISTS: peers or accounts refer to it */
int gateway_drop_record(struct gateway *g, enum store_record_kind kind, int64_t id,
			const char *action, const struct gateway_grant *grant,
			gateway_done done, void *context);

/** gateway_set_usage() - Remember what peers have used. @usage is borrowed until @done */
int gateway_set_usage(struct gateway *g, const struct store_usage *usage, size_t n,
		      gateway_done done, void *context);

/** gateway_note() - Nothing changes, but the audit trail gets a row */
int gateway_note(struct gateway *g, const char *action, const char *subject,
		 const struct gateway_grant *grant, gateway_done done, void *context);

/**
 * gateway_rotate() - New parameters for @level; clients of the former ones have @keep_ns to change
 *
 * Also ERR_RANGE (level off has none), ERR_EXHAUSTED (no room for another profile).
 */
int gateway_rotate(struct gateway *g, enum frame_level level, uint64_t keep_ns,
		   const struct gateway_grant *grant, gateway_done done, void *context);

/**
 * gateway_drop_profile() - A former profile ends now
 *
 * Also ERR_UNKNOWN (there is none of that name), ERR_RANGE (new clients get it).
 */
int gateway_drop_profile(struct gateway *g, const char *name, const struct gateway_grant *grant,
			 gateway_done done, void *context);

/** gateway_record() - Nothing changes, but the signature is spent: remember it durably */
int gateway_record(struct gateway *g, const struct gateway_grant *grant, gateway_done done,
		   void *context);

/** gateway_wait() - Call @done when everything decided so far has come to its end */
int gateway_wait(struct gateway *g, gateway_done done, void *context);
