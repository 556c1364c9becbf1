/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peers.h - Every peer of the gateway, found by key, id, name or address
 *
 * Four hash tables with a secret hash key over one set of objects, so that nobody who
 * chooses keys or names can make them slow, and adding a peer costs the same at ten and
 * at 100 000. The list goes by ascending id.
 *
 * Bounds:  PEERS_MAX.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "store/store.h"

enum { PEERS_MAX = 1 << 20 }; /* what one UAPI set may hold */

/**
 * struct peer - What is kept in memory of one peer
 * @id:		0 until the store has given one
 * @is_busy:	A change of it is on the way to the disk: nothing else may be decided
 * @blocked:	enum store_block: why it is not served although it is active
 * @routes, @schedule, @note: Owned; NULL: none
 *
 * What else there is, as in struct store_peer.
 */
struct peer {
	int64_t id;
	uint8_t public_key[32];
	char name[STORE_NAME_MAX + 1];
	char dns[STORE_DNS_MAX + 1];
	struct ip_addr v4;
	struct ip_addr v6;
	enum store_status status;
	unsigned int families;
	enum frame_level level;
	uint16_t port;
	uint16_t keepalive_s;
	bool is_busy;
	bool has_preshared_key;
	uint8_t quota_period; /* enum store_period */
	unsigned int blocked;
	int64_t account_id;
	int64_t access_id;
	uint64_t expires_ns;
	uint64_t quota_bytes;
	uint64_t rate_bps;
	char *routes;
	char *schedule;
	char *note;
	uint64_t created_ns;
	uint64_t changed_ns;
	/* links, of peers.c */
	struct peer *by_key;
	struct peer *by_id;
	struct peer *by_name;
	struct peer *by_v4;
	struct peer *by_v6;
	struct peer *next;
	struct peer *prev;
};

struct peers;

int peers_new(struct peers **ret);
struct peers *peers_free(struct peers *p); /* takes NULL, returns NULL */

/**
 * peers_add() - A copy of @init and its texts; its key, name and addresses must be free
 *
 * Return: 0; ERR_EXISTS; ERR_LIMIT; -ENOMEM.
 */
int peers_add(struct peers *p, const struct peer *init, struct peer **ret);

/** peers_set_id() - The store has given a peer its id: higher than all before */
void peers_set_id(struct peers *p, struct peer *peer, int64_t id);

/**
 * peers_replace() - @peer becomes what @to is, id and links apart; found by what is new
 *
 * Return: 0; ERR_EXISTS (its key, name or an address is another's); -ENOMEM. Then nothing changed.
 */
int peers_replace(struct peers *p, struct peer *peer, const struct peer *to);

/** peers_set_addresses() - Other addresses for @peer, which nobody else has; ADDR_NONE: none */
void peers_set_addresses(struct peers *p, struct peer *peer, const struct ip_addr *v4,
			 const struct ip_addr *v6);

void peers_remove(struct peers *p, struct peer *peer); /* frees it */

struct peer *peers_find_key(const struct peers *p, const uint8_t public_key[32]);
struct peer *peers_find_id(const struct peers *p, int64_t id);
struct peer *peers_find_name(const struct peers *p, const char *name);
struct peer *peers_find_address(const struct peers *p, const struct ip_addr *a);

/** peers_after() - The peer with the lowest id above @id; NULL at the end. Constant time
 *  while the peer @id exists */
struct peer *peers_after(const struct peers *p, int64_t id);

/** peers_before() - The peer with the highest id below @id; that of all for 0 */
struct peer *peers_before(const struct peers *p, int64_t id);

size_t peers_count(const struct peers *p);
size_t peers_count_active(const struct peers *p);
size_t peers_count_level(const struct peers *p, enum frame_level level); /* disabled ones too */
