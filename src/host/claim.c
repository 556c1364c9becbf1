/* SPDX-License-Identifier: Apache-2.0 */
#include "host/claim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "host/child.h"
#include "host/forwarding.h"
#include "host/journal.h"
#include "net/nft.h"
#include "sys/log.h"

enum { CROWDED = 1024 }; /* entries of a journal that is getting long */

#define ORPHAN_PATIENCE_NS (UINT64_C(5) * 1000000000)

static bool is_alive(const struct journal_entry *e)
{
	return journal_process_started(e->pid) == e->started;
}

static void stop_children(const struct journal *j, const struct journal_entry *holder)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];

		if (e->kind == JOURNAL_CHILD && e->holder == holder->pid)
			child_stop_foreign(e->pid, e->started, ORPHAN_PATIENCE_NS);
	}
}

/* Settings go back when their last holder has left. */
static int settle(struct journal *j, uint64_t netns, struct diag *d)
{
	int err;

	if (journal_has_holder(j, netns))
		return 0;
	err = forwarding_restore(j, netns, d);
	journal_remove_settings(j, netns);
	return err;
}

/* Finish for every dead holder of this namespace what it could not. */
static void bury(struct journal *j, uint64_t netns)
{
	struct diag d = { 0 };
	bool found = false;

	for (size_t i = j->n; i-- > 0;) {
		struct journal_entry e = j->entries[i];

		if (e.kind != JOURNAL_HOLDER || e.netns != netns || is_alive(&e))
			continue;
		log_warning("a gateway on %s (process %d) was killed; cleaning up after it",
			    e.name, e.pid);
		stop_children(j, &e);
		if (nft_remove(e.name, &d) < 0)
			log_warning("%s", d.text);
		journal_remove_holder(j, e.pid, e.started);
		found = true;
		i = j->n; /* its children are gone from the list too */
	}
	if (found && settle(j, netns, &d) < 0)
		log_warning("%s", d.text);
}

static bool has_living_holder(const struct journal *j, uint64_t netns)
{
	for (size_t i = 0; i < j->n; i++) {
		if (j->entries[i].kind == JOURNAL_HOLDER && j->entries[i].netns == netns &&
		    is_alive(&j->entries[i]))
			return true;
	}
	return false;
}

/* Other namespaces' dead are theirs to bury, but many a namespace died with them: when the
 * journal gets long, forget those. */
static void forget_strangers(struct journal *j, uint64_t netns)
{
	if (j->n < CROWDED)
		return;
	for (size_t i = j->n; i-- > 0;) {
		uint64_t theirs = j->entries[i].netns;

		if (theirs != netns && !has_living_holder(j, theirs))
			journal_remove(j, i);
	}
}

static int find_rival(const struct journal *j, const struct claim *c, struct diag *d)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];

		if (e->kind == JOURNAL_HOLDER && e->netns == c->netns &&
		    strcmp(e->name, c->interface) == 0)
			return diag_set(
				d, -EEXIST, 0,
				"another gateway (process %d) has the interface %s: choose "
				"another with --interface",
				e->pid, c->interface);
	}
	return 0;
}

static int enter(struct journal *j, const struct claim *c, struct diag *d)
{
	struct journal_entry e = {
		.kind = JOURNAL_HOLDER, .pid = c->pid, .started = c->started, .netns = c->netns
	};
	int err = find_rival(j, c, d);

	if (err < 0)
		return err;
	snprintf(e.name, sizeof(e.name), "%s", c->interface);
	err = forwarding_note(j, c->netns, d);
	if (err == 0)
		err = journal_add(j, &e);
	if (err == 0)
		err = journal_save(j);
	return err;
}

int claim_take(struct claim *c, const char *dir, const char *interface, struct diag *d)
{
	struct journal j;
	int err = journal_open(&j, dir, d);

	if (err < 0)
		return err;
	*c = (struct claim){ .dir = dir,
			     .interface = interface,
			     .netns = journal_netns(),
			     .pid = getpid(),
			     .started = journal_process_started(getpid()) };
	bury(&j, c->netns);
	forget_strangers(&j, c->netns);
	err = enter(&j, c, d);
	if (err < 0)
		*c = (struct claim){ 0 };
	journal_close(&j);
	return err;
}

int claim_forwarding(const struct claim *c, struct diag *d)
{
	struct journal j;
	int err = journal_open(&j, c->dir, d); /* not while another one is putting it back */

	if (err < 0)
		return err;
	err = forwarding_enable(d);
	journal_close(&j);
	return err;
}

int claim_add_child(const struct claim *c, pid_t pid)
{
	struct journal_entry e = { .kind = JOURNAL_CHILD,
				   .pid = pid,
				   .holder = c->pid,
				   .started = journal_process_started(pid),
				   .netns = c->netns };
	struct journal j;
	int err;

	if (c->pid == 0) /* it holds nothing, and leaves nothing behind */
		return 0;
	err = journal_open(&j, c->dir, NULL);
	if (err < 0)
		return err;
	for (size_t i = j.n; i-- > 0;) { /* those it replaces */
		if (j.entries[i].kind == JOURNAL_CHILD && j.entries[i].holder == c->pid &&
		    !is_alive(&j.entries[i]))
			journal_remove(&j, i);
	}
	err = journal_add(&j, &e);
	if (err == 0)
		err = journal_save(&j);
	journal_close(&j);
	return err;
}

int claim_release(struct claim *c, struct diag *d)
{
	struct journal j;
	int err, saved;

	if (c->pid == 0)
		return 0;
	err = journal_open(&j, c->dir, d);
	if (err < 0)
		return err;
	journal_remove_holder(&j, c->pid, c->started);
	err = settle(&j, c->netns, d);
	saved = journal_save(&j);
	journal_close(&j);
	*c = (struct claim){ 0 };
	return err < 0 ? err : saved;
}
