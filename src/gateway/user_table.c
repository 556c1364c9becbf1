/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/user_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/codec.h"
#include "crypto/short_hash.h"
#include "sys/random.h"

enum { BUCKETS = 1 << 14 };

struct user_table {
	uint8_t hash_key[SHORT_HASH_KEY_LEN];
	size_t n;
	struct user *first;
	struct user *last;
	struct user *by_id[BUCKETS];
	struct user *by_digest[BUCKETS];
};

int user_table_new(struct user_table **ret)
{
	struct user_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	random_fill(t->hash_key, sizeof(t->hash_key));
	*ret = t;
	return 0;
}

struct user_table *user_table_free(struct user_table *t)
{
	for (struct user *next, *one = t ? t->first : NULL; one; one = next) {
		next = one->next;
		free(one);
	}
	free(t);
	return NULL;
}

static size_t bucket(const struct user_table *t, const void *data, size_t len)
{
	return short_hash(t->hash_key, data, len) & (BUCKETS - 1);
}

struct user *user_table_find(const struct user_table *t, const char *id)
{
	struct user *one = t->by_id[bucket(t, id, strlen(id))];

	while (one && strcmp(one->id, id) != 0)
		one = one->by_id;
	return one;
}

struct user *user_table_find_digest(const struct user_table *t,
				    const uint8_t digest[USERS_DIGEST_LEN])
{
	struct user *one = t->by_digest[bucket(t, digest, USERS_DIGEST_LEN)];

	while (one && !secret_equal(one->digest, digest, USERS_DIGEST_LEN))
		one = one->by_digest;
	return one;
}

struct user *user_table_first(const struct user_table *t)
{
	return t->first;
}

size_t user_table_count(const struct user_table *t)
{
	return t->n;
}

static void link_digest(struct user_table *t, struct user *user)
{
	struct user **head = &t->by_digest[bucket(t, user->digest, USERS_DIGEST_LEN)];

	if (!user->has_digest)
		return;
	user->by_digest = *head;
	*head = user;
}

static void unlink_digest(struct user_table *t, struct user *user)
{
	struct user **at = &t->by_digest[bucket(t, user->digest, USERS_DIGEST_LEN)];

	if (!user->has_digest)
		return;
	while (*at != user)
		at = &(*at)->by_digest;
	*at = user->by_digest;
}

void user_table_set_digest(struct user_table *t, struct user *user, bool has_digest,
			   const uint8_t digest[USERS_DIGEST_LEN])
{
	unlink_digest(t, user);
	user->has_digest = has_digest;
	memcpy(user->digest, digest, USERS_DIGEST_LEN);
	link_digest(t, user);
}

int user_table_add(struct user_table *t, const struct user *init, struct user **ret)
{
	struct user **head = &t->by_id[bucket(t, init->id, strlen(init->id))];
	struct user *user;

	if (user_table_find(t, init->id))
		return ERR_EXISTS;
	if (t->n == USERS_MAX)
		return ERR_LIMIT;
	user = malloc(sizeof(*user));
	if (!user)
		return -ENOMEM;
	*user = *init;
	user->by_id = *head;
	*head = user;
	link_digest(t, user);
	user->next = NULL;
	user->prev = t->last;
	if (t->last)
		t->last->next = user;
	else
		t->first = user;
	t->last = user;
	t->n++;
	*ret = user;
	return 0;
}

void user_table_remove(struct user_table *t, struct user *user)
{
	struct user **at = &t->by_id[bucket(t, user->id, strlen(user->id))];

	while (*at != user)
		at = &(*at)->by_id;
	*at = user->by_id;
	unlink_digest(t, user);
	if (user->next)
		user->next->prev = user->prev;
	else
		t->last = user->prev;
	if (user->prev)
		user->prev->next = user->next;
	else
		t->first = user->next;
	t->n--;
	free(user);
}

/* --- Records --- */

static const char *const state_words[] = {
	[USER_MAKING] = "making",
	[USER_MADE] = "made",
	[USER_REMOVING] = "removing",
};

void user_record_write(const struct user *user, struct text *out)
{
	char key[KEY_BASE64_LEN + 1], digest[2 * USERS_DIGEST_LEN + 1] = "";

	key_to_base64(user->public_key, key);
	if (user->has_digest)
		hex_encode(user->digest, sizeof(user->digest), digest);
	text_printf(out,
		    "{\"state\":\"%s\",\"public_key\":\"%s\",\"digest\":\"%s\","
		    "\"created_at\":\"%s\",\"active\":%s,\"stamp\":\"%016" PRIx64 "\"}",
		    state_words[user->state], key, digest, user->created_at,
		    user->is_active ? "true" : "false", user->stamp);
}

static int read_state(const char *word, enum user_state *ret)
{
	for (enum user_state s = USER_MAKING; s <= USER_REMOVING; s++) {
		if (strcmp(word, state_words[s]) == 0) {
			*ret = s;
			return 0;
		}
	}
	return ERR_CORRUPT;
}

static int read_digest(const char *text, struct user *ret)
{
	ret->has_digest = text[0] != '\0';
	return !ret->has_digest || hex_decode(text, strlen(text), ret->digest,
					      sizeof(ret->digest)) == USERS_DIGEST_LEN
		       ? 0
		       : ERR_CORRUPT;
}

static int read_stamp(const char *text, uint64_t *ret)
{
	uint8_t octets[8];

	if (hex_decode(text, strlen(text), octets, sizeof(octets)) != (long)sizeof(octets))
		return ERR_CORRUPT;
	*ret = 0;
	for (size_t i = 0; i < sizeof(octets); i++)
		*ret = *ret << 8 | octets[i];
	return 0;
}

int user_record_read(const char *body, struct user *ret)
{
	const char *state, *key, *digest, *created_at, *stamp;
	json_t *value = json_loads(body, 0, NULL);
	int err = ERR_CORRUPT, is_active = 0;

	if (value &&
	    json_unpack(value, "{s:s, s:s, s:s, s:s, s:b, s:s}", "state", &state, "public_key",
			&key, "digest", &digest, "created_at", &created_at, "active",
			&is_active, "stamp", &stamp) == 0 &&
	    key_from_base64(key, strlen(key), ret->public_key) == 0 &&
	    strlen(created_at) <= USERS_TIME_MAX) {
		memcpy(ret->created_at, created_at, strlen(created_at) + 1);
		ret->is_active = is_active;
		err = read_state(state, &ret->state);
		if (err == 0)
			err = read_digest(digest, ret);
		if (err == 0)
			err = read_stamp(stamp, &ret->stamp);
	}
	json_decref(value);
	return err;
}
