/* SPDX-License-Identifier: Apache-2.0 */
#include "api/link_record.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/json_write.h"
#include "sys/random.h"

static const char name_label[] = "culvert link name", key_label[] = "culvert link key";

static void derive(struct suite *s, const uint8_t token[LINK_TOKEN_LEN], const char *label,
		   uint8_t out[HASH_LEN])
{
	const struct hash_part part = { label, strlen(label) };

	hmac_blake2s(s, out, token, LINK_TOKEN_LEN, &part, 1);
}

int link_token_read(const char *text, size_t len, uint8_t token[LINK_TOKEN_LEN])
{
	if (len != LINK_TOKEN_TEXT_LEN ||
	    base64url_decode(text, len, token, LINK_TOKEN_LEN) != LINK_TOKEN_LEN)
		return ERR_FORMAT;
	return 0;
}

void link_token_format(const uint8_t token[LINK_TOKEN_LEN], char out[LINK_TOKEN_TEXT_MAX])
{
	base64url_encode(token, LINK_TOKEN_LEN, out);
}

void link_name(struct suite *s, const uint8_t token[LINK_TOKEN_LEN],
	       char out[STORE_NAME_MAX + 1])
{
	uint8_t name[HASH_LEN];

	derive(s, token, name_label, name);
	hex_encode(name, sizeof(name), out);
}

/* What the ciphertext belongs to: it cannot be moved to another peer or link. */
struct place {
	char name[STORE_NAME_MAX + 1];
	uint8_t public_key[32];
};

static struct place place_of(struct suite *s, const uint8_t token[LINK_TOKEN_LEN],
			     const struct link_record *l)
{
	struct place p = { .name = "" };

	link_name(s, token, p.name);
	memcpy(p.public_key, l->public_key, sizeof(p.public_key));
	return p;
}

int link_close(struct suite *s, const uint8_t token[LINK_TOKEN_LEN], const char *file,
	       size_t len, struct link_record *l)
{
	struct place place = place_of(s, token, l);
	uint8_t key[HASH_LEN];

	if (len > LINK_FILE_MAX)
		return ERR_LIMIT;
	l->sealed_len = XAEAD_NONCE_LEN + len + AEAD_TAG_LEN;
	l->sealed = malloc(l->sealed_len);
	if (!l->sealed)
		return -ENOMEM;
	derive(s, token, key_label, key);
	random_fill(l->sealed, XAEAD_NONCE_LEN);
	xaead_seal(s, key, l->sealed, (const uint8_t *)&place, sizeof(place),
		   (const uint8_t *)file, len, l->sealed + XAEAD_NONCE_LEN);
	secret_wipe(key, sizeof(key));
	return 0;
}

int link_open(struct suite *s, const uint8_t token[LINK_TOKEN_LEN], const struct link_record *l,
	      struct text *out)
{
	struct place place = place_of(s, token, l);
	uint8_t key[HASH_LEN], *file;
	size_t len;
	bool is_whole;

	if (l->sealed_len < XAEAD_NONCE_LEN + AEAD_TAG_LEN)
		return ERR_AUTH;
	len = l->sealed_len - XAEAD_NONCE_LEN - AEAD_TAG_LEN;
	file = malloc(len + 1);
	if (!file)
		return -ENOMEM;
	derive(s, token, key_label, key);
	is_whole = xaead_open(s, key, l->sealed, (const uint8_t *)&place, sizeof(place),
			      l->sealed + XAEAD_NONCE_LEN, len, file);
	if (is_whole)
		text_add(out, file, len);
	secret_wipe(key, sizeof(key));
	secret_wipe(file, len);
	free(file);
	return is_whole ? out->err : ERR_AUTH;
}

/* --- The record --- */

static int take_sealed(const json_t *body, struct link_record *l)
{
	const char *text = json_string_value(json_object_get(body, "sealed"));
	long len;

	if (!text)
		return ERR_CORRUPT;
	l->sealed = malloc(strlen(text) + 1);
	if (!l->sealed)
		return -ENOMEM;
	len = base64_decode(text, strlen(text), l->sealed, strlen(text));
	l->sealed_len = len > 0 ? (size_t)len : 0;
	return len > 0 ? 0 : ERR_CORRUPT;
}

int link_record_read(const char *body, struct link_record *ret)
{
	json_t *json = json_loads(body, 0, NULL);
	const char *key = json_string_value(json_object_get(json, "public_key"));
	struct link_record l = {
		.peer_id = json_integer_value(json_object_get(json, "peer")),
		.until_ns = (uint64_t)json_integer_value(json_object_get(json, "until_ns")),
		.uses = (unsigned int)json_integer_value(json_object_get(json, "uses")),
	};
	int err = key && key_from_base64(key, strlen(key), l.public_key) == 0 ? 0 : ERR_CORRUPT;

	if (err == 0)
		err = take_sealed(json, &l);
	json_decref(json);
	if (err == 0)
		*ret = l;
	else
		link_record_done(&l);
	return err;
}

static bool skip(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

/* After @word, a number, and a comma behind it. */
static bool skip_number(const char **at, const char *word, uint64_t *ret)
{
	size_t len;

	if (!skip(at, word))
		return false;
	len = strspn(*at, "0123456789");
	if (decimal_parse(*at, len, INT64_MAX, ret) != 0)
		return false;
	*at += len;
	return skip(at, ",");
}

/* In the order that link_record_write() has. */
static bool peek(const char *body, struct link_record *l)
{
	uint64_t peer_id, uses;

	if (!skip_number(&body, "{\"peer\":", &peer_id) || !skip(&body, "\"public_key\":\"") ||
	    strnlen(body, KEY_BASE64_LEN) < KEY_BASE64_LEN ||
	    key_from_base64(body, KEY_BASE64_LEN, l->public_key) != 0)
		return false;
	body += KEY_BASE64_LEN;
	if (!skip(&body, "\",") || !skip_number(&body, "\"until_ns\":", &l->until_ns) ||
	    !skip_number(&body, "\"uses\":", &uses) || uses > UINT_MAX)
		return false;
	l->peer_id = (int64_t)peer_id;
	l->uses = (unsigned int)uses;
	return true;
}

int link_record_peek(const char *body, struct link_record *ret)
{
	struct link_record l = { .uses = 0 };
	int err;

	if (peek(body, &l)) {
		*ret = l;
		return 0;
	}
	err = link_record_read(body, ret); /* somebody wrote it in another order */
	if (err == 0)
		link_record_done(ret);
	return err;
}

void link_record_write(const struct link_record *l, struct text *out)
{
	char key[KEY_BASE64_LEN + 1];
	char *sealed = malloc((l->sealed_len + 2) / 3 * 4 + 1);

	if (!sealed) {
		out->err = -ENOMEM;
		return;
	}
	base64_encode(l->sealed, l->sealed_len, sealed);
	key_to_base64(l->public_key, key);
	text_puts(out, "{");
	json_put_number(out, "peer", (uint64_t)l->peer_id);
	json_put_text(out, "public_key", key);
	json_put_number(out, "until_ns", l->until_ns);
	json_put_number(out, "uses", l->uses);
	json_put_text(out, "sealed", sealed);
	text_puts(out, "}");
	free(sealed);
}

void link_record_done(struct link_record *l)
{
	free(l->sealed);
	l->sealed = NULL;
	l->sealed_len = 0;
}
