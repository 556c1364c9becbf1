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

#include "gateway/peers.h"
#include "gateway/profiles.h"
#include "ipam/pool.h"
#include "store/store.h"
#include "store/writer.h"

/**
 * struct gateway_config - One interface
 * @generator:	For the parameters of levels; borrowed
 * @rest_ns:	How long a removed peer's addresses are not given again
 */
struct gateway_config {
	char interface[16];
	uint8_t public_key[32];
	struct ip_prefix subnet4;
	struct ip_prefix subnet6;
	uint16_t port;
	struct generator *generator;
	uint64_t rest_ns;
};

/**
 * struct gateway_grant - What allowed a change
 * @now_ns:	Wall clock
 */
struct gateway_grant {
	uint64_t now_ns;
	char who[STORE_WHO_MAX + 1];
	bool has_signature;
	uint8_t digest[STORE_DIGEST_LEN];
	uint64_t signed_s;
	uint64_t forget_before_s;
};

/**
 * struct gateway_add - A peer to be
 * @v4, @v6:	family ADDR_NONE: the lowest free one, if @wants_v4, @wants_v6
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
};

/**
 * gateway_done - What became of a change
 * @err:	0: it is on the disk; otherwise nothing was changed
 * @carried:	0: the interface has it as well; otherwise it will, later
 * @peer:	The peer it was about, as it is now; NULL when it is gone or there was none
 */
typedef void (*gateway_done)(void *context, int err, int carried, const struct peer *peer);

struct gateway;

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
const struct pool *gateway_pool(const struct gateway *g, enum addr_family family);

int gateway_fd(const struct gateway *g); /* readable: call gateway_collect() */
void gateway_collect(struct gateway *g);
void gateway_wake(struct gateway *g); /* let the writer's thread look after the interface */

/* --- Changes. 0: @done will be called. Otherwise nothing happens, and:
 *	-EBUSY	somebody else's change of the same peer is under way: gateway_wait(), then
 *		decide again
 *	ERR_LIMIT, -ENOMEM  try again later --- */

/**
 * gateway_add_peer() - Also ERR_EXISTS (key, name or address; look which), ERR_EXHAUSTED,
 *	ERR_KEY (nobody may use that key), ERR_RANGE (an address no pool gives), ERR_EXPIRED (an
 *	address that still rests)
 */
int gateway_add_peer(struct gateway *g, const struct gateway_add *add,
		     const struct gateway_grant *grant, gateway_done done, void *context);
int gateway_set_status(struct gateway *g, int64_t id, enum store_status status,
		       const struct gateway_grant *grant, gateway_done done, void *context);
/* What its client's file is made for; the interface sends keepalives to match. */
int gateway_set_level(struct gateway *g, int64_t id, enum frame_level level,
		      const struct gateway_grant *grant, gateway_done done, void *context);
int gateway_remove_peer(struct gateway *g, int64_t id, const struct gateway_grant *grant,
			gateway_done done, void *context);

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
