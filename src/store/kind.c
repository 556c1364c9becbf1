/* SPDX-License-Identifier: Apache-2.0 */
#include "store/kind.h"

#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"

#define STORE_FILE  "store"
#define STORE_TEXT  "postgres\n"
#define SEALED_FILE "sealed"
#define SEALED_TEXT "keys\n"

static int open_state(const char *state)
{
	return open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool is_there(const char *state, const char *name)
{
	int fd = open_state(state);
	bool is_there = fd >= 0 && faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (fd >= 0)
		close(fd);
	return is_there;
}

static int write_once(const char *state, const char *name, const char *text, struct diag *d)
{
	int fd = open_state(state);
	int err = fd < 0 ? -errno : 0;

	if (err == 0 && faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		err = file_write(fd, name, text, strlen(text), FILE_MODE(0600));
	if (fd >= 0)
		close(fd);
	return err == 0 ? 0
			: diag_set(d, err, 0, "%s/%s cannot be written: %s", state, name,
				   err_text(err));
}

bool kind_is_postgres(const char *state)
{
	return is_there(state, STORE_FILE);
}

int kind_set_postgres(const char *state, struct diag *d)
{
	return write_once(state, STORE_FILE, STORE_TEXT, d);
}

bool kind_has_sealed_keys(const char *state)
{
	return is_there(state, SEALED_FILE);
}

int kind_set_sealed_keys(const char *state, struct diag *d)
{
	return write_once(state, SEALED_FILE, SEALED_TEXT, d);
}

int kind_forget_sealed_keys(int state)
{
	return unlinkat(state, SEALED_FILE, 0) < 0 && errno != ENOENT ? -errno : 0;
}
