/* SPDX-License-Identifier: Apache-2.0 */
#include "client/steps.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <unistd.h>

#include "client/dns.h"
#include "client/firewall.h"
#include "client/lockdown.h"
#include "client/settings.h"
#include "conf/uapi.h"
#include "device/uapi_server.h"
#include "host/child.h"
#include "host/journal.h"
#include "net/nft.h"
#include "net/nft_look.h"
#include "sys/clock.h"

enum {
	FIREWALL_MAX = 1 << 18,
	LINK_POLL_NS = 5000000,
	SOCKET_POLL_NS = 20000000,
};

#define STOP_PATIENCE_NS   (UINT64_C(5) * 1000000000)
#define LINK_PATIENCE_NS   (UINT64_C(5) * 1000000000)
#define SOCKET_PATIENCE_NS (UINT64_C(1) * 1000000000)

/* --- Doing --- */

/* In the journal, durable. */
static int note(const struct client_steps *s, const struct undo_step *step, struct diag *d)
{
	int err = undo_journal_add(s->journal, step);

	if (err == 0)
		err = undo_journal_save(s->journal);
	return err < 0 ? diag_set(d, err, 0, "the journal: %s", err_text(err)) : 0;
}

static int apply_firewall(struct text *t, struct diag *d)
{
	int err = t->err;

	if (err < 0)
		diag_set(d, err, 0, "the firewall: %s", err_text(err));
	else
		err = nft_run_text(t->data, t->len, d);
	text_done(t);
	return err;
}

bool client_firewall_stands(const char *interface)
{
	char table[NFT_TABLE_NAME_MAX];
	struct nft_look now;

	client_firewall_name(interface, table);
	return nft_look(table, &now) == 0 && now.is_there && now.n_rules > 0;
}

/* Where lockdown is on, the firewall of a full tunnel takes its place. */
int client_steps_table_again(const struct client_steps *s, struct diag *d)
{
	struct text t = { .max = FIREWALL_MAX };

	client_firewall_put(&t, s->plan);
	if (client_lockdown_is_on(s->journal->dir_fd))
		client_firewall_put_lockdown(&t, s->plan->scope != CLIENT_FULL ||
							 !s->plan->has_kill_switch);
	return apply_firewall(&t, d);
}

int client_steps_table(const struct client_steps *s, struct diag *d)
{
	const struct undo_step step = { .kind = UNDO_TABLE };
	int err = 0;

	if (undo_journal_find(s->journal, UNDO_TABLE))
		err = undo_journal_save(s->journal);
	else
		err = note(s, &step, d);
	if (err < 0)
		return err;
	err = client_steps_table_again(s, d);
	undo_point();
	return err;
}

int client_steps_setting(const struct client_steps *s, struct diag *d)
{
	const struct undo_step step = { .kind = UNDO_SETTING,
					.pid = s->journal->keeper,
					.started = s->journal->keeper_started };
	int err = note(s, &step, d);

	if (err == 0)
		err = settings_hold(s->plan->interface, step.pid, step.started, d);
	undo_point();
	return err;
}

static int add_ways_to_journal(const struct client_steps *s, struct diag *d)
{
	struct undo_step step = { .kind = UNDO_ROUTE };
	int err = 0;

	for (size_t i = 0; err == 0 && client_plan_route(s->plan, i, &step.route); i++) {
		if (step.route.is_unreachable)
			err = undo_journal_add(s->journal, &step);
	}
	step.kind = UNDO_RULE;
	for (size_t i = 0; err == 0 && client_plan_rule(s->plan, i, &step.rule); i++)
		err = undo_journal_add(s->journal, &step);
	if (err == 0)
		err = undo_journal_save(s->journal);
	return err < 0 ? diag_set(d, err, 0, "the journal: %s", err_text(err)) : 0;
}

/* Routes come before the rules that lead to them. */
int client_steps_ways(const struct client_steps *s, struct diag *d)
{
	struct netlink_route route;
	struct netlink_rule rule;
	int err = add_ways_to_journal(s, d);

	for (size_t i = 0; err == 0 && client_plan_route(s->plan, i, &route); i++) {
		if (!route.is_unreachable)
			continue;
		err = netlink_route_add(s->nl, &route);
		if (err < 0)
			diag_set(d, err, 0, "a route of table %u: %s", route.table,
				 err_text(err));
		undo_point();
	}
	for (size_t i = 0; err == 0 && client_plan_rule(s->plan, i, &rule); i++) {
		err = netlink_rule_add(s->nl, &rule);
		if (err < 0)
			diag_set(d, err, 0, "a routing rule for table %u: %s", rule.table,
				 err_text(err));
		undo_point();
	}
	return err;
}

int client_steps_dns(const struct client_steps *s, struct diag *d)
{
	struct undo_step step;
	int err;

	if (s->plan->n_dns == 0 || s->plan->scope == CLIENT_USER ||
	    s->plan->scope == CLIENT_CGROUP)
		return 0;
	err = client_dns_choose(s->plan, s->journal->dir_fd, &step, d);
	if (err == 0)
		err = note(s, &step, d);
	if (err == 0)
		err = client_dns_do(s->plan, s->journal->dir_fd, &step, d);
	undo_point();
	return err;
}

/* --- Undoing --- */

/* struct undoing - One walk back. @nl: NULL until it is needed */
struct undoing {
	struct undo_journal *j;
	struct netlink *nl;
	struct text *said;
	bool left; /* by the step at hand */
};

static int undo_table(const struct undoing *u, struct diag *d)
{
	struct text t = { .max = FIREWALL_MAX };

	client_firewall_put_removal(&t, u->j->interface);
	if (client_lockdown_is_on(u->j->dir_fd))
		client_firewall_put_lockdown(&t, true);
	return apply_firewall(&t, d);
}

/* A socket that nobody listens at any more, because the process was killed. One that goes on answering is
 * that of another process, of another network namespace for example. */
static void remove_sockets(const char *interface)
{
	const struct timespec pause = { .tv_nsec = SOCKET_POLL_NS };
	uint64_t deadline_ns = clock_boot_ns() + SOCKET_PATIENCE_NS;
	char path[108];

	for (int i = 0; i < UAPI_DIALECTS; i++) {
		enum uapi_dialect dialect = (enum uapi_dialect)i;
		int err;

		while ((err = uapi_call(dialect, interface)) == 0 &&
		       clock_boot_ns() < deadline_ns)
			nanosleep(&pause, NULL);
		if (err != -ECONNREFUSED)
			continue;
		uapi_path(dialect, interface, path);
		unlink(path);
	}
}

/* An interface without the process that made it goes by itself. One that stays is somebody else's. */
static int undo_device(struct undoing *u, const struct undo_step *step)
{
	const struct timespec pause = { .tv_nsec = LINK_POLL_NS };
	uint64_t deadline_ns = clock_boot_ns() + LINK_PATIENCE_NS;
	struct netlink_link link;
	int err;

	if (step->pid)
		child_stop_foreign(step->pid, step->started, STOP_PATIENCE_NS);
	while ((err = netlink_link_find(u->nl, u->j->interface, &link)) == 0 &&
	       clock_boot_ns() < deadline_ns)
		nanosleep(&pause, NULL);
	if (err == 0)
		u->left = true;
	else
		remove_sockets(u->j->interface);
	return err == -ENODEV ? 0 : err;
}

static int undo_network(struct undoing *u, const struct undo_step *step)
{
	int err = u->nl ? 0 : netlink_open(&u->nl);

	if (err < 0)
		return err;
	if (step->kind == UNDO_DEVICE)
		return undo_device(u, step);
	err = step->kind == UNDO_RULE ? netlink_rule_delete(u->nl, &step->rule)
				      : netlink_route_delete(u->nl, &step->route);
	/* It was not made, or went with its interface, or its family was switched off. */
	return err == -ENOENT || err == -ESRCH || err == -EAFNOSUPPORT ? 0 : err;
}

static int undo_step(struct undoing *u, const struct undo_step *step, struct diag *d)
{
	int err;

	u->left = false;
	switch (step->kind) {
	case UNDO_TABLE:
		return undo_table(u, d);
	case UNDO_SETTING:
		return settings_release(step->pid, step->started, d);
	case UNDO_DNS:
	case UNDO_RESOLV:
		return client_dns_undo(u->j->interface, u->j->dir_fd, step, &u->left, d);
	case UNDO_DEVICE:
	case UNDO_RULE:
	case UNDO_ROUTE:
		err = undo_network(u, step);
		return err < 0 ? diag_set(d, err, 0, "%s", err_text(err)) : 0;
	}
	return 0;
}

/* What a restart of the machine, or the end of a network namespace, has taken away. */
static bool is_gone_by_itself(const struct undo_journal *j, const struct undo_step *step)
{
	if (step->kind == UNDO_RESOLV)
		return false;
	return !undo_journal_is_of_this_boot(j) || j->netns != journal_netns();
}

/* Steps of which there are many are taken out of the file together. */
static bool is_last_of_kind(const struct undo_journal *j, size_t index)
{
	return index == 0 || j->steps[index - 1].kind != j->steps[index].kind;
}

static void say_left(struct undoing *u, const struct undo_step *step)
{
	undo_step_put(u->said, step);
	text_puts(u->said, ": left as somebody else has made it since\n");
}

static int undo_at(struct undoing *u, size_t index, struct diag *d)
{
	struct undo_step step = u->j->steps[index];
	bool is_last = is_last_of_kind(u->j, index);
	struct text name = { .max = 128 };
	struct diag why = { 0 };
	int err = is_gone_by_itself(u->j, &step) ? 0 : undo_step(u, &step, &why);

	undo_point();
	if (err < 0) {
		undo_step_put(&name, &step);
		diag_set(d, err, 0, "cannot take back the %s: %.150s",
			 name.data ? name.data : "change", why.text);
		text_done(&name);
		return err;
	}
	if (u->left)
		say_left(u, &step);
	undo_journal_remove(u->j, index);
	return is_last ? undo_journal_save(u->j) : 0;
}

int client_steps_undo(struct undo_journal *j, enum client_undo what, struct text *said,
		      struct diag *d)
{
	struct undoing u = { .j = j, .said = said };
	int err = 0;

	for (size_t i = j->n_steps; i-- > 0;) {
		struct diag why = { 0 };
		int failed;

		if (what == CLIENT_UNDO_ALL_BUT_TABLE && j->steps[i].kind == UNDO_TABLE)
			continue;
		failed = undo_at(&u, i, &why);
		if (failed < 0 && err == 0) {
			err = failed;
			if (d)
				*d = why;
		}
	}
	netlink_close(u.nl);
	return err;
}
