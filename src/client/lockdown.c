/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lockdown.h"

#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "client/firewall.h"
#include "client/steps.h"
#include "client/undo_journal.h"
#include "host/journal.h"
#include "net/nft.h"
#include "sys/file.h"

#define LOCK_PATIENCE_NS (UINT64_C(10) * 1000000000)

static const char file_name[] = "lockdown";
static const char lock_only[] = "any"; /* a journal's name: its lock is everybody's */

bool client_lockdown_is_on(int dir_fd)
{
	return faccessat(dir_fd, file_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* struct others - The connections of this host. @cut: one that lockdown stops */
struct others {
	const char *state;
	bool is_replaced;
	char cut[LINK_NAME_MAX];
};

/* What was written by a version that did not say the scope is not taken for a full tunnel. */
static bool lets_nothing_leave(const struct undo_journal *j)
{
	return j->has_kill_switch && j->has_scope && j->scope == CLIENT_FULL &&
	       client_firewall_stands(j->interface);
}

static void see(void *context, const char *interface)
{
	struct others *o = context;
	struct undo_journal j;
	struct diag ignored;

	if (undo_journal_peek(&j, o->state, interface, &ignored) < 0)
		return;
	if (undo_journal_find(&j, UNDO_TABLE) && undo_journal_is_of_this_boot(&j) &&
	    j.netns == journal_netns()) {
		if (lets_nothing_leave(&j))
			o->is_replaced = true;
		else
			memcpy(o->cut, j.interface, sizeof(o->cut));
	}
	undo_journal_close(&j);
}

static int write_file(int dir_fd, bool on)
{
	if (on)
		return file_write(dir_fd, file_name, "on\n", 3, FILE_MODE(0600));
	return unlinkat(dir_fd, file_name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int write_table(bool on, struct diag *d)
{
	struct text t = { .max = 8192 };
	int err;

	client_firewall_put_lockdown(&t, on);
	err = t.err ? t.err : nft_run_text(t.data, t.len, d);
	text_done(&t);
	return err;
}

/* On: what is written down first is carried out after a crash. Off: the other way round. */
static int change(int dir_fd, bool on, bool is_replaced, struct diag *d)
{
	int err = on ? write_file(dir_fd, on) : 0;

	if (err == 0 && !is_replaced)
		err = write_table(on, d);
	if (err == 0 && !on)
		err = write_file(dir_fd, on);
	if (err < 0 && !d->text[0])
		diag_set(d, err, 0, "lockdown: %s", err_text(err));
	return err;
}

int client_lockdown_set(const char *state, bool on, struct diag *d)
{
	struct undo_journal j;
	struct others o = { .state = state };
	int err = undo_journal_open(&j, state, lock_only, LOCK_PATIENCE_NS, d);

	if (err < 0)
		return err;
	err = undo_journal_interfaces(state, see, &o);
	if (err == 0)
		err = change(j.dir_fd, on, o.is_replaced, d);
	undo_journal_close(&j);
	if (err == 0 && on && o.cut[0] && !o.is_replaced)
		diag_set(
			d, 0, 0,
			"%s is no full tunnel: nothing goes through it, either, until lockdown is off",
			o.cut);
	return err < 0 && !d->text[0] ? diag_set(d, err, 0, "lockdown: %s", err_text(err))
				      : err;
}

int client_lockdown_look(const char *state, struct diag *d)
{
	struct undo_journal j;
	int err = undo_journal_open(&j, state, lock_only, LOCK_PATIENCE_NS, d);

	if (err < 0)
		return err;
	err = client_lockdown_is_on(j.dir_fd);
	undo_journal_close(&j);
	return err;
}
