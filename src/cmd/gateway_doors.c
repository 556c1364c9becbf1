/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_doors.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/resource.h>
#include <sys/signalfd.h>

#include "api/call.h"
#include "api/postgres_watch.h"
#include "gateway/courier.h"
#include "store/pg_status.h"
#include "store/store.h"
#include "sys/privileges.h"

enum {
	PATH_MAX_LEN = 512,
	DESCRIPTORS = 8192, /* for as many connections as the server takes */
};

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

int gateway_doors_close(const char *state, const char *database, struct store *postgres,
			const struct api *api, struct diag *d)
{
	char directory[PATH_MAX_LEN];
	const char *paths[] = { state, directory };
	const char *files[STORE_POSTGRES_FILES_MAX + PG_STATUS_FILES_MAX + COURIER_FILES_MAX];
	size_t n_files = 0;
	char *slash;
	int err;

	snprintf(directory, sizeof(directory), "%s", database);
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	if (postgres)
		n_files = store_postgres_files(postgres, files);
	if (api->postgres)
		n_files += postgres_watch_files(api->postgres, files + n_files);
	n_files += courier_files(files + n_files);
	err = privileges_landlock_reading(
		paths, !slash || strcmp(directory, state) == 0 ? 1 : 2, files, n_files);
	if (err == 0 || err == -ENOTSUP)
		err = privileges_seccomp(PRIVILEGES_GATEWAY);
	return err == 0
		       ? 0
		       : diag_set(d, err, 0, "the sandbox cannot be closed: %s", err_text(err));
}
