/* SPDX-License-Identifier: Apache-2.0 */
/**
 * privileges.h - Giving up what a process does not need, in named stages
 *
 * Order: privileges_no_dump(), open everything, privileges_keep_caps(),
 * privileges_become(), privileges_landlock(), privileges_seccomp(). What the kernel could
 * not enforce is recorded and can be asked for with privileges_gaps().
 *
 * Threads: call before other threads start, except privileges_seccomp(), which uses
 * TSYNC and covers all threads of the process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

/* PR_SET_DUMPABLE 0, RLIMIT_CORE 0, no new privileges. */
int privileges_no_dump(void);

/* Keep only @caps (CAP_... numbers) in permitted and effective; empty the bounding set,
 * inheritable and ambient sets. Those not held are skipped. Return: 0 or -errno. */
int privileges_keep_caps(const int *caps, size_t n);

/* The same, but @caps stay in the bounding set: programs run by exec may still hold them. */
int privileges_limit_caps(const int *caps, size_t n);

/* setgroups, setgid, setuid; as root only. @keep_caps: PR_SET_KEEPCAPS across the change;
 * without it the bounding set is emptied as well. */
int privileges_become(uid_t uid, gid_t gid, bool keep_caps);

enum privileges_user {
	PRIVILEGES_OWN_USER,
	PRIVILEGES_SHARED_USER, /* other programs may run as it too */
};

/** privileges_unprivileged_ids() - What an unprivileged process runs as
 * Return: OWN_USER for "culvert", if it exists; SHARED_USER for "nobody"; -EINVAL for root. */
int privileges_unprivileged_ids(uid_t *ret_uid, gid_t *ret_gid);
bool privileges_is_shared_user(uid_t uid); /* "nobody" */

/* Deny all file system access, or all but below @paths_rw (n may be 0). -ENOTSUP is a gap. */
int privileges_landlock(const char *const paths_rw[], size_t n);
/* The same, but what is at @paths_ro and below may be read. Those that are not there are skipped. */
int privileges_landlock_reading(const char *const paths_rw[], size_t n,
				const char *const paths_ro[], size_t n_ro);

enum privileges_profile {
	PRIVILEGES_DEVICE, /* tunnel: sockets, TUN, epoll, threads, random; no open, no exec */
	PRIVILEGES_USERNET, /* the same without TUN, with TCP and UDP connections; no Unix sockets */
	PRIVILEGES_GATEWAY, /* HTTP, SQLite below one directory; no exec */
	PRIVILEGES_DRIVER,  /* a kernel interface: what is open already, and no more */
	PRIVILEGES_HOST,    /* netlink, fork+exec of nft and ourselves */
	PRIVILEGES_PROXY, /* TCP and UDP connections, splice, reading files that name hosts; no exec */
};

/**
 * privileges_seccomp() - Install the system call filter of @profile
 *
 * DEVICE, USERNET, GATEWAY, DRIVER and PROXY are allow lists: anything else kills the process (SIGSYS), except
 * that calls by path get EACCES and clone3 ENOSYS (the C library then uses clone, whose
 * flags can be judged). HOST starts other programs, and a filter outlives exec: it is a
 * list of what none of them ever needs. Other architectures' calls kill in all three.
 *
 * A program built with a sanitizer skips the filter (its runtime needs more) and says so
 * in privileges_gaps(); privileges_seccomp_install() never skips.
 *
 * Return: 0 or -errno.
 */
int privileges_seccomp(enum privileges_profile profile);
int privileges_seccomp_install(enum privileges_profile profile);

/** privileges_seccomp_fingerprint() - Of what PRIVILEGES_HOST refuses; equal for equal filters
 *
 * A filter outlives exec, and each one on top makes every call slower: a program that was
 * executed below an equal one need not install it again. Never 0.
 */
uint64_t privileges_seccomp_fingerprint(void);

/* Built with a sanitizer: its runtime looks for leaks at the end, and opens files for that. */
bool privileges_is_sanitized(void);

/* Record that @what could not be enforced. The first 16 are kept; @what must be static. */
void privileges_add_gap(const char *what);

/* A comma-separated list of what could not be enforced; "" when all was. Static. */
const char *privileges_gaps(void);
