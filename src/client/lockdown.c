/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lockdown.h"

#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "client/firewall.h"
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

static void see(void *context, const char *interface)
{
	bool *is_replaced = ((void **)context)[0];
	const char *state = ((void **)context)[1];
	struct undo_journal j;
	struct diag ignored;

	if (undo_journal_peek(&j, state, interface, &ignored) < 0)
		return;
	if (j.has_kill_switch && undo_journal_find(&j, UNDO_TABLE) &&
	    undo_journal_is_of_this_boot(&j) && j.netns == journal_netns())
		*is_replaced = true;
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
	bool is_replaced = false;
	char path[4096];
	void *context[] = { &is_replaced, path };
	int err = undo_journal_open(&j, state, lock_only, LOCK_PATIENCE_NS, d);

	if (err < 0)
		return err;
	if (strlen(state) >= sizeof(path)) {
		err = -ENAMETOOLONG;
		goto out;
	}
	memcpy(path, state, strlen(state) + 1);
	err = undo_journal_interfaces(state, see, context);
	if (err == 0)
		err = change(j.dir_fd, on, is_replaced, d);
out:
	undo_journal_close(&j);
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
