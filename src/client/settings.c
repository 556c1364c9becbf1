/* SPDX-License-Identifier: Apache-2.0 */
#include "client/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "host/journal.h"
#include "sys/file.h"

#define RUN_DIR "/run/culvert"
#define NAME	"net/ipv4/conf/all/src_valid_mark"
#define PATH	"/proc/sys/" NAME

static int read_switch(char out[JOURNAL_VALUE_MAX])
{
	size_t len = 0;
	int fd = open(PATH, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, JOURNAL_VALUE_MAX - 1);
	close(fd);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	len = (size_t)n;
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

static int write_switch(const char *value)
{
	int fd = open(PATH, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int err;

	if (fd < 0)
		return -errno;
	err = file_write_all(fd, value, strlen(value));
	close(fd);
	return err;
}

static const struct journal_entry *find_value(const struct journal *j, uint64_t netns)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];

		if (e->kind == JOURNAL_SETTING && e->netns == netns &&
		    strcmp(e->name, NAME) == 0)
			return e;
	}
	return NULL;
}

static int note(struct journal *j, uint64_t netns)
{
	struct journal_entry e = { .kind = JOURNAL_SETTING, .netns = netns, .name = NAME };
	int err;

	if (find_value(j, netns))
		return 0;
	err = read_switch(e.value);
	return err < 0 ? err : journal_add(j, &e);
}

int settings_hold(const char *interface, pid_t pid, uint64_t started, struct diag *d)
{
	struct journal_entry holder = {
		.kind = JOURNAL_HOLDER, .pid = pid, .started = started, .netns = journal_netns()
	};
	struct journal j;
	int err = journal_open(&j, RUN_DIR, d);

	if (err < 0)
		return err;
	/* No interface of a gateway: what buries a dead one removes a table of its name. */
	snprintf(holder.name, sizeof(holder.name), "mark:%.15s", interface);
	journal_remove_holder(&j, pid, started);
	err = note(&j, holder.netns);
	if (err == 0)
		err = journal_add(&j, &holder);
	if (err == 0)
		err = journal_save(&j);
	if (err == 0)
		err = write_switch("1");
	journal_close(&j);
	return err < 0 ? diag_set(d, err, 0, "cannot switch on %s: %s", NAME, err_text(err))
		       : 0;
}

static bool is_wanted(const struct journal *j, uint64_t netns)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];

		if (e->kind == JOURNAL_HOLDER && e->netns == netns &&
		    journal_process_started(e->pid) == e->started)
			return true;
	}
	return false;
}

/* Holders that are alive keep it. A gateway among them restores it when it is the last. */
static int give_back(struct journal *j, uint64_t netns)
{
	const struct journal_entry *before = find_value(j, netns);
	char now[JOURNAL_VALUE_MAX];
	int err = 0;

	if (!before || is_wanted(j, netns))
		return 0;
	if (read_switch(now) == 0 && strcmp(now, "1") == 0 && strcmp(before->value, "1") != 0)
		err = write_switch(before->value);
	if (err == 0)
		journal_remove(j, (size_t)(before - j->entries));
	return err;
}

int settings_release(pid_t pid, uint64_t started, struct diag *d)
{
	struct journal j;
	int err = journal_open(&j, RUN_DIR, d);

	if (err < 0)
		return err;
	journal_remove_holder(&j, pid, started);
	err = give_back(&j, journal_netns());
	if (err == 0)
		err = journal_save(&j);
	journal_close(&j);
	return err < 0 ? diag_set(d, err, 0, "cannot restore %s: %s", NAME, err_text(err)) : 0;
}
