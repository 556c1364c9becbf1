/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backup.h - The format of a backup: a few files in one, encrypted
 *
 * A header of BACKUP_HEADER_LEN octets: "culvbak\n", version, kind of secret (0 a key, 1 a
 * passphrase), Argon2id's operations and memory, all big-endian; its salt; the header of a
 * libsodium secretstream. Behind it chunks of BACKUP_CHUNK octets with 17 more each; only the last may
 * be shorter, and it alone has the final tag. The header is bound to every chunk, the chunks to
 * each other: what was touched, moved or cut off is noticed.
 *
 * Inside: for each file its name's length (2 octets), size (8), name and octets; a length of 0
 * ends. No name is taken but those of backup_names.
 *
 * One key may make any number of backups: each stream has its own key, derived from it and 192
 * random bits, so that no pair of key and nonce ever comes twice. Restoring encrypts nothing, and what
 * a restored gateway seals has random nonces of 192 bits again, none of them a counter's.
 *
 * Bounds: a chunk each way; Argon2id takes at most BACKUP_MEMORY_MAX, whatever the file says.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/secret.h"

enum {
	BACKUP_VERSION = 1,
	BACKUP_HEADER_LEN = 72,
	BACKUP_CHUNK = 65536,
	BACKUP_CHUNK_SEALED = BACKUP_CHUNK + 17,
	BACKUP_NAME_MAX = 32,
	BACKUP_NAMES = 7,
	BACKUP_OPERATIONS_MAX = 16,
	BACKUP_MEMORY_MAX = 1 << 30,
	BACKUP_PASSPHRASE_MIN = 12, /* octets */
	BACKUP_PASSPHRASE_MAX = 1024,
};

/* Names a backup may hold, each once; the database is the last. */
extern const char *const backup_names[BACKUP_NAMES];

/* struct backup_secret - What encrypts: a key, or with @passphrase_len a passphrase */
struct backup_secret {
	struct secret_key key;
	char passphrase[BACKUP_PASSPHRASE_MAX];
	size_t passphrase_len;
};

struct backup_writer;
struct backup_reader;

/** backup_write_begin() - To the descriptor @fd, which stays the caller's. Return: 0 or -errno */
int backup_write_begin(int fd, const struct backup_secret *secret, struct backup_writer **ret);
/** backup_write_file() - @size octets of @in. Return: 0; -EIO when it ends before; -errno */
int backup_write_file(struct backup_writer *w, const char *name, int in, uint64_t size);
/** backup_write_end() - The last chunk; without it nobody takes the backup. Return: 0 or -errno */
int backup_write_end(struct backup_writer *w);
struct backup_writer *backup_writer_free(struct backup_writer *w); /* wipes; takes NULL */

/* struct backup_file - A file inside */
struct backup_file {
	char name[BACKUP_NAME_MAX];
	uint64_t size;
};

/**
 * backup_read_begin() - Read the header from @fd
 *
 * Return: 0; ERR_FORMAT: no backup; ERR_VERSION: a newer format; ERR_RANGE: Argon2id would take too much;
 *	   ERR_KEY: the other kind of secret is needed; -errno; reason in @d.
 */
int backup_read_begin(int fd, const struct backup_secret *secret, struct backup_reader **ret,
		      struct diag *d);
/**
 * backup_read_next() - The next file; all octets of the one before were read
 * @ret_end:	There is none, and the backup is whole
 *
 * Return: 0; ERR_AUTH: another key, touched, or cut off; ERR_CORRUPT: its content makes no sense;
 *	   -errno. Nothing is to be trusted before the end has come.
 */
int backup_read_next(struct backup_reader *r, struct backup_file *ret, bool *ret_end);
/** backup_read_data() - Up to @max octets of that file; 0 at its end. Return: as above */
int backup_read_data(struct backup_reader *r, void *out, size_t max, size_t *ret_len);
struct backup_reader *backup_reader_free(struct backup_reader *r); /* wipes; takes NULL */
