/* SPDX-License-Identifier: Apache-2.0 */
/**
 * steps.h - What is changed on the host, one step at a time, and taken back
 *
 * A step is in the journal before it is done. Undoing goes backwards, looks at what is there,
 * and may be repeated: what was not done, or is gone by itself, is no error. What somebody
 * else has changed meanwhile stays, and is said.
 *
 * Threads: one.
 */
#pragma once

#include "base/text.h"
#include "client/plan.h"
#include "client/undo_journal.h"
#include "net/netlink.h"

/** struct client_steps - Borrowed */
struct client_steps {
	const struct client_plan *plan;
	struct undo_journal *journal;
	struct netlink *nl;
};

/**
 * client_steps_table() - The firewall: first, so that nothing leaves from here on
 *
 * Replaces a table that an earlier connection has left, in one transaction.
 */
int client_steps_table(const struct client_steps *s, struct diag *d);

/** client_steps_table_again() - The same when it stands in the journal already, and was taken away or is stale */
int client_steps_table_again(const struct client_steps *s, struct diag *d);

/** client_firewall_stands() - The table of @interface is really there; false, too, when nobody can tell */
bool client_firewall_stands(const char *interface);

/** client_steps_setting() - client/settings.h */
int client_steps_setting(const struct client_steps *s, struct diag *d);

/** client_steps_ways() - Rules, and routes of last resort */
int client_steps_ways(const struct client_steps *s, struct diag *d);

/** client_steps_dns() - Name servers; nothing where the plan has none */
int client_steps_dns(const struct client_steps *s, struct diag *d);

enum client_undo {
	CLIENT_UNDO_ALL,
	CLIENT_UNDO_ALL_BUT_TABLE, /* another connection follows: nothing leaves in between */
};

/**
 * client_steps_undo() - Take back what the journal has, last first
 * @said:	Gets a line for whatever was left as somebody else has made it
 *
 * Return: 0; the first failure, with a sentence in @d, after everything else was tried. Steps
 *	   that failed stay in the journal.
 */
int client_steps_undo(struct undo_journal *j, enum client_undo what, struct text *said,
		      struct diag *d);
