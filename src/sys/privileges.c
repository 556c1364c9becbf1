/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/privileges.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	GAPS_MAX = 16,
	GAPS_TEXT_MAX = 512,
	NOBODY_ID = 65534, /* where the user database has no "nobody" */
};

static const char *gaps[GAPS_MAX];
static size_t n_gaps;

void privileges_add_gap(const char *what)
{
	for (size_t i = 0; i < n_gaps; i++) {
		if (strcmp(gaps[i], what) == 0)
			return;
	}
	if (n_gaps < GAPS_MAX)
		gaps[n_gaps++] = what;
}

const char *privileges_gaps(void)
{
	static char text[GAPS_TEXT_MAX];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n_gaps && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? ", " : "",
					gaps[i]);
	return text;
}

int privileges_no_dump(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

static bool is_listed(const int *caps, size_t n, int cap)
{
	for (size_t i = 0; i < n; i++) {
		if (caps[i] == cap)
			return true;
	}
	return false;
}

/* Needs CAP_SETPCAP. Without it the set stays, and only a gap when exec could still use it. */
static void shrink_bounding_set(const int *kept, size_t n)
{
	for (int cap = 0; cap_get_bound(cap) >= 0; cap++) {
		if (cap_get_bound(cap) == 0 || is_listed(kept, n, cap))
			continue;
		if (cap_drop_bound(cap) < 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
			privileges_add_gap("capability bounding set");
	}
}

/* Permitted and effective become @caps as far as held; inheritable becomes empty. */
static int set_process_caps(const int *caps, size_t n)
{
	cap_t old = cap_get_proc();
	cap_t new = cap_init();
	int err = 0;

	if (!old || !new) {
		err = -errno;
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		cap_value_t cap = caps[i];
		cap_flag_value_t held = CAP_CLEAR;

		if (cap_get_flag(old, cap, CAP_PERMITTED, &held) < 0 || held != CAP_SET)
			continue;
		if (cap_set_flag(new, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(new, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0) {
			err = -errno;
			goto out;
		}
	}
	if (cap_set_proc(new) < 0)
		err = -errno;
out:
	cap_free(old); /* both take NULL */
	cap_free(new);
	return err;
}

static int reduce_caps(const int *caps, size_t n, const int *bound, size_t n_bound)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* EINVAL before Linux 4.3 */
	shrink_bounding_set(bound, n_bound); /* first: it needs a capability we may drop */
	return set_process_caps(caps, n);
}

int privileges_keep_caps(const int *caps, size_t n)
{
	return reduce_caps(caps, n, NULL, 0);
}

int privileges_limit_caps(const int *caps, size_t n)
{
	return reduce_caps(caps, n, caps, n);
}

int privileges_become(uid_t uid, gid_t gid, bool keep_caps)
{
	if (geteuid() != 0)
		return -EPERM;
	if (keep_caps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	if (!keep_caps && uid != 0)
		shrink_bounding_set(NULL, 0); /* afterwards the right to do so is gone */
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	if (uid != 0 && setuid(0) == 0) /* believing it is not enough */
		return -EPERM;
	return 0;
}

static void find_nobody(uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *user = getpwnam("nobody");

	*ret_uid = user ? user->pw_uid : NOBODY_ID;
	*ret_gid = user ? user->pw_gid : NOBODY_ID;
}

int privileges_unprivileged_ids(uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *user = getpwnam("culvert");

	if (user) {
		*ret_uid = user->pw_uid;
		*ret_gid = user->pw_gid;
	} else {
		find_nobody(ret_uid, ret_gid);
	}
	if (*ret_uid == 0)
		return -EINVAL;
	return user ? PRIVILEGES_OWN_USER : PRIVILEGES_SHARED_USER;
}

bool privileges_is_shared_user(uid_t uid)
{
	uid_t nobody;
	gid_t group;

	find_nobody(&nobody, &group);
	return uid == nobody;
}

/* The kernel takes shorter and longer forms of this struct; the headers may know less of it. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

enum {
	SCOPE_ABSTRACT_UNIX_SOCKET = 1,
	SCOPE_SIGNAL = 2,
};

/* Rights over files that the kernel's Landlock version knows; version n adds to n - 1. */
static uint64_t known_rights(long abi)
{
	uint64_t rights = (UINT64_C(1) << 13) - 1;

	if (abi >= 2)
		rights |= UINT64_C(1) << 13; /* REFER */
	if (abi >= 3)
		rights |= UINT64_C(1) << 14; /* TRUNCATE */
	if (abi >= 5)
		rights |= UINT64_C(1) << 15; /* IOCTL_DEV */
	return rights;
}

static int allow_below(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr beneath = { .allowed_access = rights };
	int err = 0;
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	beneath.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) <
	    0)
		err = -errno;
	close(fd);
	return err;
}

/* Of a file no right of directories may be named. */
static int allow_reading(int ruleset, const char *path)
{
	struct stat st;
	int err;

	if (stat(path, &st) < 0)
		return 0;
	err = allow_below(ruleset, path,
			  S_ISDIR(st.st_mode)
				  ? LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR
				  : LANDLOCK_ACCESS_FS_READ_FILE);
	return err == -ENOENT || err == -EACCES ? 0 : err;
}

int privileges_landlock(const char *const paths_rw[], size_t n)
{
	return privileges_landlock_reading(paths_rw, n, NULL, 0);
}

int privileges_landlock_reading(const char *const paths_rw[], size_t n,
				const char *const paths_ro[], size_t n_ro)
{
	long abi =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset attr = { .fs = known_rights(abi) };
	int err = 0;
	int fd;

	if (abi < 1) {
		privileges_add_gap("landlock");
		return -ENOTSUP;
	}
	if (abi >= 6)
		attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < n && err == 0; i++)
		err = allow_below(fd, paths_rw[i], attr.fs);
	for (size_t i = 0; i < n_ro && err == 0; i++)
		err = allow_reading(fd, paths_ro[i]);
	/* Landlock wants this promise even from root; see privileges_no_dump(). */
	if (err == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	if (err == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		err = -errno;
	close(fd);
	return err;
}
