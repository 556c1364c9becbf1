/* SPDX-License-Identifier: Apache-2.0 */
#include "store/kind.h"

#include <errno.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"

#define NAME "store"
#define TEXT "postgres\n"

static int open_state(const char *state)
{
	return open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool kind_is_postgres(const char *state)
{
	int fd = open_state(state);
	bool is_there = fd >= 0 && faccessat(fd, NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (fd >= 0)
		close(fd);
	return is_there;
}

int kind_set_postgres(const char *state, struct diag *d)
{
	int fd = open_state(state);
	int err = fd < 0 ? -errno : 0;

	if (err == 0 && faccessat(fd, NAME, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		err = file_write(fd, NAME, TEXT, sizeof(TEXT) - 1, FILE_MODE(0600));
	if (fd >= 0)
		close(fd);
	return err == 0 ? 0
			: diag_set(d, err, 0, "%s/" NAME " cannot be written: %s", state,
				   err_text(err));
}
