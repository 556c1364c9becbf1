/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_doors.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/resource.h>
#include <sys/signalfd.h>

#include "gateway/courier.h"
#include "sys/privileges.h"

enum { DESCRIPTORS = 8192 }; /* for as many connections as the server takes */

/* Return: false: it is in the directory that we are in, which is none of ours. */
static bool directory_of(const char *path, char out[PATH_MAX])
{
	char *slash;

	snprintf(out, PATH_MAX, "%s", path);
	slash = strrchr(out, '/');
	if (!slash)
		return false;
	slash[slash == out] = '\0';
	return true;
}

int gateway_doors_close(const struct gateway_doors *doors, struct diag *d)
{
	char directory[PATH_MAX];
	const char *paths[GATEWAY_USERS_PATHS_MAX + 2];
	const char *files[GATEWAY_USERS_PATHS_MAX + STORE_POSTGRES_FILES_MAX +
			  PG_STATUS_FILES_MAX + COURIER_FILES_MAX];
	size_t n_paths, n_files;
	int err;

	gateway_users_paths(doors->users, paths, &n_paths, files, &n_files);
	paths[n_paths++] = doors->state;
	if (doors->elsewhere && directory_of(doors->elsewhere, directory))
		paths[n_paths++] = directory;
	if (doors->postgres)
		n_files += store_postgres_files(doors->postgres, files + n_files);
	if (doors->watch)
		n_files += postgres_watch_files(doors->watch, files + n_files);
	n_files += courier_files(files + n_files);
	err = privileges_landlock_reading(paths, n_paths, files, n_files);
	if (err == 0 || err == -ENOTSUP)
		err = privileges_seccomp(PRIVILEGES_GATEWAY);
	return err == 0
		       ? 0
		       : diag_set(d, err, 0, "the sandbox cannot be closed: %s", err_text(err));
}

int gateway_doors_signals(int *ret_fd)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before the first thread: all inherit it */
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? -errno : 0;
}

void gateway_doors_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
