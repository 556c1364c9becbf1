/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_doors.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "gateway/courier.h"
#include "sys/privileges.h"

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
	const char *paths[2] = { doors->state };
	const char *files[STORE_POSTGRES_FILES_MAX + PG_STATUS_FILES_MAX + COURIER_FILES_MAX];
	size_t n_paths = 1, n_files = 0;
	int err;

	if (doors->elsewhere && directory_of(doors->elsewhere, directory))
		paths[n_paths++] = directory;
	if (doors->postgres)
		n_files = store_postgres_files(doors->postgres, files);
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
