/* SPDX-License-Identifier: Apache-2.0 */
/**
 * store.h - What the gateway must not forget
 *
 * A store keeps peers, their addresses and what they have used, the profiles by which messages
 * are framed, small objects beside peers (records), the signatures that allowed changes, and an
 * audit trail. It changes by groups: store_apply() takes a list of changes, makes
 * each whole or not at all, commits them together, and returns when the disk has
 * them. A change that contradicts what is stored is refused alone; its neighbours in
 * the group go through. Changes that are joined stand or fall together. So do the signature of a
 * request and the change it allowed.
 *
 * Secrets are sealed (store/seal.h) before they reach the disk.
 *
 * After a failed fsync nobody knows what the disk holds (the kernel forgets the pages
 * it could not write), so the store then refuses every change. Once the disk works again it
 * says so, and wants to be opened anew by a new process, which reads what the disk holds and
 * writes the log into the file once more; a full disk is only refused until there is room.
 *
 * Kinds of store are tables of functions, and one conformance test runs against each.
 *
 * Threads: store_apply() and the loads from one thread at a time; store_maintain()
 *	   from another, at the same time; store_read_audit() from a third.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "crypto/secret.h"
#include "frame/frame.h"
#include "frame/level.h"
#include "store/seal.h"

enum {
	STORE_NAME_MAX = 64, /* octets */
	STORE_DNS_MAX = 7,   /* a word for a choice of resolvers */
	STORE_OBFUSCATION_MAX = 256,
	STORE_WHO_MAX = 64,
	STORE_DIGEST_LEN = 32,
	STORE_ACTION_MAX = 31,
	STORE_SUBJECT_MAX = 95,
	STORE_DETAIL_MAX = 1024,
	STORE_ROUTES_MAX = 1024, /* octets of text */
	STORE_SCHEDULE_MAX = 256,
	STORE_NOTE_MAX = 512,
	STORE_BODY_MAX = 65536,	   /* octets of a record */
	STORE_USAGE_MAX = 1024,	   /* octets of what one peer has used */
	STORE_ANSWERED_S = 86400,  /* an Idempotency-Key is remembered that long */
	STORE_AUDIT_MAX = 1000000, /* rows kept, newest */
	STORE_PROFILES_MAX = FRAME_PROFILES_MAX - 1, /* beside the default, which is no row */
};

enum store_status {
	STORE_PEER_ACTIVE = 1,
	STORE_PEER_SUSPENDED = 2,
};

enum store_families {
	STORE_IPV4 = 1,
	STORE_IPV6 = 2,
};

/* Why a peer that is active is not served all the same. */
enum store_block {
	STORE_BLOCK_EXPIRED = 1,
	STORE_BLOCK_QUOTA = 2,
	STORE_BLOCK_SCHEDULE = 4,
	STORE_BLOCK_ACCOUNT = 8, /* its account is suspended */
};

/* What a quota is counted over. Calendar periods begin at midnight UTC; a week on Monday. */
enum store_period {
	STORE_PERIOD_NONE = 0, /* once and for all */
	STORE_PERIOD_DAY,
	STORE_PERIOD_WEEK,
	STORE_PERIOD_MONTH,
	STORE_PERIOD_ROLLING_DAY,   /* the last 24 hours */
	STORE_PERIOD_ROLLING_MONTH, /* the last 30 days */
	STORE_PERIODS,
};

/**
 * struct store_peer - One peer as stored
 * @id:		Chosen by store_apply() when added
 * @name:	"" when it has none
 * @v4, @v6:	family ADDR_NONE when it has none
 * @families:	enum store_families, or both: what the client sends into the tunnel
 * @obfuscation: JSON text, "" when none
 * @level:	That its configuration was made for
 * @account_id, @access_id: Records of those kinds; 0: none
 * @preshared_key: All zeroes: none. Of a changed peer see @sets_preshared_key
 * @blocked:	enum store_block, or'ed
 * @expires_ns, @quota_bytes, @rate_bps: 0: no limit
 * @budget_bytes: Not stored: what is left of its quota, for whoever carries a change on;
 *		UINT64_MAX: no bound
 * @routes, @schedule, @note: Texts, borrowed; NULL: none
 * @created_ns, @changed_ns: Of a peer that is added the time of the change; afterwards @changed_ns
 *		is kept as given, since not every change makes another version of a peer
 */
struct store_peer {
	int64_t id;
	uint8_t public_key[32];
	char name[STORE_NAME_MAX + 1];
	struct ip_addr v4;
	struct ip_addr v6;
	enum store_status status;
	unsigned int families;
	uint16_t port;
	char dns[STORE_DNS_MAX + 1];
	char obfuscation[STORE_OBFUSCATION_MAX + 1];
	enum frame_level level;
	int64_t account_id;
	int64_t access_id;
	struct secret_key preshared_key;
	uint64_t expires_ns;
	uint64_t quota_bytes;
	enum store_period quota_period;
	uint64_t rate_bps;
	uint64_t budget_bytes;
	uint16_t keepalive_s;
	unsigned int blocked;
	const char *routes;
	const char *schedule;
	const char *note;
	uint64_t created_ns;
	uint64_t changed_ns;
};

enum store_record_kind {
	STORE_ACCOUNT = 1,
	STORE_KEY,	 /* an API key: its digest, role, account; sealed */
	STORE_WEBHOOK,	 /* sealed: it holds a secret */
	STORE_LINK,	 /* a one-time link; sealed: a client's file may be in it */
	STORE_ACCESS,	 /* a list of allowed destinations */
	STORE_SETTING,	 /* single facts */
	STORE_OUTBOX,	 /* an event that a webhook has not got yet (gateway/outbox.h) */
	STORE_USER,	 /* of the users' API; its name is that of its peer */
	STORE_ENROLMENT, /* a token to become a user with; its name is a hash of it */
	STORE_RECORD_KINDS,
};

/* Is the body of that kind kept sealed? */
static inline bool store_is_sealed(enum store_record_kind kind)
{
	return kind == STORE_KEY || kind == STORE_WEBHOOK || kind == STORE_LINK;
}

/**
 * struct store_record - A small object beside peers
 * @id:		Chosen by store_apply() when new; of all kinds together
 * @name:	No other of its kind has it
 * @body:	JSON, of which the store knows nothing; borrowed
 */
struct store_record {
	int64_t id;
	enum store_record_kind kind;
	char name[STORE_NAME_MAX + 1];
	const char *body;
	uint64_t created_ns;
	uint64_t changed_ns;
};

/* struct store_usage - What a peer has used, as gateway/usage.h writes it; borrowed */
struct store_usage {
	int64_t peer_id;
	const void *data;
	size_t len; /* up to STORE_USAGE_MAX */
};

/**
 * struct store_answered - A request with an Idempotency-Key that made something
 * @digest:	Of caller and key
 * @fingerprint: Of the request
 * @subject:	Id of what it made
 */
struct store_answered {
	uint8_t digest[STORE_DIGEST_LEN];
	uint8_t fingerprint[STORE_DIGEST_LEN];
	int64_t subject;
	uint64_t time_ns;
};

/**
 * struct store_audit - One row of the audit trail
 * @is_chained:	It was written since rows are chained; @prev and @hash are then set
 */
struct store_audit {
	struct seal_row row; /* its texts are borrowed */
	bool is_chained;
	uint8_t prev[SEAL_CHAIN_LEN];
	uint8_t hash[SEAL_CHAIN_LEN];
};

/**
 * struct store_profile - One way of framing that the interface accepts
 * @name:	No other has it
 * @parameters:	"key=value key=value" as the UAPI spells them, a secret among them; borrowed
 * @until_ns:	Wall clock from which it is not accepted any more; 0: for good
 */
struct store_profile {
	char name[FRAME_NAME_MAX + 1];
	enum frame_level level;
	const char *parameters;
	uint64_t created_ns;
	uint64_t until_ns;
};

enum store_change_kind {
	STORE_ADD_PEER = 1,
	STORE_CHANGE_PEER, /* @peer is all of it from now on; with @is_moved its addresses too */
	STORE_REMOVE_PEER,  /* @peer: id, addresses; @rest_until_ns */
	STORE_SET_PROFILES, /* @profiles are all from now on */
	STORE_PUT_RECORD,   /* @record: id 0 makes one, another id replaces name and body */
	STORE_DROP_RECORD,  /* @record: id, kind */
	STORE_SET_USAGE,    /* @usage; of peers that are gone nothing is kept */
	STORE_NO_CHANGE,    /* only @signature, only a row of the audit trail */
};

/**
 * struct store_change - One change, as queued
 * @next:	The next of the group
 * @is_joined:	Stands or falls with the one before it in the group
 * @now_ns:	Wall clock of the request
 * @former_key:	STORE_CHANGE_PEER, for whoever carries it on: the key it had before, if
 *		@has_former_key
 * @sets_preshared_key: STORE_CHANGE_PEER: it becomes that in @peer; otherwise it stays, and
 *		store_apply() writes it there
 * @sets_limits: STORE_CHANGE_PEER, for whoever carries it on: rate or quota are others now
 * @resumes:	Likewise: it was not served, and is from now on
 * @is_moved:	STORE_CHANGE_PEER: the addresses in @peer replace those that it has
 * @rest_until_ns: The removed or moved peer's addresses are not given again before; 0: free at once
 * @profiles, @n_profiles, @usage, @n_usage: Borrowed until the change is finished
 * @has_signature: @digest, made at @signed_s, is remembered in the same transaction
 * @forget_before_s: Signatures made before may be forgotten: too old to be accepted
 * @has_answered: The Idempotency-Key @answered_digest is remembered with the id of what was made;
 *		ERR_EXISTS when it is known already
 * @who:	Name of the principal, for the audit trail; an empty one leaves no row
 * @action:	What the row of the audit trail calls it; "": no row
 * @subject:	What it was done to; "": "peer ID NAME" or "KIND ID NAME"
 * @detail:	More about it, borrowed; NULL: ""
 * @ret_audit_id: The row's id, 0: none
 * @result:	Set by store_apply(): 0; ERR_EXISTS (key, name, address or digest taken);
 *		ERR_UNKNOWN (no such peer, record, or record that it refers to); -ECANCELED (another
 *		of those it is joined to was refused); or what store_apply() returned
 * @carried:	Set by whoever carries committed changes on: 0, or why it has not arrived
 * @context:	For the owner
 */
struct store_change {
	struct store_change *next;
	enum store_change_kind kind;
	bool is_joined;
	struct store_peer peer;
	struct store_record record;
	uint64_t now_ns;
	bool has_former_key;
	uint8_t former_key[32];
	bool sets_preshared_key;
	bool sets_limits;
	bool resumes;
	bool is_moved;
	uint64_t rest_until_ns;
	const struct store_profile *profiles;
	size_t n_profiles;
	const struct store_usage *usage;
	size_t n_usage;
	bool has_signature;
	uint8_t digest[STORE_DIGEST_LEN];
	uint64_t signed_s;
	uint64_t forget_before_s;
	bool has_answered;
	uint8_t answered_digest[STORE_DIGEST_LEN];
	uint8_t answered_fingerprint[STORE_DIGEST_LEN];
	char who[STORE_WHO_MAX + 1];
	char action[STORE_ACTION_MAX + 1];
	char subject[STORE_SUBJECT_MAX + 1];
	const char *detail;
	int64_t ret_audit_id;
	int result;
	int carried;
	void *context;
};

/**
 * store_check_body() - Is a row that was found kept as its kind is?
 * @is_sealed:	As it was found
 * @must_be:	As it was written, if we wrote it
 *
 * Whoever can write a database but has no master key could put a plain body where a sealed one was.
 *
 * Return: 0; ERR_CORRUPT, and the log names the row.
 */
int store_check_body(const struct store_record *one, bool is_sealed, bool must_be);

/** store_subject() - What the audit trail calls that which @c is about; @out may be used */
const char *store_subject(const struct store_change *c, char out[STORE_SUBJECT_MAX + 1]);

struct store;

struct store_resting {
	struct ip_addr ip;
	uint64_t until_ns;
};

struct store_signature {
	uint8_t digest[STORE_DIGEST_LEN];
	uint64_t signed_s;
};

/* Visitors return 0 to go on, or a code that ends the load and is returned. */
typedef int (*store_peer_visitor)(void *context, const struct store_peer *peer);
typedef int (*store_resting_visitor)(void *context, const struct store_resting *resting);
typedef int (*store_profile_visitor)(void *context, const struct store_profile *profile);
typedef int (*store_signature_visitor)(void *context, const struct store_signature *signature);
typedef int (*store_record_visitor)(void *context, const struct store_record *record);
typedef int (*store_usage_visitor)(void *context, const struct store_usage *usage);
typedef int (*store_answered_visitor)(void *context, const struct store_answered *answered);
typedef int (*store_audit_visitor)(void *context, const struct store_audit *audit);

struct store_ops {
	int (*apply)(struct store *s, struct store_change *first);
	int (*load_peers)(struct store *s, store_peer_visitor visit, void *context);
	int (*load_resting)(struct store *s, store_resting_visitor visit, void *context);
	int (*load_profiles)(struct store *s, store_profile_visitor visit, void *context);
	int (*load_signatures)(struct store *s, store_signature_visitor visit, void *context,
			       uint64_t *ret_floor_s);
	int (*load_records)(struct store *s, store_record_visitor visit, void *context);
	int (*load_usage)(struct store *s, store_usage_visitor visit, void *context);
	int (*load_answered)(struct store *s, store_answered_visitor visit, void *context);
	int (*read_audit)(struct store *s, int64_t after, size_t limit,
			  store_audit_visitor visit, void *context);
	int (*snapshot)(struct store *s, bool begin);
	void (*relax)(struct store *s);
	int (*maintain)(struct store *s);
	void (*free)(struct store *s);
};

/* What every kind of store begins with. */
struct store {
	const struct store_ops *ops;
};

/**
 * struct store_config - What every kind of store is opened with
 * @master:	Of the seal; borrowed for the call
 * @has_sealed_keys: A plain API key in SQLite is not one of before (store/plain_keys.h)
 */
struct store_config {
	const char *interface;
	uint8_t public_key[32];
	uint64_t now_ns;
	const struct secret_key *master;
	bool has_sealed_keys;
};

/**
 * store_open_sqlite() - Open or create the file @path for the interface of @config
 *
 * Missing migrations are applied. A file written by a newer version is left untouched. One that
 * can be read but not written (a full disk, a broken one) is opened: every change tells.
 *
 * Return: 0; ERR_VERSION (newer than we know); ERR_AUTH (sealed under another master key);
 *	   ERR_CORRUPT; -errno; with the reason in @d.
 */
int store_open_sqlite(const char *path, const struct store_config *config, struct store **ret,
		      struct diag *d);

/**
 * store_open_postgres() - Open the schema "culvert" of a database, or make it
 * @conninfo:	A connection string or URI of libpq, without a password
 *
 * The interface's part of the database is this store's alone until it is freed; other gateways
 * may use the same database for theirs. Every place that a later connection reads is found out
 * now: see store_postgres_files().
 *
 * Return: 0; as store_open_sqlite(); -ENOENT: libpq is missing; -ENOTCONN: no server;
 *	   -EBUSY: another gateway has the interface; ERR_FORMAT, ERR_RANGE: the connection string,
 *	   or the server's settings; with the reason in @d.
 */
int store_open_postgres(const char *conninfo, const struct store_config *config,
			struct store **ret, struct diag *d);

enum { STORE_POSTGRES_FILES_MAX = 8 };

/** store_postgres_files() - What a store of that kind reads when it connects anew: files and
 *  directories, borrowed. Return: how many */
size_t store_postgres_files(const struct store *s, const char *paths[STORE_POSTGRES_FILES_MAX]);

/**
 * store_apply() - Commit a group of changes and wait for the disk
 *
 * Return: 0 when the group is on the disk (each @result says what became of its change);
 *	   -ENOSPC, -EBUSY, -ENOMEM: nothing of the group was done, it may be tried again;
 *	   -EIO: nothing was acknowledged, and nothing will be any more. Every @result is
 *	   then that code.
 */
static inline int store_apply(struct store *s, struct store_change *first)
{
	return s->ops->apply(s, first);
}

/** store_load_peers() - All peers of the interface, by ascending id */
static inline int store_load_peers(struct store *s, store_peer_visitor visit, void *context)
{
	return s->ops->load_peers(s, visit, context);
}

/** store_load_resting() - Addresses in quarantine, expired ones too */
static inline int store_load_resting(struct store *s, store_resting_visitor visit,
				     void *context)
{
	return s->ops->load_resting(s, visit, context);
}

/** store_load_profiles() - All profiles of the interface, by name; ended ones too */
static inline int store_load_profiles(struct store *s, store_profile_visitor visit,
				      void *context)
{
	return s->ops->load_profiles(s, visit, context);
}

/**
 * store_load_signatures() - Signatures that were not forgotten yet
 * @ret_floor_s:	Timestamps up to this one must be refused, whatever the clock says
 *			now: signatures with them have been forgotten
 */
static inline int store_load_signatures(struct store *s, store_signature_visitor visit,
					void *context, uint64_t *ret_floor_s)
{
	return s->ops->load_signatures(s, visit, context, ret_floor_s);
}

/** store_load_records() - All records, by ascending id; ERR_AUTH for one sealed by another key,
 *  ERR_CORRUPT for one whose kind is sealed and that is not, or the other way round */
static inline int store_load_records(struct store *s, store_record_visitor visit, void *context)
{
	return s->ops->load_records(s, visit, context);
}

static inline int store_load_usage(struct store *s, store_usage_visitor visit, void *context)
{
	return s->ops->load_usage(s, visit, context);
}

static inline int store_load_answered(struct store *s, store_answered_visitor visit,
				      void *context)
{
	return s->ops->load_answered(s, visit, context);
}

/** store_read_audit() - Up to @limit rows with an id above @after, ascending. A third thread's */
static inline int store_read_audit(struct store *s, int64_t after, size_t limit,
				   store_audit_visitor visit, void *context)
{
	return s->ops->read_audit(s, after, limit, visit, context);
}

/**
 * store_snapshot() - Until it is ended, the loads see the store as it was when it began
 *
 * For a copy of everything while others go on changing it through other objects.
 */
static inline int store_snapshot(struct store *s, bool begin)
{
	return s->ops->snapshot(s, begin);
}

/** store_relax() - Everything was loaded: give back memory that only loading needed */
static inline void store_relax(struct store *s)
{
	if (s->ops->relax)
		s->ops->relax(s);
}

/**
 * store_maintain() - Move the log into the file, so that it stays short
 *
 * Call it every second or so. Return: 0 or -errno; -EIO as in store_apply(); -ESTALE when
 *	   that was so and the disk works again: open the store anew, in a new process. Not
 *	   within the first 300 calls, unless changes had reached the file before: the disk
 *	   may fail the next one as well.
 */
static inline int store_maintain(struct store *s)
{
	return s->ops->maintain(s);
}

static inline struct store *store_free(struct store *s) /* takes NULL, returns NULL */
{
	if (s)
		s->ops->free(s);
	return NULL;
}
