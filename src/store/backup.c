/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <unistd.h>

#include "base/wire.h"
#include "sys/file.h"
#include "sys/random.h"

enum {
	OVERHEAD = crypto_secretstream_xchacha20poly1305_ABYTES,
	STREAM_HEADER_LEN = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
	MAGIC_LEN = 8,
	AT_VERSION = 8,
	AT_KIND = 12,
	AT_OPERATIONS = 16,
	AT_MEMORY = 24,
	AT_SALT = 32,
	AT_STREAM = AT_SALT + crypto_pwhash_SALTBYTES,
	KIND_KEY = 0,
	KIND_PASSPHRASE = 1,
	OPERATIONS = 4,
	MEMORY = 64 << 20,
};
static_assert(AT_STREAM + STREAM_HEADER_LEN == BACKUP_HEADER_LEN, "as the header says");
static_assert(BACKUP_CHUNK + OVERHEAD == BACKUP_CHUNK_SEALED, "as the header says");

static const char magic[MAGIC_LEN + 1] = "culvbak\n";
const char *const backup_names[BACKUP_NAMES] = { "server.key", "api.key", "master.key",
						 "cert.pem",   "key.pem", "culvert.conf",
						 "culvert.db" };

struct backup_writer {
	crypto_secretstream_xchacha20poly1305_state stream;
	uint8_t header[BACKUP_HEADER_LEN];
	int fd;
	size_t len;
	uint8_t plain[BACKUP_CHUNK];
	uint8_t sealed[BACKUP_CHUNK_SEALED];
};

struct backup_reader {
	crypto_secretstream_xchacha20poly1305_state stream;
	uint8_t header[BACKUP_HEADER_LEN];
	int fd;
	bool is_last;	   /* the chunk in @plain is the final one */
	unsigned int seen; /* bits of backup_names */
	uint64_t left;	   /* of the file being read */
	size_t at, len;	   /* of @plain */
	uint8_t plain[BACKUP_CHUNK];
	uint8_t sealed[BACKUP_CHUNK_SEALED];
};

/* Return: the name's place in backup_names, BACKUP_NAMES for another one. */
static unsigned int find_name(const char *name)
{
	unsigned int i = 0;

	while (i < BACKUP_NAMES && strcmp(name, backup_names[i]) != 0)
		i++;
	return i;
}

static int derive(const struct backup_secret *secret, const uint8_t *header,
		  struct secret_key *ret)
{
	if (secret->passphrase_len == 0) {
		*ret = secret->key;
		return 0;
	}
	return crypto_pwhash(ret->b, sizeof(ret->b), secret->passphrase, secret->passphrase_len,
			     header + AT_SALT, get_be64(header + AT_OPERATIONS),
			     (size_t)get_be64(header + AT_MEMORY),
			     crypto_pwhash_ALG_ARGON2ID13) == 0
		       ? 0
		       : -ENOMEM;
}

/* --- Writing --- */

static int start_stream(struct backup_writer *w, const struct backup_secret *secret)
{
	struct secret_key key;
	int err;

	memcpy(w->header, magic, MAGIC_LEN);
	put_be32(w->header + AT_VERSION, BACKUP_VERSION);
	if (secret->passphrase_len > 0) {
		put_be32(w->header + AT_KIND, KIND_PASSPHRASE);
		put_be64(w->header + AT_OPERATIONS, OPERATIONS);
		put_be64(w->header + AT_MEMORY, MEMORY);
		random_fill(w->header + AT_SALT, crypto_pwhash_SALTBYTES);
	}
	err = derive(secret, w->header, &key);
	if (err == 0)
		crypto_secretstream_xchacha20poly1305_init_push(&w->stream,
								w->header + AT_STREAM, key.b);
	secret_key_done(&key);
	return err == 0 ? file_write_all(w->fd, w->header, sizeof(w->header)) : err;
}

int backup_write_begin(int fd, const struct backup_secret *secret, struct backup_writer **ret)
{
	struct backup_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w || sodium_init() < 0) {
		free(w);
		return -ENOMEM;
	}
	w->fd = fd;
	err = start_stream(w, secret);
	if (err != 0)
		w = backup_writer_free(w);
	*ret = w;
	return err;
}

static int push(struct backup_writer *w, uint8_t tag)
{
	unsigned long long len = 0;

	crypto_secretstream_xchacha20poly1305_push(&w->stream, w->sealed, &len, w->plain,
						   w->len, w->header, sizeof(w->header), tag);
	w->len = 0;
	return file_write_all(w->fd, w->sealed, (size_t)len);
}

/* A full chunk waits until more comes: it might be the last. */
static int make_room(struct backup_writer *w)
{
	return w->len == sizeof(w->plain) ? push(w, 0) : 0;
}

static int put(struct backup_writer *w, const uint8_t *data, size_t len)
{
	int err = 0;

	while (len > 0 && err == 0) {
		size_t n;

		err = make_room(w);
		n = sizeof(w->plain) - w->len;
		if (n > len)
			n = len;
		memcpy(w->plain + w->len, data, n);
		w->len += n;
		data += n;
		len -= n;
	}
	return err;
}

int backup_write_file(struct backup_writer *w, const char *name, int in, uint64_t size)
{
	size_t name_len = strlen(name);
	uint8_t head[10];
	int err;

	assert(find_name(name) < BACKUP_NAMES);
	put_be16(head, (uint16_t)name_len);
	put_be64(head + 2, size);
	err = put(w, head, sizeof(head));
	if (err == 0)
		err = put(w, (const uint8_t *)name, name_len);
	while (size > 0 && err == 0) {
		size_t room;
		ssize_t n;

		err = make_room(w);
		if (err != 0)
			break;
		room = sizeof(w->plain) - w->len;
		n = read(in, w->plain + w->len, size < room ? (size_t)size : room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		w->len += (size_t)n;
		size -= (uint64_t)n;
	}
	return err;
}

int backup_write_end(struct backup_writer *w)
{
	static const uint8_t end[10];
	int err = put(w, end, sizeof(end));

	return err == 0 ? push(w, crypto_secretstream_xchacha20poly1305_TAG_FINAL) : err;
}

struct backup_writer *backup_writer_free(struct backup_writer *w)
{
	if (w)
		secret_wipe(w, sizeof(*w));
	free(w);
	return NULL;
}

/* --- Reading --- */

static int read_full(int fd, uint8_t *out, size_t max, size_t *ret)
{
	size_t len = 0;

	while (len < max) {
		ssize_t n = read(fd, out + len, max - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = len;
	return 0;
}

/* Nothing is spent on a header before it was looked at. */
static int check_header(const uint8_t *h, size_t len, bool has_passphrase, struct diag *d)
{
	uint32_t version, kind;
	uint64_t operations, memory;

	if (len < MAGIC_LEN + 4 || memcmp(h, magic, MAGIC_LEN) != 0)
		return diag_set(d, ERR_FORMAT, 0, "that is no backup of culvert");
	version = get_be32(h + AT_VERSION);
	if (version != BACKUP_VERSION)
		return diag_set(d, ERR_VERSION, 0,
				"the backup has format %u, known is %u: use a newer culvert",
				version, (unsigned int)BACKUP_VERSION);
	if (len < BACKUP_HEADER_LEN)
		return diag_set(d, ERR_FORMAT, 0, "the backup ends within its header");
	kind = get_be32(h + AT_KIND);
	operations = get_be64(h + AT_OPERATIONS);
	memory = get_be64(h + AT_MEMORY);
	if (kind > KIND_PASSPHRASE)
		return diag_set(d, ERR_FORMAT, 0, "the backup's header makes no sense");
	if ((kind == KIND_PASSPHRASE) != has_passphrase)
		return diag_set(d, ERR_KEY, 0, "the backup was made with a %s: use --%s-file",
				kind == KIND_PASSPHRASE ? "passphrase" : "key",
				kind == KIND_PASSPHRASE ? "passphrase" : "key");
	if (kind == KIND_PASSPHRASE &&
	    (operations < crypto_pwhash_OPSLIMIT_MIN || operations > BACKUP_OPERATIONS_MAX ||
	     memory < crypto_pwhash_MEMLIMIT_MIN || memory > BACKUP_MEMORY_MAX))
		return diag_set(d, ERR_RANGE, 0,
				"the backup's header asks for more work than is allowed");
	return 0;
}

static int open_stream(struct backup_reader *r, const struct backup_secret *secret,
		       struct diag *d)
{
	struct secret_key key;
	size_t len = 0;
	int err = read_full(r->fd, r->header, sizeof(r->header), &len);

	if (err != 0)
		return diag_set(d, err, 0, "the backup cannot be read: %s", err_text(err));
	err = check_header(r->header, len, secret->passphrase_len > 0, d);
	if (err != 0)
		return err;
	err = derive(secret, r->header, &key);
	if (err == 0)
		crypto_secretstream_xchacha20poly1305_init_pull(&r->stream,
								r->header + AT_STREAM, key.b);
	secret_key_done(&key);
	return err == 0 ? 0 : diag_set(d, err, 0, "not enough memory for the passphrase");
}

int backup_read_begin(int fd, const struct backup_secret *secret, struct backup_reader **ret,
		      struct diag *d)
{
	struct backup_reader *r = calloc(1, sizeof(*r));
	int err;

	if (!r || sodium_init() < 0) {
		free(r);
		return diag_set(d, -ENOMEM, 0, "%s", err_text(-ENOMEM));
	}
	r->fd = fd;
	err = open_stream(r, secret, d);
	if (err != 0)
		r = backup_reader_free(r);
	*ret = r;
	return err;
}

static int pull(struct backup_reader *r)
{
	unsigned long long len = 0;
	unsigned char tag = 0;
	size_t sealed = 0;
	int err;

	if (r->is_last)
		return ERR_CORRUPT; /* it ends in the middle of a file */
	err = read_full(r->fd, r->sealed, sizeof(r->sealed), &sealed);
	if (err != 0)
		return err;
	if (sealed < OVERHEAD || crypto_secretstream_xchacha20poly1305_pull(
					 &r->stream, r->plain, &len, &tag, r->sealed, sealed,
					 r->header, sizeof(r->header)) != 0)
		return ERR_AUTH;
	r->is_last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	r->at = 0;
	r->len = (size_t)len;
	return 0;
}

static int take(struct backup_reader *r, uint8_t *out, size_t len)
{
	int err = 0;

	while (len > 0 && err == 0) {
		size_t n = r->len - r->at;

		if (n == 0) {
			err = pull(r);
			continue;
		}
		if (n > len)
			n = len;
		memcpy(out, r->plain + r->at, n);
		r->at += n;
		out += n;
		len -= n;
	}
	return err;
}

/* Behind the last file: nothing more in the chunk, and no more octets in the backup. */
static int check_end(struct backup_reader *r)
{
	uint8_t more;
	size_t n = 0;
	int err;

	if (r->at != r->len || !r->is_last)
		return ERR_CORRUPT;
	err = read_full(r->fd, &more, 1, &n);
	if (err != 0)
		return err;
	return n == 0 ? 0 : ERR_AUTH;
}

int backup_read_next(struct backup_reader *r, struct backup_file *ret, bool *ret_end)
{
	uint8_t head[10];
	unsigned int which;
	size_t name_len;
	int err = r->left > 0 ? ERR_CORRUPT : take(r, head, sizeof(head));

	*ret_end = false;
	if (err != 0)
		return err;
	name_len = get_be16(head);
	ret->size = get_be64(head + 2);
	if (name_len == 0) {
		*ret_end = true;
		return ret->size == 0 ? check_end(r) : ERR_CORRUPT;
	}
	if (name_len >= sizeof(ret->name))
		return ERR_CORRUPT;
	memset(ret->name, 0, sizeof(ret->name));
	err = take(r, (uint8_t *)ret->name, name_len);
	if (err != 0)
		return err;
	which = find_name(ret->name);
	if (which == BACKUP_NAMES || strlen(ret->name) != name_len || (r->seen & 1U << which))
		return ERR_CORRUPT;
	r->seen |= 1U << which;
	r->left = ret->size;
	return 0;
}

int backup_read_data(struct backup_reader *r, void *out, size_t max, size_t *ret_len)
{
	size_t n = r->left < max ? (size_t)r->left : max;
	int err = take(r, out, n);

	r->left -= err == 0 ? n : 0;
	*ret_len = err == 0 ? n : 0;
	return err;
}

struct backup_reader *backup_reader_free(struct backup_reader *r)
{
	if (r)
		secret_wipe(r, sizeof(*r));
	free(r);
	return NULL;
}
