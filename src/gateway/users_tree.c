/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/users_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/codec.h"
#include "sys/random.h"

static const char master_name[] = "master-api-key", master_other_name[] = "api-key";
static const char hashed[] = "sha256:";

/* In the order of writing; removed from the end. */
enum leaf { PUBLIC_KEY, PRIVATE_KEY, CREATED_AT, ADDRESS, API_KEY, STATUS, LEAVES };

static const struct {
	const char *name;
	enum params_type type;
} leaves[LEAVES] = {
	[PUBLIC_KEY] = { "wg-public-key", PARAMS_STRING },
	[PRIVATE_KEY] = { "wg-private-key", PARAMS_SECURE },
	[CREATED_AT] = { "created-at", PARAMS_STRING },
	[ADDRESS] = { "address", PARAMS_STRING },
	[API_KEY] = { "api-key", PARAMS_SECURE },
	[STATUS] = { "status", PARAMS_STRING },
};

static const char *name_of(const char *id, enum leaf leaf, char out[PARAMS_NAME_MAX + 1])
{
	snprintf(out, PARAMS_NAME_MAX + 1, "users/%s/%s", id, leaves[leaf].name);
	return out;
}

void users_tree_digest(const char *key, size_t len, uint8_t out[USERS_DIGEST_LEN])
{
	if (EVP_Digest(key, len, out, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* the library is broken or out of memory */
}

void users_tree_time(uint64_t wall_ns, char out[USERS_TIME_MAX + 1])
{
	time_t s = (time_t)(wall_ns / 1000000000);
	struct tm t = { 0 };
	size_t n;

	gmtime_r(&s, &t);
	n = strftime(out, USERS_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &t);
	snprintf(out + n, USERS_TIME_MAX + 1 - n, ".%06u",
		 (unsigned int)(wall_ns % 1000000000 / 1000));
}

/* --- Single values --- */

/* A file that somebody wrote by hand ends in a newline. */
static int get_name(struct params *p, const char *name, struct text *ret, struct diag *d)
{
	int err = params_get(p, name, ret, d);

	while (err == 0 && ret->len > 0 && ret->data[ret->len - 1] == '\n')
		ret->data[--ret->len] = '\0';
	if (err == 0 && ret->len == 0)
		err = ERR_UNKNOWN;
	if (err != 0)
		text_done(ret);
	return err;
}

static int get(struct params *p, const char *id, enum leaf leaf, struct text *ret,
	       struct diag *d)
{
	char name[PARAMS_NAME_MAX + 1];

	return get_name(p, name_of(id, leaf, name), ret, d);
}

static int put(struct params *p, const char *id, enum leaf leaf, const char *value,
	       bool overwrite, struct diag *d)
{
	char name[PARAMS_NAME_MAX + 1];

	return params_put(p, name_of(id, leaf, name), value, leaves[leaf].type, overwrite, d);
}

static int drop(struct params *p, const char *id, enum leaf leaf, struct diag *d)
{
	char name[PARAMS_NAME_MAX + 1];
	int err = params_remove(p, name_of(id, leaf, name), d);

	return err == ERR_UNKNOWN ? 0 : err;
}

/* Drops @text, which may hold a secret. */
static int take_key(struct text *text, uint8_t ret[32])
{
	int err = user_key_read(text->data, text->len, ret);

	text_done(text);
	return err;
}

/* --- The master key --- */

static int take_master(struct text *key, struct users_master *ret, struct diag *d)
{
	int err = 0;

	if (key->len < USERS_KEY_TEXT_MIN || key->len > USERS_KEY_TEXT_MAX)
		err = diag_set(d, ERR_RANGE, 0,
			       "a master key of the users has %d to %d characters",
			       USERS_KEY_TEXT_MIN, USERS_KEY_TEXT_MAX);
	else
		users_tree_digest(key->data, key->len, ret->digest);
	ret->is_there = err == 0;
	ret->is_known = true;
	text_done(key);
	return err;
}

/* Somebody else may make it at the same time: whose is there counts. */
static int make_master(struct params *p, struct users_master *ret, struct diag *d)
{
	struct text key = { .data = NULL };
	uint8_t secret[USERS_SECRET_LEN];
	char text[USERS_KEY_TEXT_LEN + 1];
	int err;

	random_fill(secret, sizeof(secret));
	hex_encode(secret, sizeof(secret), text);
	err = params_put(p, master_name, text, PARAMS_SECURE, false, d);
	secret_wipe(secret, sizeof(secret));
	secret_wipe(text, sizeof(text));
	ret->is_made = err == 0;
	if (err == 0 || err == ERR_EXISTS)
		err = get_name(p, master_name, &key, d);
	return err ? err : take_master(&key, ret, d);
}

int users_tree_master(struct params *p, bool may_make, struct users_master *ret, struct diag *d)
{
	struct text key = { .data = NULL };
	int err = get_name(p, master_name, &key, d);

	*ret = (struct users_master){ .is_there = false };
	if (err == ERR_UNKNOWN)
		err = get_name(p, master_other_name, &key, d);
	if (err == 0)
		return take_master(&key, ret, d);
	if (err != ERR_UNKNOWN)
		return err;
	if (may_make)
		return make_master(p, ret, d);
	ret->is_known = true;
	return 0;
}

int users_tree_check_server(struct params *p, const uint8_t public_key[32], struct diag *d)
{
	struct text text = { .data = NULL };
	uint8_t stored[32];
	int err = get_name(p, "wg/server-public-key", &text, d);

	if (err != 0)
		return err == ERR_UNKNOWN ? 0 : err;
	err = take_key(&text, stored);
	if (err == 0 && memcmp(stored, public_key, 32) == 0)
		return 0;
	return diag_set(d, ERR_KEY, 0,
			"the users' tree has another wg/server-public-key than this gateway:"
			" it is another server's");
}

int users_tree_open(const char *store, const uint8_t public_key[32], bool may_make,
		    struct users_master *ret, struct diag *d)
{
	struct params *p = NULL;
	int err = params_open(store, &p, d);

	*ret = (struct users_master){ .is_there = false };
	if (err == 0)
		err = users_tree_check_server(p, public_key, d);
	if (err == 0)
		err = users_tree_master(p, may_make, ret, d);
	params_free(p);
	return err == -EAGAIN ? 0 : err;
}

/* --- Writing --- */

static bool has_key(struct params *p, const char *id, const uint8_t public_key[32],
		    int *ret_err)
{
	struct text text = { .data = NULL };
	uint8_t stored[32];

	*ret_err = get(p, id, PUBLIC_KEY, &text, NULL);
	return *ret_err == 0 && take_key(&text, stored) == 0 &&
	       memcmp(stored, public_key, 32) == 0;
}

/* Whoever writes the public key has the name. After an uncertain end it may be there already. */
static int claim(struct params *p, const struct user_values *v, bool *ret_is_clean,
		 struct diag *d)
{
	char text[KEY_BASE64_LEN + 1];
	int err, again;

	key_to_base64(v->public_key, text);
	err = put(p, v->id, PUBLIC_KEY, text, false, d);
	*ret_is_clean = true;
	if (err == 0)
		return 0;
	if (has_key(p, v->id, v->public_key, &again))
		return 0;
	*ret_is_clean = err == ERR_EXISTS || again == 0 || again == ERR_UNKNOWN;
	return err;
}

static int write_leaf(struct params *p, const struct user_values *v, enum leaf leaf,
		      struct diag *d)
{
	char text[ADDR_TEXT_MAX + 2 * KEY_BASE64_LEN + 2 * USERS_DIGEST_LEN];
	int err;

	switch (leaf) {
	case PRIVATE_KEY:
		if (!v->has_private_key)
			return 0;
		key_to_base64(v->private_key.b, text);
		break;
	case CREATED_AT:
		snprintf(text, sizeof(text), "%s", v->created_at);
		break;
	case ADDRESS:
		ip_addr_format(&v->address, text);
		break;
	case API_KEY:
		memcpy(text, hashed, sizeof(hashed));
		hex_encode(v->digest, sizeof(v->digest), text + sizeof(hashed) - 1);
		break;
	case STATUS:
		snprintf(text, sizeof(text), "%s", v->is_active ? "active" : "inactive");
		break;
	case PUBLIC_KEY:
	case LEAVES:
		return 0;
	}
	err = put(p, v->id, leaf, text, true, d);
	secret_wipe(text, sizeof(text));
	return err;
}

int users_tree_write(struct params *p, const struct user_values *v, bool *ret_is_clean,
		     struct diag *d)
{
	int err = claim(p, v, ret_is_clean, d);

	if (err != 0)
		return err;
	for (enum leaf leaf = PRIVATE_KEY; leaf < LEAVES && err == 0; leaf++)
		err = write_leaf(p, v, leaf, d);
	if (err != 0)
		*ret_is_clean = users_tree_remove(p, v->id, NULL, NULL) == 0;
	return err;
}

/* The public key goes last: as long as it is there, it says whose the rest is. */
int users_tree_remove(struct params *p, const char *id, const uint8_t *public_key,
		      struct diag *d)
{
	int err = 0;

	if (public_key && !has_key(p, id, public_key, &err))
		return err == ERR_UNKNOWN ? 0 : err;
	err = 0;
	for (enum leaf leaf = LEAVES; leaf-- > PUBLIC_KEY;) {
		int one = leaf == PUBLIC_KEY && err != 0 ? err : drop(p, id, leaf, d);

		err = err ? err : one;
	}
	return err;
}

int users_tree_put_status(struct params *p, const char *id, bool is_active, struct diag *d)
{
	return put(p, id, STATUS, is_active ? "active" : "inactive", true, d);
}

int users_tree_put_address(struct params *p, const char *id, const struct ip_addr *a,
			   struct diag *d)
{
	char text[ADDR_TEXT_MAX];

	return put(p, id, ADDRESS, ip_addr_format(a, text), true, d);
}

/* --- Reading --- */

int users_tree_private_key(struct params *p, const char *id, struct secret_key *ret,
			   struct diag *d)
{
	struct text text = { .data = NULL };
	int err = get(p, id, PRIVATE_KEY, &text, d);

	return err ? err : take_key(&text, ret->b);
}

static void take_digest(const struct text *text, struct user_values *v)
{
	size_t prefix = sizeof(hashed) - 1;

	if (strncmp(text->data, hashed, prefix) == 0) {
		v->has_digest = hex_decode(text->data + prefix, text->len - prefix, v->digest,
					   sizeof(v->digest)) == USERS_DIGEST_LEN;
	} else if (text->len >= USERS_KEY_TEXT_MIN && text->len <= USERS_KEY_TEXT_MAX) {
		users_tree_digest(text->data, text->len, v->digest);
		v->has_digest = true;
	}
}

/* It goes into replies: nothing but what a time has. */
static void take_time(const struct text *text, struct user_values *v)
{
	if (text->len <= USERS_TIME_MAX && strspn(text->data, "0123456789-:.TZ+ ") == text->len)
		memcpy(v->created_at, text->data, text->len + 1);
}

static void take_address(struct text *text, struct user_values *v)
{
	char *slash = strchr(text->data, '/');

	if (slash)
		*slash = '\0';
	if (ip_addr_parse(text->data, &v->address) != 0 || v->address.family != ADDR_V4)
		v->address = (struct ip_addr){ .family = ADDR_NONE };
}

static int take_leaf(enum leaf leaf, struct text *text, struct user_values *v)
{
	switch (leaf) {
	case PUBLIC_KEY:
		return user_key_read(text->data, text->len, v->public_key);
	case STATUS:
		v->is_active = strcmp(text->data, "active") == 0;
		break;
	case CREATED_AT:
		take_time(text, v);
		break;
	case ADDRESS:
		take_address(text, v);
		break;
	case API_KEY:
		take_digest(text, v);
		break;
	case PRIVATE_KEY:
	case LEAVES:
		break;
	}
	return 0;
}

static bool is_needed(enum leaf leaf)
{
	return leaf == STATUS || leaf == PUBLIC_KEY;
}

int users_tree_read(struct params *p, const char *id, struct user_values *ret, struct diag *d)
{
	int err = 0;

	*ret = (struct user_values){ .is_active = false };
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	for (enum leaf leaf = LEAVES; leaf-- > PUBLIC_KEY && err == 0;) {
		struct text text = { .data = NULL };

		if (leaf == PRIVATE_KEY)
			continue;
		err = get(p, id, leaf, &text, d);
		if (err == ERR_UNKNOWN && !is_needed(leaf))
			err = 0;
		else if (err == 0)
			err = take_leaf(leaf, &text, ret);
		text_done(&text);
	}
	if (err != 0)
		users_tree_done(ret);
	return err;
}

void users_tree_done(struct user_values *v)
{
	secret_wipe(v, sizeof(*v));
}

/* --- Listing --- */

static uint64_t mix(const char *leaf, uint64_t version)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *leaf; leaf++)
		h = (h ^ (uint8_t)*leaf) * UINT64_C(0x100000001b3);
	h ^= version;
	h *= UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 32;
}

/* Any order of the parts gives the same; unknown stays unknown. */
static void add_stamp(struct users_listed *to, uint64_t stamp)
{
	to->stamp = stamp == 0 || to->stamp == 0 ? 0 : to->stamp + stamp;
}

static int append(struct users_list *l, const struct users_listed *one)
{
	size_t capacity = l->capacity ? 2 * l->capacity : 64;
	struct users_listed *all;

	if (l->n == 8 * (size_t)USERS_MAX)
		return ERR_LIMIT;
	if (l->n == l->capacity) {
		all = realloc(l->all, capacity * sizeof(*all));
		if (!all)
			return -ENOMEM;
		l->all = all;
		l->capacity = capacity;
	}
	l->all[l->n++] = *one;
	return 0;
}

/* "users/ID/LEAF"; what looks otherwise is not ours. */
static int visit(void *context, const char *name, uint64_t version)
{
	struct users_list *l = context;
	struct users_listed one = { .id = "" };
	const char *id = name + sizeof("users/") - 1, *slash = strchr(id, '/');
	size_t len = slash ? (size_t)(slash - id) : 0;

	if (len == 0 || len > USER_ID_MAX || strchr(slash + 1, '/'))
		return 0;
	memcpy(one.id, id, len);
	if (!user_id_ok(one.id))
		return 0;
	one.stamp = version ? mix(slash + 1, version) : 0;
	one.is_whole = strcmp(slash + 1, leaves[STATUS].name) == 0;
	if (l->n == 0 || strcmp(l->all[l->n - 1].id, one.id) != 0)
		return append(l, &one);
	add_stamp(&l->all[l->n - 1], one.stamp);
	l->all[l->n - 1].is_whole |= one.is_whole;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct users_listed *)a)->id,
		      ((const struct users_listed *)b)->id);
}

/* Parts of one user need not have come together. */
static void merge(struct users_list *l)
{
	size_t n = 0;

	if (l->n > 0)
		qsort(l->all, l->n, sizeof(*l->all), by_id);
	for (size_t i = 0; i < l->n; i++) {
		if (n > 0 && strcmp(l->all[n - 1].id, l->all[i].id) == 0) {
			add_stamp(&l->all[n - 1], l->all[i].stamp);
			l->all[n - 1].is_whole |= l->all[i].is_whole;
		} else {
			l->all[n++] = l->all[i];
		}
	}
	l->n = n;
}

int users_tree_list(struct params *p, struct users_list *ret, struct diag *d)
{
	int err;

	*ret = (struct users_list){ .all = NULL };
	err = params_list(p, "users/", visit, ret, d);
	merge(ret);
	if (err == 0 && ret->n > USERS_MAX)
		err = diag_set(d, ERR_LIMIT, 0, "there are more than %d users", USERS_MAX);
	if (err != 0)
		users_list_done(ret);
	return err;
}

void users_list_done(struct users_list *l)
{
	free(l->all);
	*l = (struct users_list){ .all = NULL };
}

const struct users_listed *users_list_find(const struct users_list *l, const char *id)
{
	struct users_listed key = { .id = "" };

	snprintf(key.id, sizeof(key.id), "%s", id);
	return l->n ? bsearch(&key, l->all, l->n, sizeof(key), by_id) : NULL;
}
