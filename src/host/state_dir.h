/* SPDX-License-Identifier: Apache-2.0 */
/**
 * state_dir.h - The directory a gateway keeps its state in, and the keys in it
 *
 * Mode 0700, owned by the user the gateway runs as, so that it can write its database and
 * its socket there. The tunnel's key in it is root's. Whoever owns a directory may replace
 * what lies in it: nothing is followed, and a key that is not root's is refused.
 *
 * A server.key in $CREDENTIALS_DIRECTORY is used instead of the one here, by the same rules.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>

#include <sys/types.h>

#include "base/codec.h"
#include "base/err.h"
#include "crypto/secret.h"

enum {
	STATE_SOCKET_PATH_MAX = 107, /* sun_path without its NUL */
};

/**
 * struct state_dir - An open state directory, locked for this process
 * @path:	As given, borrowed
 * @key_fd:	The server.key in use, open for reading: still readable after rights were given up
 * All zeroes is not open; use STATE_DIR_CLOSED.
 */
struct state_dir {
	const char *path;
	int fd;
	int lock_fd;
	int key_fd;
	uid_t uid;
	gid_t gid;
};

#define STATE_DIR_CLOSED ((struct state_dir){ .fd = -1, .lock_fd = -1, .key_fd = -1 })

/**
 * state_dir_open() - Make or open @path, lock it, make what is missing
 * @uid, @gid:	The gateway's user; made the owner
 *
 * Return: 0; ERR_RANGE for a path too long for its socket; -EBUSY when another gateway holds
 *	   the lock; ERR_CORRUPT for a key that is not as it must be, or a database without
 *	   its key; -errno. Each with a sentence in @d.
 */
int state_dir_open(struct state_dir *s, const char *path, uid_t uid, gid_t gid, struct diag *d);

/**
 * state_dir_open_but_key() - The same, but for the tunnel's key; then state_dir_find_key(), perhaps
 *	state_dir_put_key(), and state_dir_open_key()
 */
int state_dir_open_but_key(struct state_dir *s, const char *path, uid_t uid, gid_t gid,
			   struct diag *d);
/** state_dir_find_key() - Open the key, if there is one. Return: as state_dir_open() */
int state_dir_find_key(struct state_dir *s, bool *ret_is_there, struct diag *d);
/** state_dir_put_key() - Where there is none, it is @key, in base64 */
int state_dir_put_key(struct state_dir *s, const char *key, struct diag *d);
/** state_dir_open_key() - Open the key, or make it */
int state_dir_open_key(struct state_dir *s, struct diag *d);
void state_dir_close(struct state_dir *s);

/** state_dir_private_key() - Read the tunnel's key; the caller wipes it */
int state_dir_private_key(const struct state_dir *s, struct secret_key *ret);

/* Remove gateway.sock, as the gateway's user; for a gateway that could not. */
void state_dir_remove_socket(const struct state_dir *s);
