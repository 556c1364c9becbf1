/* SPDX-License-Identifier: Apache-2.0 */
#include "host/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "sys/file.h"

static const struct {
	const char *file;
	const char *variable;
} known[CREDENTIALS_MAX] = {
	{ "api.key", "GATEWAY_API_KEY" },
	{ "master.key", "CULVERT_MASTER_KEY" },
	{ "database.password", "PGPASSWORD" }, /* libpq reads it */
};

/* Return: 0, -ENOENT when there is none, or why it cannot be used. */
static int read_one(int dir, size_t which, char text[CREDENTIAL_TEXT_MAX])
{
	size_t begin = strlen(known[which].variable) + 1, len = 0;
	int err = file_read(dir, known[which].file, text + begin,
			    CREDENTIAL_TEXT_MAX - begin - 1, &len);

	if (err < 0)
		return err;
	if (len > 0 && text[begin + len - 1] == '\n')
		len--;
	if (len == 0 || memchr(text + begin, '\0', len))
		return ERR_FORMAT;
	memcpy(text, known[which].variable, begin - 1);
	text[begin - 1] = '=';
	text[begin + len] = '\0';
	return 0;
}

static int read_all(int dir, const char *path, struct credentials *c, struct diag *d)
{
	size_t n = 0;

	for (size_t i = 0; i < CREDENTIALS_MAX; i++) {
		int err = getenv(known[i].variable) ? -ENOENT : read_one(dir, i, c->texts[n]);

		if (err == 0) {
			c->sets[n] = c->texts[n];
			n++;
		} else if (err != -ENOENT) {
			return diag_set(d, err, 0, "the credential %s/%s cannot be used: %s",
					path, known[i].file, err_text(err));
		}
	}
	return 0;
}

int credentials_read(struct credentials *ret, struct diag *d)
{
	const char *path = getenv("CREDENTIALS_DIRECTORY");
	int dir, err;

	*ret = (struct credentials){ 0 };
	if (!path)
		return 0;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return diag_set(d, -errno, 0, "CREDENTIALS_DIRECTORY, %s: %s", path,
				err_text(-errno));
	err = read_all(dir, path, ret, d);
	close(dir);
	if (err < 0)
		credentials_done(ret);
	return err;
}

void credentials_done(struct credentials *c)
{
	secret_wipe(c, sizeof(*c));
}
