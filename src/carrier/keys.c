/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/array.h"
#include "base/codec.h"
#include "crypto/secret.h"
#include "crypto/short_hash.h"
#include "sys/file.h"
#include "sys/random.h"

enum { BUCKETS = 1 << 14 };

struct carrier_keys {
	uint8_t hash_key[SHORT_HASH_KEY_LEN];
	struct carrier_key *keys;
	size_t n;
	size_t capacity;
	struct carrier_key *by_digest[BUCKETS];
	struct carrier_key *by_tag[BUCKETS];
};

struct carrier_keys *carrier_keys_free(struct carrier_keys *k)
{
	if (!k)
		return NULL;
	if (k->keys)
		secret_wipe(k->keys, k->n * sizeof(*k->keys));
	free(k->keys);
	free(k);
	return NULL;
}

size_t carrier_keys_count(const struct carrier_keys *k)
{
	return k->n;
}

static size_t bucket(const struct carrier_keys *k, const void *data, size_t len)
{
	return short_hash(k->hash_key, data, len) & (BUCKETS - 1);
}

const struct carrier_key *carrier_keys_find(const struct carrier_keys *k,
					    const uint8_t digest[HELLO_KEY_LEN])
{
	const struct carrier_key *one = k->by_digest[bucket(k, digest, HELLO_KEY_LEN)];

	while (one && !secret_equal(one->digest, digest, HELLO_KEY_LEN))
		one = one->next_digest;
	return one;
}

const struct carrier_key *carrier_keys_find_tag(const struct carrier_keys *k,
						const uint8_t tag[HELLO_TAG_LEN])
{
	const struct carrier_key *one = k->by_tag[bucket(k, tag, HELLO_TAG_LEN)];

	while (one && memcmp(one->tag, tag, HELLO_TAG_LEN) != 0)
		one = one->next_tag;
	return one;
}

/* Only once all are there: growing moves them. */
static void link_all(struct carrier_keys *k)
{
	for (size_t i = 0; i < k->n; i++) {
		struct carrier_key *one = &k->keys[i];
		size_t by_digest = bucket(k, one->digest, HELLO_KEY_LEN);
		size_t by_tag = bucket(k, one->tag, HELLO_TAG_LEN);

		one->next_digest = k->by_digest[by_digest];
		k->by_digest[by_digest] = one;
		one->next_tag = k->by_tag[by_tag];
		k->by_tag[by_tag] = one;
	}
}

static bool is_id(const char *id, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool is_right = (id[i] >= 'a' && id[i] <= 'z') ||
				(id[i] >= 'A' && id[i] <= 'Z') ||
				(id[i] >= '0' && id[i] <= '9') || id[i] == '.' ||
				id[i] == '_' || id[i] == '-';

		if (!is_right)
			return false;
	}
	return len > 0 && len <= CARRIER_KEY_ID_MAX;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* One line that says something. */
static int take_line(struct carrier_keys *k, const char *line, size_t len, unsigned int number,
		     struct diag *d)
{
	static const char prefix[] = "sha256:";
	struct carrier_key *one;
	size_t id = 0, hash;

	while (id < len && !is_blank(line[id]))
		id++;
	for (hash = id; hash < len && is_blank(line[hash]);)
		hash++;
	if (!is_id(line, id))
		return diag_set(d, ERR_FORMAT, number, "an id is 1 to %d of A-Z a-z 0-9 . _ -",
				CARRIER_KEY_ID_MAX);
	if (len - hash > strlen(prefix) && memcmp(line + hash, prefix, strlen(prefix)) == 0)
		hash += strlen(prefix);
	if (k->n == CARRIER_KEYS_MAX)
		return diag_set(d, ERR_LIMIT, number, "more than %d keys", CARRIER_KEYS_MAX);
	if (array_room(&k->keys, k->n, sizeof(*k->keys), &k->capacity) != 0)
		return -ENOMEM;
	one = &k->keys[k->n];
	memset(one, 0, sizeof(*one));
	if (key_from_hex(line + hash, len - hash, one->digest) != 0)
		return diag_set(d, ERR_FORMAT, number,
				"behind the id stands a SHA-256 of 64 hex digits");
	memcpy(one->id, line, id);
	hello_tag(one->digest, one->tag);
	k->n++;
	return 0;
}

static int take_lines(struct carrier_keys *k, const char *text, size_t len, struct diag *d)
{
	unsigned int number = 0;
	int err = 0;

	while (len > 0 && err == 0) {
		const char *lf = memchr(text, '\n', len);
		size_t whole = lf ? (size_t)(lf - text) + 1 : len, from = 0;
		size_t to = lf ? whole - 1 : whole;

		number++;
		while (from < to && is_blank(text[from]))
			from++;
		while (to > from && is_blank(text[to - 1]))
			to--;
		if (to > from && text[from] != '#')
			err = take_line(k, text + from, to - from, number, d);
		text += whole;
		len -= whole;
	}
	return err;
}

int carrier_keys_read(const char *text, size_t len, struct carrier_keys **ret, struct diag *d)
{
	struct carrier_keys *k = calloc(1, sizeof(*k));
	int err = k ? take_lines(k, text, len, d) : -ENOMEM;

	if (err != 0) {
		carrier_keys_free(k);
		return err;
	}
	random_fill(k->hash_key, sizeof(k->hash_key));
	link_all(k);
	*ret = k;
	return 0;
}

int carrier_keys_read_file(const char *path, struct carrier_keys **ret, struct diag *d)
{
	char *text = malloc(CARRIER_KEYS_TEXT_MAX);
	size_t len = 0;
	int err = text ? file_read_ours(AT_FDCWD, path, text, CARRIER_KEYS_TEXT_MAX, &len)
		       : -ENOMEM;

	if (err == -EPERM)
		diag_set(d, err, 0,
			 "%.120s: somebody else could write it: it has to belong to root or to "
			 "who runs this, and to be written by nobody else",
			 path);
	else if (err == -EACCES)
		diag_set(d, err, 0,
			 "%.120s: user %u, who serves, has to be able to read it: give it that "
			 "user's group and mode 0640",
			 path, (unsigned int)geteuid());
	else if (err != 0)
		diag_set(d, err, 0, "%s: %s", path, err_text(err));
	else
		err = carrier_keys_read(text, len, ret, d);
	if (text)
		secret_wipe(text, len);
	free(text);
	return err;
}
