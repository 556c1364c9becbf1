/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of backups. An even first octet: the rest is a file as somebody found it. An odd one: the second tells
 * how the rest is cut into chunks, which are sealed under the right key here; what the reader makes of
 * them is judged by a plain parser that has all of it at once.
 */
#include <stdbool.h>
#include <string.h>

#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "store/backup.h"

enum { HEAD = 10, AT_STREAM = BACKUP_HEADER_LEN - 24 };

static const struct backup_secret secret = { .key = { { 1, 2, 3 } } };

static void append(int fd, const void *data, size_t len)
{
	HOLDS(write(fd, data, len) == (ssize_t)len);
}

static void seal(int fd, const uint8_t *data, size_t size, size_t chunk)
{
	static uint8_t sealed[BACKUP_CHUNK_SEALED];
	crypto_secretstream_xchacha20poly1305_state stream;
	uint8_t header[BACKUP_HEADER_LEN] = "culvbak\n\0\0\0\1";
	size_t at = 0, n;

	crypto_secretstream_xchacha20poly1305_init_push(&stream, header + AT_STREAM,
							secret.key.b);
	append(fd, header, sizeof(header));
	do {
		n = size - at < chunk ? size - at : chunk;
		crypto_secretstream_xchacha20poly1305_push(
			&stream, sealed, NULL, data + at, n, header, sizeof(header),
			at + n == size ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
		append(fd, sealed, n + sizeof(sealed) - BACKUP_CHUNK);
		at += n;
	} while (at < size);
}

/* Return: how many files are in it, -1 when it makes no sense. */
static int model(const uint8_t *p, size_t size)
{
	unsigned int seen = 0;
	int files = 0;

	for (; size >= HEAD; files++) {
		size_t name_len = (size_t)p[0] << 8 | p[1], which = 0;
		uint64_t len = 0;

		for (int i = 2; i < HEAD; i++)
			len = len << 8 | p[i];
		p += HEAD;
		size -= HEAD;
		if (name_len == 0)
			return len == 0 && size == 0 ? files : -1;
		if (name_len > size || len > size - name_len)
			return -1;
		while (which < BACKUP_NAMES && (strlen(backup_names[which]) != name_len ||
						memcmp(backup_names[which], p, name_len) != 0))
			which++;
		if (which == BACKUP_NAMES || (seen & 1U << which))
			return -1;
		seen |= 1U << which;
		p += name_len + len;
		size -= name_len + len;
	}
	return -1;
}

/* Return: how many files it had; or the reader's code. */
static int read_all(int fd)
{
	static uint8_t piece[777];
	struct backup_reader *r = NULL;
	struct backup_file f;
	bool end = false;
	int files = 0, err = backup_read_begin(fd, &secret, &r, NULL);

	while (err == 0 && (err = backup_read_next(r, &f, &end)) == 0 && !end) {
		size_t n = 1;

		files++;
		while (err == 0 && n > 0)
			err = backup_read_data(r, piece, sizeof(piece), &n);
	}
	HOLDS(err == 0 || err == ERR_FORMAT || err == ERR_VERSION || err == ERR_KEY ||
	      err == ERR_AUTH || err == ERR_CORRUPT);
	backup_reader_free(r);
	return err == 0 ? files : err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd, found;

	if (size < 2 || size > BACKUP_CHUNK)
		return 0;
	HOLDS(sodium_init() >= 0);
	fd = memfd_create("backup", MFD_CLOEXEC);
	HOLDS(fd >= 0);
	if (data[0] & 1)
		seal(fd, data + 2, size - 2, data[1] ? BACKUP_CHUNK : 1);
	else
		append(fd, data + 1, size - 1);
	HOLDS(lseek(fd, 0, SEEK_SET) == 0);
	found = read_all(fd);
	/* A chunk of another size than the format's is only good as the last one. */
	if (!(data[0] & 1))
		HOLDS(found < 0);
	else if (data[1] || size == 3)
		HOLDS(found == model(data + 2, size - 2) ||
		      (found < 0 && model(data + 2, size - 2) < 0));
	else if (size > 3)
		HOLDS(found == ERR_AUTH);
	close(fd);
	return 0;
}
