/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wg_genl.h - The kernel's WireGuard over generic netlink: asked for and changed
 *
 * An answer comes in many messages, and a peer with many prefixes is split over several: what
 * is read here is merged into one snapshot, so no reader sees a part of a peer or of the list.
 * A dump that the kernel marks as interrupted is thrown away and asked for again.
 *
 * A change is split as well. The kernel applies message by message: one that it refuses
 * leaves those before it in force, and the caller brings the interface back by its next
 * comparison. The private key of the interface is set, never read: it is skipped in answers,
 * and the buffer that it passed is wiped.
 *
 * Source:  linux/wireguard.h, genetlink.
 * Bounds:  WG_GENL_PEERS_MAX and WG_GENL_PREFIXES_MAX in a snapshot, else ERR_LIMIT; an answer
 *	    that does not come within 5 s is -ETIMEDOUT.
 * Threads: one at a time per socket. The reading and writing of messages is pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "crypto/secret.h"

struct nlmsghdr;

enum {
	WG_GENL_PEERS_MAX = 1 << 20,
	WG_GENL_PREFIXES_MAX = 1 << 22,
	WG_GENL_MESSAGE_MAX = 16384, /* of ours: nested attributes count in 16 bits */
	WG_GENL_NAME_MAX = 16,	     /* with its NUL */
	WG_GENL_PIECE =
		32, /* peers in one message of ours: nobody waits for a lock for longer */
};

/**
 * struct wg_genl_peer - A peer as the kernel has it
 * @last_handshake_ns:	Unix time; 0: never
 * @first_prefix, @n_prefixes: Range in the @prefixes of its snapshot
 */
struct wg_genl_peer {
	uint8_t public_key[32];
	struct secret_key preshared_key;
	struct endpoint endpoint;
	uint64_t last_handshake_ns;
	uint64_t tx_bytes;
	uint64_t rx_bytes;
	uint16_t keepalive_s;
	size_t first_prefix;
	size_t n_prefixes;
};

/* All zeroes is empty. wg_genl_snapshot_done() wipes and frees. */
struct wg_genl_snapshot {
	uint8_t public_key[32]; /* zero: no private key is set */
	uint32_t fwmark;
	uint16_t listen_port;
	struct wg_genl_peer *peers;
	size_t n_peers;
	size_t peers_capacity;
	struct ip_prefix *prefixes;
	size_t n_prefixes;
	size_t prefixes_capacity;
};

/**
 * wg_genl_snapshot_add() - Read the attributes of one message of an answer, @len octets
 *
 * Messages come in the kernel's order: a peer that goes on in the next is the last of one and
 * the first of the other. Unknown attributes are skipped.
 *
 * Return: 0; ERR_FORMAT for attributes of a wrong size, a peer without a key, a prefix that
 *	   is none; ERR_LIMIT; -ENOMEM. After a failure the snapshot is to be dropped.
 */
int wg_genl_snapshot_add(struct wg_genl_snapshot *s, const void *attributes, size_t len);
void wg_genl_snapshot_done(struct wg_genl_snapshot *s);

/* A peer to change. The prefixes are the caller's. */
struct wg_genl_set_peer {
	uint8_t public_key[32];
	struct secret_key preshared_key; /* zero clears */
	struct endpoint endpoint;
	uint16_t keepalive_s;
	const struct ip_prefix *prefixes;
	size_t n_prefixes;
	bool remove;
	bool update_only;
	bool replace_prefixes;
	bool has_preshared_key;
	bool has_endpoint;
	bool has_keepalive;
};

struct wg_genl_set {
	struct secret_key private_key;
	uint32_t fwmark;
	uint16_t listen_port;
	bool has_private_key;
	bool has_listen_port;
	bool has_fwmark;
	bool replace_peers;
	const struct wg_genl_set_peer *peers;
	size_t n_peers;
};

/* How far a change has been written: all zeroes is the beginning. */
struct wg_genl_cursor {
	size_t peer;
	size_t prefix;
	bool is_begun; /* the first message, with what concerns the device, is written */
};

/**
 * wg_genl_set_write() - Put as much of @set as fits behind the headers of @message
 * @message:	With its generic netlink header, in a buffer of WG_GENL_MESSAGE_MAX octets
 * @name:	The interface
 *
 * Return: true when another message must follow.
 */
bool wg_genl_set_write(struct nlmsghdr *message, const char *name,
		       const struct wg_genl_set *set, struct wg_genl_cursor *at);

struct wg_genl;

/**
 * wg_genl_open() - A socket to the kernel's WireGuard
 *
 * Needs CAP_NET_ADMIN for what follows, not for itself.
 *
 * Return: 0; -ENOENT when the kernel has no WireGuard, nor a module that it could load; -errno
 */
int wg_genl_open(struct wg_genl **ret);
struct wg_genl *wg_genl_close(struct wg_genl *g); /* takes NULL, returns NULL */

/**
 * wg_genl_pause - Between two pieces of an answer or of a change; may take its time
 * @is_spoiled:	The interface was changed since the answer began: it will be asked for again
 *
 * It may use other sockets, not this one.
 */
typedef void (*wg_genl_pause)(void *context, bool is_spoiled);

/** wg_genl_on_pause() - Who is called then; NULL: nobody */
void wg_genl_on_pause(struct wg_genl *g, wg_genl_pause pause, void *context);

/**
 * wg_genl_get() - Everything about interface @name
 * @ret:	Written on success: the caller's to finish
 *
 * Return: 0; -ENODEV: no such interface; -EOPNOTSUPP: of another kind; -EAGAIN: it changed
 *	   during every try; as wg_genl_snapshot_add(); -errno
 */
int wg_genl_get(struct wg_genl *g, const char *name, struct wg_genl_snapshot *ret);

/** wg_genl_set() - Change interface @name. Return: 0 or -errno as the kernel said it */
int wg_genl_set(struct wg_genl *g, const char *name, const struct wg_genl_set *set);
