/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "store/backup.h"

enum {
	CONTENT_MAX = 4 * BACKUP_CHUNK,
	INSIDE = 54, /* octets beside the database: heads, names, server.key */
};

static uint8_t sealed[CONTENT_MAX + 1024], plain[CONTENT_MAX];

static struct backup_secret key_of(uint8_t fill)
{
	struct backup_secret s = { .passphrase_len = 0 };

	memset(s.key.b, fill, sizeof(s.key.b));
	return s;
}

static struct backup_secret passphrase_of(const char *text)
{
	struct backup_secret s = { .passphrase_len = strlen(text) };

	memcpy(s.passphrase, text, s.passphrase_len);
	return s;
}

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	return fd;
}

/* A backup of server.key and a database of @len octets, in @sealed. Return: its length. */
static size_t make(const struct backup_secret *secret, size_t len)
{
	int out = memfd_create("backup", MFD_CLOEXEC), key = file_of("key\n", 4), db;
	struct backup_writer *w = NULL;
	struct stat st;

	for (size_t i = 0; i < len; i++)
		plain[i] = (uint8_t)(i * 7 + i / 251);
	db = file_of(plain, len);
	CHECK(backup_write_begin(out, secret, &w) == 0);
	CHECK(backup_write_file(w, "server.key", key, 4) == 0);
	CHECK(backup_write_file(w, "culvert.db", db, len) == 0);
	CHECK(backup_write_end(w) == 0);
	backup_writer_free(w);
	CHECK(fstat(out, &st) == 0 &&
	      pread(out, sealed, sizeof(sealed), 0) == (ssize_t)st.st_size);
	close(out);
	close(key);
	close(db);
	return (size_t)st.st_size;
}

/* Read all of it; what came out is compared with @plain. Return: as the reader. */
static int read_all(const struct backup_secret *secret, size_t len)
{
	static uint8_t piece[1000];
	int fd = file_of(sealed, len), err;
	struct backup_reader *r = NULL;
	struct backup_file f;
	bool end = false;
	size_t at, n;

	err = backup_read_begin(fd, secret, &r, NULL);
	while (err == 0 && (err = backup_read_next(r, &f, &end)) == 0 && !end) {
		for (at = 0; err == 0 && at < f.size; at += n) {
			err = backup_read_data(r, piece, sizeof(piece), &n);
			if (err == 0 && strcmp(f.name, "culvert.db") == 0)
				CHECK(memcmp(plain + at, piece, n) == 0);
		}
	}
	backup_reader_free(r);
	close(fd);
	return err;
}

static void what_was_written_is_read_again_at_every_length_around_a_chunk(void)
{
	struct backup_secret key = key_of(1);

	/* A first chunk that is not quite full, full, and one with a little in the second. */
	for (size_t len = BACKUP_CHUNK - 80; len < BACKUP_CHUNK; len++)
		CHECK(read_all(&key, make(&key, len)) == 0);
	CHECK(read_all(&key, make(&key, 0)) == 0);
	CHECK(read_all(&key, make(&key, 3 * BACKUP_CHUNK)) == 0);
}

static void every_flipped_octet_is_noticed(void)
{
	struct backup_secret key = key_of(1);
	size_t len = make(&key, 700);

	for (size_t i = 0; i < len; i++) {
		sealed[i] ^= 0x10;
		CHECK(read_all(&key, len) != 0);
		sealed[i] ^= 0x10;
	}
	CHECK(read_all(&key, len) == 0);
}

static void cut_off_anywhere_or_with_more_behind_it_is_noticed(void)
{
	struct backup_secret key = key_of(1);
	size_t len = make(&key, 3 * BACKUP_CHUNK);

	for (size_t i = 0; i <= 3; i++) {
		size_t border = BACKUP_HEADER_LEN + i * BACKUP_CHUNK_SEALED;

		CHECK(read_all(&key, border - 1) != 0);
		CHECK(read_all(&key, border) == ERR_AUTH);
		CHECK(read_all(&key, border + 1) == ERR_AUTH);
	}
	CHECK(read_all(&key, len - 1) == ERR_AUTH);
	sealed[len] = 0;
	CHECK(read_all(&key, len + 1) == ERR_AUTH);
	/* A last chunk that is full: what follows is no part of it. */
	len = make(&key, BACKUP_CHUNK - INSIDE);
	CHECK(len == BACKUP_HEADER_LEN + BACKUP_CHUNK_SEALED);
	sealed[len] = 0;
	CHECK(read_all(&key, len + 1) == ERR_AUTH);
	len = make(&key, 700);
	for (size_t i = 0; i < len; i++)
		CHECK(read_all(&key, i) != 0);
}

static void chunks_cannot_change_places(void)
{
	static uint8_t first[BACKUP_CHUNK_SEALED];
	struct backup_secret key = key_of(1);
	size_t len = make(&key, 3 * BACKUP_CHUNK);
	uint8_t *a = sealed + BACKUP_HEADER_LEN, *b = a + BACKUP_CHUNK_SEALED;

	memcpy(first, a, sizeof(first));
	memcpy(a, b, sizeof(first));
	memcpy(b, first, sizeof(first));
	CHECK(read_all(&key, len) == ERR_AUTH);
}

static void another_secret_opens_nothing(void)
{
	struct backup_secret key = key_of(1), other = key_of(2),
			     words = passphrase_of("correct horse battery"),
			     wrong = passphrase_of("correct horse batterz");
	size_t len = make(&key, 100);

	CHECK(read_all(&other, len) == ERR_AUTH);
	CHECK(read_all(&words, len) == ERR_KEY);
	len = make(&words, 100);
	CHECK(read_all(&words, len) == 0);
	CHECK(read_all(&wrong, len) == ERR_AUTH);
	CHECK(read_all(&key, len) == ERR_KEY);
}

static void a_newer_format_and_too_much_work_are_refused_by_the_header(void)
{
	struct backup_secret words = passphrase_of("correct horse battery");
	size_t len = make(&words, 100);

	sealed[11]++;
	CHECK(read_all(&words, len) == ERR_VERSION);
	sealed[11]--;
	sealed[24] = 1; /* 2^56 octets of memory */
	CHECK(read_all(&words, len) == ERR_RANGE);
	sealed[24] = 0;
	sealed[16] = 1;
	CHECK(read_all(&words, len) == ERR_RANGE);
	sealed[0] = 'C';
	CHECK(read_all(&words, len) == ERR_FORMAT);
}

static void two_backups_of_the_same_share_no_chunk(void)
{
	static uint8_t first[2048];
	struct backup_secret key = key_of(1);
	size_t len = make(&key, 700);

	memcpy(first, sealed, len);
	CHECK(make(&key, 700) == len);
	for (size_t i = BACKUP_HEADER_LEN; i + 16 <= len; i += 16)
		CHECK(memcmp(first + i, sealed + i, 16) != 0);
}

int main(void)
{
	RUN(what_was_written_is_read_again_at_every_length_around_a_chunk);
	RUN(every_flipped_octet_is_noticed);
	RUN(cut_off_anywhere_or_with_more_behind_it_is_noticed);
	RUN(chunks_cannot_change_places);
	RUN(another_secret_opens_nothing);
	RUN(a_newer_format_and_too_much_work_are_refused_by_the_header);
	RUN(two_backups_of_the_same_share_no_chunk);
	return DONE();
}
