/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/input.h"

#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "crypto/secret.h"

enum { PIECE_BYTES = 16384 };

static int read_all(int fd, size_t max, struct text *out)
{
	char piece[PIECE_BYTES];
	size_t total = 0;
	int err = 0;

	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		total += (size_t)n;
		if (total > max) {
			err = ERR_LIMIT;
			break;
		}
		text_add(out, piece, (size_t)n);
	}
	secret_wipe(piece, sizeof(piece));
	return err ? err : out->err;
}

int input_read(const char *path, size_t max, struct text *out)
{
	int fd, err;

	if (!path || strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, max, out);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read_all(fd, max, out);
	close(fd);
	return err;
}

const char *input_name(const char *path)
{
	return !path || strcmp(path, "-") == 0 ? "standard input" : path;
}
