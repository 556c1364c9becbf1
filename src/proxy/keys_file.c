/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/keys_file.h"

#include <string.h>

#include "base/codec.h"

static const char prefix[] = "sha256:";

/* struct row - What a line says; @id_len 0: nothing */
struct row {
	char id[KEYS_ID_MAX + 1];
	size_t id_len;
	uint8_t digest[KEYS_DIGEST_LEN];
};

static size_t span(const char *at, size_t len, bool of_space)
{
	size_t n = 0;

	while (n < len && (at[n] == ' ' || at[n] == '\t') == of_space)
		n++;
	return n;
}

static size_t line_len(const char *at, size_t len)
{
	const char *end = memchr(at, '\n', len);

	return end ? (size_t)(end - at) : len;
}

static int read_digest(const char *at, size_t len, struct row *ret, struct diag *d,
		       unsigned int number)
{
	if (len > sizeof(prefix) - 1 && memcmp(at, prefix, sizeof(prefix) - 1) == 0) {
		at += sizeof(prefix) - 1;
		len -= sizeof(prefix) - 1;
	}
	if (len != 2 * sizeof(ret->digest) ||
	    hex_decode(at, len, ret->digest, sizeof(ret->digest)) != KEYS_DIGEST_LEN)
		return diag_set(d, ERR_FORMAT, number,
				"behind the name stands the SHA-256 of a key, 64 hex digits");
	return 0;
}

static int read_line(const char *at, size_t len, struct row *ret, struct diag *d,
		     unsigned int number)
{
	size_t n = span(at, len, true), id_len, digest_len;

	ret->id_len = 0;
	at += n;
	len -= n;
	if (len > 0 && at[len - 1] == '\r')
		len--;
	if (len == 0 || at[0] == '#')
		return 0;
	id_len = span(at, len, false);
	if (!proxy_keys_is_id(at, id_len))
		return diag_set(d, ERR_FORMAT, number,
				"a name has 1 to %d of A-Z a-z 0-9 . _ -", (int)KEYS_ID_MAX);
	memcpy(ret->id, at, id_len);
	ret->id[id_len] = '\0';
	n = id_len + span(at + id_len, len - id_len, true);
	digest_len = span(at + n, len - n, false);
	if (n + digest_len + span(at + n + digest_len, len - n - digest_len, true) != len)
		return diag_set(d, ERR_FORMAT, number, "a line is ID HASH");
	ret->id_len = id_len;
	return read_digest(at + n, digest_len, ret, d, number);
}

long keys_file_check(const char *text, size_t len, struct diag *d)
{
	struct row row;
	long keys = 0;

	for (unsigned int number = 1; len > 0; number++) {
		size_t n = line_len(text, len);
		int err = read_line(text, n, &row, d, number);

		if (err < 0)
			return err;
		keys += row.id_len > 0;
		n += n < len; /* its end */
		text += n;
		len -= n;
	}
	return keys <= KEYS_MAX
		       ? keys
		       : diag_set(d, ERR_FORMAT, 0, "more than %d keys", (int)KEYS_MAX);
}

int keys_file_apply(const char *text, size_t len, struct proxy_keys *k)
{
	struct row row;
	int err = 0;

	proxy_keys_begin(k);
	while (len > 0 && err == 0) {
		size_t n = line_len(text, len);

		err = read_line(text, n, &row, NULL, 0);
		if (err == 0 && row.id_len > 0)
			err = proxy_keys_put(k, row.id, row.digest);
		n += n < len;
		text += n;
		len -= n;
	}
	if (err == 0)
		proxy_keys_commit(k);
	return err;
}
