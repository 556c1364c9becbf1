/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tree_key.h - One key for the tunnel and for the users' tree
 *
 * The tree of parameters behind the users' API holds the server's key too: a gateway whose state directory
 * is new takes the one that is there, another fills in its own, and where both differ nothing is started.
 * The tree may be far away, and this process reads nothing from strangers: a child, run as the gateway's
 * user, asks (cmd/users_key.c), and says 44 characters or nothing.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>

#include "base/codec.h"
#include "host/host.h"
#include "host/signals.h"
#include "host/state_dir.h"
#include "host/view.h"

/* Names of variables that who speaks to a tree needs, those of AWS among them; ends with NULL. */
extern const char *const tree_variables[];

/* struct tree_key - What is needed to ask; all borrowed */
struct tree_key {
	const struct host_config *config;
	const struct state_dir *state;
	const struct view *view;
	struct signals *signals;
};

/**
 * tree_key_ask() - Tell the tree our key, or ask for its own
 * @own:	In base64; NULL: there is none yet
 * @ret:	The tree's, in base64; "": it has none. Wipe it
 *
 * Return: 0; ERR_RANGE: the tree has another key than @own, or one that is none; -EACCES; -ECANCELED: we
 *	   are asked to end; -ETIMEDOUT: no answer within a minute, or no end 5 s after it; -EPIPE: it failed
 *	   otherwise. The child has said why; @d is about the rest.
 */
int tree_key_ask(const struct tree_key *t, const char *own, char ret[KEY_BASE64_LEN + 1],
		 struct diag *d);
