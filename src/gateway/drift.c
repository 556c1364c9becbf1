/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/drift.h"

#include <errno.h>
#include <string.h>

#include "sys/clock.h"
#include "sys/log.h"

enum {
	REPEATS_MAX = 10,
	LOOK_TIMES = 10, /* as long as that many questions take, between two of them */
};

static const uint64_t SECOND_NS = 1000000000;
static const uint64_t PAUSE_MAX_NS = UINT64_C(30) * 1000000000;

/* Return: 0, and what the interface says; else why not. */
static int ask(struct drift *d, struct iface *i, struct iface_state *ret)
{
	uint64_t began_ns = clock_boot_ns(), cost_ns;
	struct diag why = { .text = "" };
	int err = iface_state(i, ret, &why);

	cost_ns = (clock_boot_ns() - began_ns) * LOOK_TIMES;
	if (cost_ns > PAUSE_MAX_NS)
		cost_ns = PAUSE_MAX_NS;
	/* A little less than a second: who is called each second is then not late by one. */
	d->next_ns = began_ns + (cost_ns > SECOND_NS ? cost_ns : SECOND_NS / 2);
	if (err == -EOPNOTSUPP) {
		log_info("the interface does not tell whether somebody else changes it");
		d->is_blind = true;
	} else if (err != 0) {
		log_debug("asking the interface for changes: %s", why.text);
	}
	return err;
}

void drift_begin(struct drift *d, struct iface *i)
{
	struct iface_state now;

	d->has_number = false;
	if (d->is_blind || !d->is_ours || ask(d, i, &now) != 0)
		return;
	d->number = now.number;
	d->has_number = true;
}

static void judge_identity(struct drift *d, const struct iface_state *now)
{
	if (!d->identity_changed ||
	    (now->listen_port == d->port && memcmp(now->public_key, d->public_key, 32) == 0))
		return;
	atomic_fetch_add(&d->total, 1);
	log_warning("somebody changed the interface: it has another %s",
		    now->listen_port == d->port ? "key" : "port");
	if (d->policy != DRIFT_REPORT) /* nobody can have meant to cut all clients off */
		d->identity_changed(d->context);
}

bool drift_look(struct drift *d, struct iface *i)
{
	struct iface_state now = { .number = 0 };
	bool is_news;

	if (d->is_blind || clock_boot_ns() < d->next_ns || ask(d, i, &now) != 0)
		return false;
	judge_identity(d, &now);
	is_news = d->has_number && now.number != d->number;
	d->number = now.number;
	d->has_number = true;
	return is_news;
}

/* The very same, again and again, each time after it was set: rather an interface that cannot have
 * what is stored (two peers with one network) than somebody who changes it. What it has now is then
 * taken for what it should have, until something is set again. */
static void judge_repeats(struct drift *d, const struct drift_found *found)
{
	bool is_same = memcmp(&d->last, found, sizeof(*found)) == 0;

	d->repeats = is_same ? d->repeats + 1 : 0;
	d->last = *found;
	if (d->repeats < REPEATS_MAX)
		return;
	log_warning(
		"what is stored does not stay on the interface: not compared until something changes");
	d->repeats = 0;
	d->has_number = false;
}

bool drift_note(struct drift *d, const struct drift_found *found)
{
	size_t n = found->missing + found->foreign + found->different;

	if (n == 0) {
		d->last = *found;
		return false;
	}
	judge_repeats(d, found);
	atomic_fetch_add(&d->total, n);
	log_warning("somebody changed the interface: %zu peers missing, %zu that nobody stored,"
		    " %zu changed; %s",
		    found->missing, found->foreign, found->different,
		    d->policy == DRIFT_REPAIR  ? "set again"
		    : d->policy == DRIFT_ADOPT ? "to be taken over"
					       : "left so");
	return d->policy == DRIFT_REPAIR;
}

uint64_t drift_total(const struct drift *d)
{
	return atomic_load(&d->total);
}

bool drift_policy_find(const char *word, enum drift_policy *ret)
{
	static const char *const words[] = {
		[DRIFT_REPAIR] = "repair", [DRIFT_REPORT] = "report", [DRIFT_ADOPT] = "adopt"
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum drift_policy)i;
			return true;
		}
	return false;
}
