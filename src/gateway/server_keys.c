/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/server_keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/codec.h"
#include "crypto/secret.h"
#include "crypto/suite.h"
#include "gateway/user_text.h"
#include "http/json.h"
#include "sys/random.h"

enum { METADATA_MAX = 128 };

/* The digest is last: see the header. */
enum value { PRIVATE, PRIVATE_B64, PUBLIC, PUBLIC_B64, METADATA, DIGEST, N_VALUES };

static const struct {
	const char *name;
	enum params_type type;
} rows[N_VALUES] = {
	[PRIVATE] = { "wg/server-private-key", PARAMS_SECURE },
	[PRIVATE_B64] = { "wg/server-private-key-b64", PARAMS_SECURE },
	[PUBLIC] = { "wg/server-public-key", PARAMS_STRING },
	[PUBLIC_B64] = { "wg/server-public-key-b64", PARAMS_STRING },
	[METADATA] = { "wg/server-key-metadata", PARAMS_STRING },
	[DIGEST] = { "wg/keygen-config-sha256", PARAMS_STRING },
};

static const char algorithm_name[] = "curve25519";

/* struct pair - A new pair and what is written of it */
struct pair {
	char private_key[KEY_BASE64_LEN + 1];
	char public_key[KEY_BASE64_LEN + 1];
	char metadata[METADATA_MAX];
};

void server_keys_config_init(struct server_keys_config *c)
{
	*c = (struct server_keys_config){ .prefix = "/ephem-vpn",
					  .purpose = "wireguard-server",
					  .regenerates = true };
}

int server_keys_set_purpose(struct server_keys_config *c, const char *purpose, struct diag *d)
{
	size_t len = strlen(purpose);

	if (len == 0 || len > SERVER_KEYS_PURPOSE_MAX ||
	    purpose[strspn(purpose, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		return diag_set(d, ERR_RANGE, 0, "a purpose has 1 to 64 of a-z 0-9 -");
	memcpy(c->purpose, purpose, len + 1);
	return 0;
}

int server_keys_check_algorithm(const char *algorithm, struct diag *d)
{
	return strcmp(algorithm, algorithm_name) == 0
		       ? 0
		       : diag_set(d, ERR_RANGE, 0, "the only key algorithm is curve25519");
}

static int read_members(struct server_keys_config *c, struct json_reader *r, struct diag *d)
{
	const char *prefix = c->prefix, *algorithm = algorithm_name, *purpose = c->purpose;
	int err;

	json_take_text(r, "ssm_prefix", false, PARAMS_NAME_MAX, &prefix);
	json_take_text(r, "key_algorithm", false, SERVER_KEYS_PURPOSE_MAX, &algorithm);
	json_take_text(r, "key_purpose", false, SERVER_KEYS_PURPOSE_MAX, &purpose);
	json_take_bool(r, "regenerate_keys", false, &c->regenerates);
	if (!json_reader_is_well(r))
		return diag_set(d, ERR_FORMAT, 0,
				"ssm_prefix, key_algorithm and key_purpose are texts,"
				" regenerate_keys is true or false");
	if (prefix[0] != '/' || !params_name_ok(prefix + 1))
		return diag_set(d, ERR_RANGE, 0, "ssm_prefix looks like /ephem-vpn");
	err = server_keys_check_algorithm(algorithm, d);
	if (!err && purpose != c->purpose)
		err = server_keys_set_purpose(c, purpose, d);
	if (!err && prefix != c->prefix)
		memcpy(c->prefix, prefix, strlen(prefix) + 1);
	return err;
}

int server_keys_config_read(struct server_keys_config *c, const char *text, size_t len,
			    struct diag *d)
{
	struct json_reader r;
	json_t *json = NULL;
	int err = json_parse(text, len, &json, d);

	if (err)
		return err;
	if (!json_is_object(json)) {
		err = diag_set(d, ERR_FORMAT, 0, "the configuration is no JSON object");
	} else if (json_reader_init(&r, json) != 0) {
		err = diag_set(d, -ENOMEM, 0, "out of memory");
	} else {
		err = read_members(c, &r, d);
		json_reader_done(&r);
	}
	json_decref(json);
	if (!err && EVP_Digest(text, len, c->digest, NULL, EVP_sha256(), NULL) != 1)
		err = diag_set(d, -ENOMEM, 0, "the crypto library has no SHA-256");
	c->has_digest = !err;
	return err;
}

static int describe_pair(struct pair *pair, const struct secret_key *key, const char *purpose,
			 uint64_t now_s)
{
	struct suite *suite = NULL;
	uint8_t public_key[32];
	time_t now = (time_t)now_s;
	struct tm tm;
	char when[32];
	int err = suite_new(SUITE_OPENSSL, &suite);

	if (err)
		return err;
	dh_public(suite, public_key, key);
	key_to_base64(key->b, pair->private_key);
	key_to_base64(public_key, pair->public_key);
	suite_free(suite);
	if (!gmtime_r(&now, &tm) ||
	    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return ERR_RANGE;
	snprintf(pair->metadata, sizeof(pair->metadata), "%s|%s|%s", when, algorithm_name,
		 purpose);
	return 0;
}

static int make_pair(struct pair *pair, const struct server_keys_config *c, uint64_t now_s)
{
	struct secret_key key;
	int err;

	random_fill(key.b, sizeof(key.b));
	dh_clamp(&key);
	err = describe_pair(pair, &key, c->purpose, now_s);
	secret_key_done(&key);
	return err;
}

/* Give the values from @n down what they had before. Return: false when one could not be. */
static bool take_back(struct params *p, struct text before[N_VALUES], int n)
{
	bool is_well = true;

	for (int i = n; i >= 0; i--) {
		int err = before[i].data ? params_put(p, rows[i].name, before[i].data,
						      rows[i].type, true, NULL)
					 : params_remove(p, rows[i].name, NULL);

		is_well = is_well && (!err || err == ERR_UNKNOWN);
	}
	return is_well;
}

static int read_before(struct params *p, struct text before[N_VALUES], struct diag *d)
{
	for (int i = 0; i < N_VALUES; i++) {
		int err = params_get(p, rows[i].name, &before[i], d);

		if (err && err != ERR_UNKNOWN)
			return err;
	}
	return 0;
}

/* Was the value certainly not written? Else it is taken back as well. */
static bool is_refusal(int err)
{
	return err < -1000 || err == -EACCES || err == -EPERM;
}

/* Values 0 to @n as they were, and the digest, which had been removed. */
static bool restore(struct params *p, struct text before[N_VALUES], int n)
{
	bool is_well = take_back(p, before, n);

	if (before[DIGEST].data && n < DIGEST)
		is_well = params_put(p, rows[DIGEST].name, before[DIGEST].data,
				     rows[DIGEST].type, true, NULL) == 0 &&
			  is_well;
	return is_well;
}

static int write_all(struct params *p, const char *const values[N_VALUES],
		     struct text before[N_VALUES], struct diag *d)
{
	for (int i = 0; i < N_VALUES; i++) {
		int err = values[i] ? params_put(p, rows[i].name, values[i], rows[i].type, true,
						 d)
				    : 0;

		if (!err)
			continue;
		if (!restore(p, before, is_refusal(err) ? i - 1 : i))
			diag_set(
				d, err, 0,
				"%s cannot be written, nor could what was written before be taken"
				" back: run it again",
				rows[i].name);
		return err;
	}
	return 0;
}

/* While keys are written no digest vouches for them, so the run after a power cut makes them whole. */
static int make(struct params *p, const struct server_keys_config *c, uint64_t now_s,
		const char *digest, struct text before[N_VALUES], char *ret_public,
		struct diag *d)
{
	struct pair pair = { .private_key = "" };
	int err = make_pair(&pair, c, now_s);

	if (err)
		diag_set(d, err, 0, "no key can be made: %s", err_text(err));
	else if (before[DIGEST].data)
		err = params_remove(p, rows[DIGEST].name, d);
	if (!err) {
		const char *const values[N_VALUES] = {
			pair.private_key, pair.private_key,
			pair.public_key,  pair.public_key,
			pair.metadata,	  digest ? digest : before[DIGEST].data,
		};

		err = write_all(p, values, before, d);
	}
	if (!err)
		memcpy(ret_public, pair.public_key, sizeof(pair.public_key));
	secret_wipe(&pair, sizeof(pair));
	return err;
}

static bool is_pair(const struct text *private_key, const struct text *public_key)
{
	struct suite *suite = NULL;
	struct secret_key key = { { 0 } };
	uint8_t stored[32], computed[32];
	bool is_one = key_from_base64(private_key->data, private_key->len, key.b) == 0 &&
		      key_from_base64(public_key->data, public_key->len, stored) == 0 &&
		      suite_new(SUITE_OPENSSL, &suite) == 0;

	if (is_one) {
		dh_public(suite, computed, &key);
		is_one = memcmp(stored, computed, sizeof(stored)) == 0;
	}
	suite_free(suite);
	secret_key_done(&key);
	return is_one;
}

static int apply(struct params *p, const struct server_keys_config *c, uint64_t now_s,
		 struct text before[N_VALUES], enum server_keys_done *ret, char *ret_public,
		 struct diag *d)
{
	char digest[2 * sizeof(c->digest) + 1];
	bool is_there = before[PRIVATE].data && before[PUBLIC].data;
	bool is_done = c->has_digest && is_there && before[DIGEST].data;
	int err = 0;

	hex_encode(c->digest, sizeof(c->digest), digest);
	is_done = is_done && strcmp(before[DIGEST].data, digest) == 0;
	if (!is_done && (c->regenerates || !is_there)) {
		*ret = SERVER_KEYS_MADE;
		return make(p, c, now_s, c->has_digest ? digest : NULL, before, ret_public, d);
	}
	if (!is_pair(&before[PRIVATE], &before[PUBLIC]))
		return diag_set(d, ERR_CORRUPT, 0,
				"the server's keys that are stored are no pair");
	memcpy(ret_public, before[PUBLIC].data, KEY_BASE64_LEN + 1);
	*ret = is_done ? SERVER_KEYS_UNCHANGED : SERVER_KEYS_RECORDED;
	if (!is_done && c->has_digest)
		err = params_put(p, rows[DIGEST].name, digest, rows[DIGEST].type, true, d);
	return err;
}

int server_keys_apply(struct params *p, const struct server_keys_config *c, uint64_t now_s,
		      enum server_keys_done *ret, char *ret_public, struct diag *d)
{
	struct text before[N_VALUES] = { { 0 } };
	int err = read_before(p, before, d);

	if (!err)
		err = apply(p, c, now_s, before, ret, ret_public, d);
	for (int i = 0; i < N_VALUES; i++)
		text_done(&before[i]);
	return err;
}

/* --- One key for both --- */

/* Also the form that is encoded twice. Return: ERR_UNKNOWN: none of the two is there. */
static int stored_key(const struct text before[N_VALUES], enum value plain, enum value twice,
		      uint8_t ret[32])
{
	const struct text *t = before[plain].data ? &before[plain] : &before[twice];
	size_t len = t->len;

	if (!t->data)
		return ERR_UNKNOWN;
	while (len > 0 && t->data[len - 1] == '\n')
		len--;
	return user_key_read(t->data, len, ret);
}

static int fill_in(struct params *p, const struct secret_key *key, uint64_t now_s,
		   const struct text before[N_VALUES], struct diag *d)
{
	struct pair pair = { .private_key = "" };
	int err = describe_pair(&pair, key, "wireguard-server", now_s);
	const char *const values[] = { [PRIVATE] = pair.private_key,
				       [PRIVATE_B64] = pair.private_key,
				       [PUBLIC] = pair.public_key,
				       [PUBLIC_B64] = pair.public_key,
				       [METADATA] = pair.metadata };
	uint8_t stored[32], own[32];

	if (err == 0 && stored_key(before, PUBLIC, PUBLIC_B64, stored) != ERR_UNKNOWN &&
	    (key_from_base64(pair.public_key, KEY_BASE64_LEN, own) != 0 ||
	     memcmp(stored, own, sizeof(own)) != 0))
		err = diag_set(d, ERR_CORRUPT, 0,
			       "the server's keys in the users' tree are no pair: see"
			       " wg/server-public-key");
	for (int i = PRIVATE; i <= METADATA && err == 0; i++) {
		if (!before[i].data)
			err = params_put(p, rows[i].name, values[i], rows[i].type, true, d);
	}
	secret_wipe(&pair, sizeof(pair));
	return err;
}

static int agree(struct params *p, const struct secret_key *own, uint64_t now_s,
		 const struct text before[N_VALUES], struct secret_key *ret, bool *ret_is_there,
		 struct diag *d)
{
	int err = stored_key(before, PRIVATE, PRIVATE_B64, ret->b);

	*ret_is_there = err == 0 || own;
	if (err == ERR_UNKNOWN && !own)
		return 0;
	if (err == ERR_UNKNOWN) {
		*ret = *own;
		err = 0;
	}
	if (err != 0)
		return diag_set(d, ERR_CORRUPT, 0,
				"wg/server-private-key in the users' tree is no key");
	if (own && !secret_equal(own->b, ret->b, sizeof(own->b)))
		return diag_set(d, ERR_KEY, 0,
				"the users' tree has another wg/server-private-key than this"
				" gateway's server.key: remove that of the two that no client"
				" knows");
	return fill_in(p, ret, now_s, before, d);
}

int server_keys_agree(struct params *p, const struct secret_key *own, uint64_t now_s,
		      struct secret_key *ret, bool *ret_is_there, struct diag *d)
{
	struct text before[N_VALUES] = { { 0 } };
	int err = read_before(p, before, d);

	*ret_is_there = false;
	if (!err)
		err = agree(p, own, now_s, before, ret, ret_is_there, d);
	if (err)
		*ret_is_there = false;
	for (int i = 0; i < N_VALUES; i++)
		text_done(&before[i]);
	return err;
}
