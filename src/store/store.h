/* SPDX-License-Identifier: Apache-2.0 */
/**
 * store.h - What the gateway must not forget
 *
 * A store keeps peers, their addresses, the profiles by which messages are framed, the
 * signatures that allowed changes, and an audit trail. It changes by groups: store_apply() takes a list of changes, makes
 * each whole or not at all, commits them together, and returns when the disk has
 * them. A change that contradicts what is stored is refused alone; its neighbours in
 * the group go through. The signature of a request and the change it allowed stand
 * or fall together.
 *
 * After a failed fsync nobody knows what the disk holds (the kernel forgets the pages
 * it could not write), so the store then refuses every change. Once the disk works again it
 * says so, and wants to be opened anew by a new process, which reads what the disk holds and
 * writes the log into the file once more; a full disk is only refused until there is room.
 *
 * Kinds of store are tables of functions, and one conformance test runs against each.
 *
 * Threads: store_apply() and the loads from one thread at a time; store_maintain()
 *	   from another, at the same time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "frame/frame.h"
#include "frame/level.h"

enum {
	STORE_NAME_MAX = 64, /* octets */
	STORE_DNS_MAX = 64,
	STORE_OBFUSCATION_MAX = 256,
	STORE_WHO_MAX = 64,
	STORE_DIGEST_LEN = 32,
	STORE_AUDIT_MAX = 1000000,		     /* rows kept, newest */
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

/**
 * struct store_peer - One peer as stored
 * @id:		Chosen by store_apply() when added
 * @name:	"" when it has none
 * @v4, @v6:	family ADDR_NONE when it has none
 * @families:	enum store_families, or both: what the client sends into the tunnel
 * @obfuscation: JSON text, "" when none
 * @level:	That its configuration was made for
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
	uint64_t created_ns;
	uint64_t changed_ns;
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
	STORE_SET_STATUS,   /* @peer: id, status */
	STORE_REMOVE_PEER,  /* @peer: id, addresses; @rest_until_ns */
	STORE_SET_LEVEL,    /* @peer: id, level */
	STORE_SET_PROFILES, /* @profiles are all from now on; @peer: the level that changed */
	STORE_NO_CHANGE,    /* only @signature */
};

/**
 * struct store_change - One change, as queued
 * @next:	The next of the group
 * @now_ns:	Wall clock of the request
 * @rest_until_ns: The removed peer's addresses are not given again before; 0: free at once
 * @profiles, @n_profiles: Borrowed until the change is finished
 * @dropped:	Name of the profile that ended early; "": the level got new parameters
 * @has_signature: @digest, made at @signed_s, is remembered in the same transaction
 * @forget_before_s: Signatures made before may be forgotten: too old to be accepted
 * @who:	Name of the principal, for the audit trail; an empty one leaves no row
 * @result:	Set by store_apply(): 0; ERR_EXISTS (key, name or address taken);
 *		ERR_UNKNOWN (no such peer); or what store_apply() returned
 * @carried:	Set by whoever carries committed changes on: 0, or why it has not arrived
 * @context:	For the owner
 */
struct store_change {
	struct store_change *next;
	enum store_change_kind kind;
	struct store_peer peer;
	uint64_t now_ns;
	uint64_t rest_until_ns;
	const struct store_profile *profiles;
	size_t n_profiles;
	char dropped[FRAME_NAME_MAX + 1];
	bool has_signature;
	uint8_t digest[STORE_DIGEST_LEN];
	uint64_t signed_s;
	uint64_t forget_before_s;
	char who[STORE_WHO_MAX + 1];
	int result;
	int carried;
	void *context;
};

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

struct store_ops {
	int (*apply)(struct store *s, struct store_change *first);
	int (*load_peers)(struct store *s, store_peer_visitor visit, void *context);
	int (*load_resting)(struct store *s, store_resting_visitor visit, void *context);
	int (*load_profiles)(struct store *s, store_profile_visitor visit, void *context);
	int (*load_signatures)(struct store *s, store_signature_visitor visit, void *context,
			       uint64_t *ret_floor_s);
	int (*maintain)(struct store *s);
	void (*free)(struct store *s);
};

/* What every kind of store begins with. */
struct store {
	const struct store_ops *ops;
};

/**
 * store_open_sqlite() - Open or create the file @path for the interface @interface
 *
 * Missing migrations are applied. A file written by a newer version is left untouched. One that
 * can be read but not written (a full disk, a broken one) is opened: every change tells.
 *
 * Return: 0; ERR_VERSION (newer than we know); ERR_CORRUPT; -errno; with the reason in @d.
 */
int store_open_sqlite(const char *path, const char *interface, const uint8_t public_key[32],
		      uint64_t now_ns, struct store **ret, struct diag *d);

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
