/* SPDX-License-Identifier: Apache-2.0 */
#include "store/master_key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "sys/file.h"
#include "sys/random.h"

enum { PATH_LEN = 512, TEXT_MAX = 64 };

static const char name[] = "master.key";
static const char variable[] = "CULVERT_MASTER_KEY";

static int read_text(const char *text, size_t len, const char *where, struct secret_key *ret,
		     struct diag *d)
{
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (key_from_base64(text, len, ret->b) != 0)
		return diag_set(d, ERR_FORMAT, 0, "%s holds no key (32 octets in base64)",
				where);
	return 0;
}

/* @text: the variable's value, which is wiped. */
static int read_variable(char *text, struct secret_key *ret, struct diag *d)
{
	int err = read_text(text, strlen(text), variable, ret, d);

	secret_wipe(text, strlen(text));
	unsetenv(variable);
	return err;
}

static int make_file(const char *path, struct secret_key *ret, struct diag *d)
{
	char text[KEY_BASE64_LEN + 2];
	int err;

	random_fill(ret->b, sizeof(ret->b));
	key_to_base64(ret->b, text);
	text[KEY_BASE64_LEN] = '\n';
	err = file_write(AT_FDCWD, path, text, KEY_BASE64_LEN + 1, FILE_MODE(0600));
	secret_wipe(text, sizeof(text));
	return err == 0 ? 0
			: diag_set(d, err, 0, "%s cannot be written: %s", path, err_text(err));
}

/* @path is made where it may be and is not there. */
static int read_file(const char *path, bool may_make, struct secret_key *ret, struct diag *d)
{
	char text[TEXT_MAX];
	struct stat st;
	size_t len = 0;
	int err;

	if (may_make && lstat(path, &st) != 0 && errno == ENOENT)
		return make_file(path, ret, d);
	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		return diag_set(d, -EPERM, 0, "%s may be used by others: chmod 600 it", path);
	err = may_make ? file_read(AT_FDCWD, path, text, sizeof(text), &len)
		       : file_read_named(path, text, sizeof(text), &len);
	if (err != 0)
		return diag_set(d, err, 0, "%s cannot be read: %s", path, err_text(err));
	err = read_text(text, len, path, ret, d);
	secret_wipe(text, sizeof(text));
	return err;
}

int master_key_read(const char *state, struct secret_key *ret, struct diag *d)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	char *text = getenv(variable);
	char path[PATH_LEN];
	struct stat st;

	if (text)
		return read_variable(text, ret, d);
	snprintf(path, sizeof(path), "%s/%s", credentials ? credentials : "", name);
	if (credentials && stat(path, &st) == 0)
		return read_file(path, false, ret, d);
	snprintf(path, sizeof(path), "%s/%s", state, name);
	return read_file(path, true, ret, d);
}
