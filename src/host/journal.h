/* SPDX-License-Identifier: Apache-2.0 */
/**
 * journal.h - What we changed on this host, written down before it is changed
 *
 * One file for all gateways and clients, RUN_DIR/journal, under one lock. Who uses the
 * host (holders), the processes they started, and the values settings had before the
 * first holder came. The last one out restores them; who finds a dead holder's entries
 * finishes what it could not. The file names the boot it belongs to: after a restart of
 * the machine there is nothing to restore.
 *
 * Text, one entry per line, after a line "culvert-journal 1 BOOT_ID":
 *	holder NETNS PID STARTED INTERFACE
 *	child NETNS PID STARTED HOLDER_PID
 *	setting NETNS NAME VALUE
 * NETNS is the kernel's cookie of the network namespace, never used twice; STARTED tells a
 * process from a later one with the same number.
 *
 * Bounds:  JOURNAL_ENTRIES_MAX entries.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "base/err.h"
#include "base/text.h"

enum {
	JOURNAL_ENTRIES_MAX = 16384,
	JOURNAL_NAME_MAX = 96, /* "net/ipv6/conf/abcdefghijklmno/accept_ra" */
	JOURNAL_VALUE_MAX = 24,
	JOURNAL_BOOT_ID_MAX = 40,
};

enum journal_kind {
	JOURNAL_HOLDER,
	JOURNAL_CHILD,
	JOURNAL_SETTING,
};

/**
 * struct journal_entry - One line
 * @pid, @started:	HOLDER, CHILD: which process
 * @holder:		CHILD: whose
 * @name:		HOLDER: its interface; SETTING: a path below /proc/sys
 * @value:		SETTING: what it was before us
 */
struct journal_entry {
	enum journal_kind kind;
	pid_t pid;
	pid_t holder;
	uint64_t netns;
	uint64_t started;
	char name[JOURNAL_NAME_MAX];
	char value[JOURNAL_VALUE_MAX];
};

/** struct journal - All zeroes is empty. @lock_fd: held while open, else 0 */
struct journal {
	char boot_id[JOURNAL_BOOT_ID_MAX];
	struct journal_entry *entries;
	size_t n;
	size_t capacity;
	int dir_fd;
	int lock_fd;
};

/* --- The file --- */

/**
 * journal_open() - Take the lock and read what is there
 * @dir:	Made with mode 0755 if it is missing
 *
 * Return: 0; -EBUSY when another process holds the lock for 10 s; ERR_CORRUPT when the file
 *	   is damaged, with the reason in @d; -errno.
 */
int journal_open(struct journal *j, const char *dir, struct diag *d);
int journal_save(struct journal *j);   /* durable when it returns 0; removes an empty file */
void journal_close(struct journal *j); /* gives up the lock; saves nothing */

/* --- The entries --- */

int journal_add(struct journal *j, const struct journal_entry *entry); /* ERR_LIMIT, -ENOMEM */
void journal_remove(struct journal *j, size_t index); /* keeps the order of the others */
/* Everything this holder wrote about itself and its children. */
void journal_remove_holder(struct journal *j, pid_t pid, uint64_t started);
void journal_remove_settings(struct journal *j, uint64_t netns);
bool journal_has_holder(const struct journal *j, uint64_t netns);

/* --- The text, pure --- */

int journal_parse(struct journal *j, const char *text, size_t len, struct diag *d);
void journal_format(const struct journal *j, struct text *out);

/* --- Processes and namespaces --- */

/* Start of process @pid in clock ticks since boot; 0: there is none, or only a zombie. */
uint64_t journal_process_started(pid_t pid);
/* This process's network namespace, as the journal names it. */
uint64_t journal_netns(void);
