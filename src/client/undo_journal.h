/* SPDX-License-Identifier: Apache-2.0 */
/**
 * undo_journal.h - What a client has changed on this host, written down before it was changed
 *
 * One file for each interface, STATE/client/IF.journal, under one lock for all of them,
 * STATE/client/lock. A step is durable in it before it is done and leaves it after it was undone,
 * so whoever reads it, after a crash, kill -9 or a power cut, knows all that may have been
 * changed. A step may have been written and not done: undoing looks first.
 *
 * Text, one entry per line, after a line "culvert-client 1 BOOT_ID NETNS":
 *	keeper PID STARTED			who looks after it
 *	plan NUMBER KILL_SWITCH NAME SCOPE	routing table; 1 or 0; what was connected to; "full", "split",
 *						"user" or "cgroup", which older ones do not say
 *	endpoint HOST ADDRESS:PORT		what a name meant before DNS was shut
 *	table					client/firewall.h
 *	device PID STARTED			the tunnel process; 0 0: about to be started
 *	setting PID STARTED			holder in the host's journal
 *	rule FAMILY PRIORITY TABLE MARK MASK INVERT SUPPRESS UID TO
 *	route TABLE METRIC UNREACHABLE DESTINATION
 *	dns METHOD				"resolved" or "resolvconf"
 *	resolv HOW CONTENT			client/resolv_file.h; CONTENT of ours, in hex
 *
 * Bounds:  UNDO_STEPS_MAX steps, UNDO_PINS_MAX endpoints.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"
#include "client/plan.h"
#include "net/netlink.h"

enum {
	UNDO_STEPS_MAX = 1200,
	UNDO_PINS_MAX = 64,
	UNDO_HOST_MAX = 256,
	UNDO_NAME_MAX = 128,
	UNDO_BOOT_ID_MAX = 40,
	UNDO_CONTENT_MAX = 2560, /* octets of a resolv.conf of ours */
};

enum undo_kind {
	UNDO_TABLE,
	UNDO_DEVICE,
	UNDO_SETTING,
	UNDO_RULE,
	UNDO_ROUTE,
	UNDO_DNS,
	UNDO_RESOLV,
};

enum undo_dns {
	UNDO_DNS_RESOLVED,
	UNDO_DNS_RESOLVCONF,
};

/** enum undo_resolv - How /etc/resolv.conf was replaced */
enum undo_resolv {
	UNDO_RESOLV_LINKED,  /* the old one has another name beside it */
	UNDO_RESOLV_CREATED, /* there was none */
	UNDO_RESOLV_WRITTEN, /* in place; the old content is in STATE/client/IF.resolv */
};

/** struct undo_step - One change; which members count, @kind says */
struct undo_step {
	enum undo_kind kind;
	enum undo_dns dns;
	enum undo_resolv resolv;
	pid_t pid;
	uint64_t started;
	struct netlink_rule rule;
	struct netlink_route route; /* @index is 0: the tunnel's */
	size_t content_len;
	char content[UNDO_CONTENT_MAX];
};

/** struct undo_pin - Where a host of the file was found */
struct undo_pin {
	char host[UNDO_HOST_MAX];
	struct endpoint at;
};

/**
 * struct undo_journal - All zeroes is closed
 * @boot_id:	Empty: nothing was written
 * @netns:	Network namespace, as host/journal.h names it
 * @has_scope:	@scope is known
 * @dir_fd, @lock_fd: While it is open, else -1
 */
struct undo_journal {
	char interface[LINK_NAME_MAX];
	char boot_id[UNDO_BOOT_ID_MAX];
	char name[UNDO_NAME_MAX];
	uint64_t netns;
	pid_t keeper;
	uint64_t keeper_started;
	uint32_t number;
	bool has_kill_switch;
	bool has_scope;
	enum client_scope scope;
	struct undo_pin *pins;
	size_t n_pins;
	struct undo_step *steps;
	size_t n_steps;
	size_t capacity;
	int dir_fd;
	int lock_fd;
};

/* --- The file --- */

/**
 * undo_journal_open() - Take the lock and read what is there
 * @state:	STATE; STATE/client is made with mode 0700
 * @patience_ns: For how long to wait for another process's lock
 *
 * Return: 0; -EBUSY when another process keeps the lock; ERR_CORRUPT when the file is damaged; -EPERM
 *	   when it may not be believed (host/file.h); with the reason in @d.
 */
int undo_journal_open(struct undo_journal *j, const char *state, const char *interface,
		      uint64_t patience_ns, struct diag *d);

/** undo_journal_peek() - Read without the lock: for those who only look. Return: also -ENOENT */
int undo_journal_peek(struct undo_journal *j, const char *state, const char *interface,
		      struct diag *d);

/* Durable when it returns 0; without steps the file is removed. 0 or -errno. */
int undo_journal_save(struct undo_journal *j);
void undo_journal_close(struct undo_journal *j); /* gives up the lock; saves nothing */
/* Give up the lock and take it again: what was read stays. 0 or as undo_journal_open(). */
void undo_journal_unlock(struct undo_journal *j);
int undo_journal_lock(struct undo_journal *j, uint64_t patience_ns);

/** undo_journal_interfaces() - Call @each with every interface that has a file; it may open it */
int undo_journal_interfaces(const char *state,
			    void (*each)(void *context, const char *interface), void *context);

/* --- What is in it --- */

/* Begin: this boot, this namespace, this process. 0 or -errno. */
int undo_journal_begin(struct undo_journal *j);
bool undo_journal_is_of_this_boot(const struct undo_journal *j);
/* Of this boot, and of a network namespace that is not ours: nothing can be said of it here. */
bool undo_journal_is_elsewhere(const struct undo_journal *j);
/* Its keeper runs. */
bool undo_journal_is_kept(const struct undo_journal *j);

int undo_journal_add(struct undo_journal *j,
		     const struct undo_step *step); /* ERR_LIMIT, -ENOMEM */
void undo_journal_remove(struct undo_journal *j, size_t index);
/* Return: the step of @kind, the last one of several, or NULL. */
struct undo_step *undo_journal_find(struct undo_journal *j, enum undo_kind kind);
int undo_journal_pin(struct undo_journal *j, const char *host, const struct endpoint *at);
/* Return: where @host, @port was, or NULL. */
const struct endpoint *undo_journal_pinned(const struct undo_journal *j, const char *host,
					   uint16_t port);

/* --- The text, pure --- */

int undo_journal_parse(struct undo_journal *j, const char *text, size_t len, struct diag *d);
void undo_journal_format(const struct undo_journal *j, struct text *out);

/** undo_step_put() - One step for people: "routing rule 5183 (IPv4)" */
void undo_step_put(struct text *out, const struct undo_step *step);

/**
 * undo_point() - Where a process may be killed: before and after whatever is lasting
 *
 * In builds for tests it ends the process with SIGKILL when CULVERT_CLIENT_DIE_AT says so, counting
 * calls from 1. Otherwise nothing.
 */
void undo_point(void);
