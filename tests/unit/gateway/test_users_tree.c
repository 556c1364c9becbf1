/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ftw.h>
#include <unistd.h>

#include "../test.h"
#include "gateway/users_tree.h"

static char top[] = "/tmp/culvert-users-XXXXXX";
static char root[64];
static struct params *tree;

/* A tree in front of the tree, of which one call fails, before or after it was done. */
struct faulty {
	struct params base;
	int calls;
	int fails_at; /* -1: never */
	bool is_done;
	bool goes_on; /* every later call fails too */
};

static struct faulty faulty;

static bool fails(void)
{
	int n = faulty.calls++;

	return faulty.fails_at >= 0 &&
	       (n == faulty.fails_at || (faulty.goes_on && n > faulty.fails_at));
}

static int get(struct params *p, const char *name, struct text *ret, struct diag *d)
{
	(void)p;
	return fails() ? -EAGAIN : params_get(tree, name, ret, d);
}

static int put(struct params *p, const char *name, const char *value, enum params_type type,
	       bool overwrite, struct diag *d)
{
	bool is_failing = fails();

	(void)p;
	if (is_failing && !faulty.is_done)
		return -EAGAIN;
	int err = params_put(tree, name, value, type, overwrite, d);

	return is_failing ? -EAGAIN : err;
}

static int list(struct params *p, const char *prefix, params_visitor visit, void *context,
		struct diag *d)
{
	(void)p;
	return params_list(tree, prefix, visit, context, d);
}

static int remove_one(struct params *p, const char *name, struct diag *d)
{
	bool is_failing = fails();

	(void)p;
	if (is_failing && !faulty.is_done)
		return -EAGAIN;
	int err = params_remove(tree, name, d);

	return is_failing ? -EAGAIN : err;
}

static void free_nothing(struct params *p)
{
	(void)p;
}

static const struct params_ops ops = { get, put, list, remove_one, free_nothing };

static struct params *failing(int at, bool is_done, bool goes_on)
{
	faulty = (struct faulty){ { &ops }, 0, at, is_done, goes_on };
	return &faulty.base;
}

static struct user_values some_user(const char *id, uint8_t fill)
{
	struct user_values v = { .has_private_key = true,
				 .has_digest = true,
				 .is_active = true,
				 .created_at = "2026-01-14T10:30:00.123456" };

	snprintf(v.id, sizeof(v.id), "%s", id);
	memset(v.public_key, fill, sizeof(v.public_key));
	memset(v.private_key.b, fill + 1, sizeof(v.private_key.b));
	memset(v.digest, fill + 2, sizeof(v.digest));
	CHECK(ip_addr_parse("10.0.0.110", &v.address) == 0);
	return v;
}

static int count(void *context, const char *name, uint64_t version)
{
	(void)name, (void)version;
	++*(int *)context;
	return 0;
}

static int n_values(const char *id)
{
	char prefix[PARAMS_NAME_MAX + 1];
	int n = 0;

	snprintf(prefix, sizeof(prefix), "users/%s/", id);
	CHECK(params_list(tree, prefix, count, &n, NULL) == 0);
	return n;
}

static void set(const char *name, const char *value)
{
	CHECK(params_put(tree, name, value, PARAMS_STRING, true, NULL) == 0);
}

static void a_user_is_read_as_it_was_written(void)
{
	struct user_values v = some_user("user1", 7), r;
	struct secret_key key;
	bool is_clean = false;

	CHECK(users_tree_write(tree, &v, &is_clean, NULL) == 0);
	CHECK(n_values("user1") == 6);
	CHECK(users_tree_read(tree, "user1", &r, NULL) == 0);
	CHECK(strcmp(r.id, "user1") == 0 && memcmp(r.public_key, v.public_key, 32) == 0);
	CHECK(r.is_active && r.has_digest && memcmp(r.digest, v.digest, 32) == 0);
	CHECK(ip_addr_equal(&r.address, &v.address));
	CHECK(strcmp(r.created_at, v.created_at) == 0);
	CHECK(!r.has_private_key); /* asked for by itself */
	CHECK(users_tree_private_key(tree, "user1", &key, NULL) == 0 &&
	      memcmp(key.b, v.private_key.b, 32) == 0);
	CHECK(users_tree_put_status(tree, "user1", false, NULL) == 0);
	CHECK(users_tree_read(tree, "user1", &r, NULL) == 0 && !r.is_active);
	CHECK(users_tree_remove(tree, "user1", NULL, NULL) == 0 && n_values("user1") == 0);
	CHECK(users_tree_remove(tree, "user1", NULL, NULL) == 0);
	CHECK(users_tree_read(tree, "user1", &r, NULL) == ERR_UNKNOWN);
}

/* Each call in turn, whether it was done or not, and whether the tree comes back at once or not. */
static void whichever_call_fails_a_user_is_there_whole_or_not_at_all(void)
{
	struct user_values v = some_user("user2", 9);
	int n_failed = 0;

	for (int variant = 0; variant < 4; variant++) {
		for (int at = 0;; at++) {
			struct params *p = failing(at, variant & 1, variant & 2);
			bool is_clean = false;
			int err = users_tree_write(p, &v, &is_clean, NULL);
			bool was_asked = faulty.calls > at;

			if (err == 0) {
				CHECK(n_values("user2") == 6);
			} else {
				n_failed++;
				CHECK(err == -EAGAIN);
				CHECK(!is_clean || n_values("user2") == 0);
				/* After one fault the tree can be cleaned. */
				CHECK(variant & 2 || is_clean || faulty.is_done ||
				      n_values("user2") == 0);
			}
			CHECK(users_tree_remove(tree, "user2", v.public_key, NULL) == 0);
			CHECK(n_values("user2") == 0);
			if (!was_asked)
				break;
		}
	}
	CHECK(n_failed >= 20);
}

static void whichever_call_of_a_removal_fails_the_next_one_ends_it(void)
{
	struct user_values v = some_user("user3", 11);
	bool is_clean;

	for (int variant = 0; variant < 4; variant++) {
		for (int at = 0; at < 7; at++) {
			int err;

			CHECK(users_tree_write(tree, &v, &is_clean, NULL) == 0);
			err = users_tree_remove(failing(at, variant & 1, variant & 2), "user3",
						v.public_key, NULL);
			CHECK(err == -EAGAIN);
			CHECK(users_tree_remove(tree, "user3", v.public_key, NULL) == 0);
			CHECK(n_values("user3") == 0);
		}
	}
}

static void somebody_elses_user_is_neither_overwritten_nor_removed(void)
{
	struct user_values theirs = some_user("user4", 13), ours = some_user("user4", 15), r;
	bool is_clean = false;

	CHECK(users_tree_write(tree, &theirs, &is_clean, NULL) == 0);
	CHECK(users_tree_write(tree, &ours, &is_clean, NULL) == ERR_EXISTS && is_clean);
	CHECK(users_tree_remove(tree, "user4", ours.public_key, NULL) == 0);
	CHECK(n_values("user4") == 6);
	CHECK(users_tree_read(tree, "user4", &r, NULL) == 0 &&
	      memcmp(r.public_key, theirs.public_key, 32) == 0);
	CHECK(users_tree_remove(tree, "user4", theirs.public_key, NULL) == 0);
}

static void what_others_wrote_is_read_with_care(void)
{
	struct user_values r;

	set("users/odd/wg-public-key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
	CHECK(users_tree_read(tree, "odd", &r, NULL) == ERR_UNKNOWN); /* no status */
	set("users/odd/status", "active\n");
	CHECK(users_tree_read(tree, "odd", &r, NULL) == 0 && r.is_active && !r.has_digest);
	CHECK(r.public_key[1] == 1 && r.address.family == ADDR_NONE && r.created_at[0] == '\0');
	set("users/odd/status", "Active");
	set("users/odd/api-key", "short");
	set("users/odd/address", "10.0.0.9/24");
	set("users/odd/created-at", "today \"or\" so");
	CHECK(users_tree_read(tree, "odd", &r, NULL) == 0 && !r.is_active && !r.has_digest);
	CHECK(r.address.family == ADDR_V4 && r.address.b[3] == 9 && r.created_at[0] == '\0');
	set("users/odd/address", "fd00::1");
	/* printf %s abcdefghijklmnop | sha256sum */
	set("users/odd/api-key", "abcdefghijklmnop");
	CHECK(users_tree_read(tree, "odd", &r, NULL) == 0 && r.has_digest);
	CHECK(r.digest[0] == 0xf3 && r.digest[1] == 0x9d && r.digest[31] == 0xcf);
	CHECK(r.address.family == ADDR_NONE);
	set("users/odd/api-key", "sha256:00");
	CHECK(users_tree_read(tree, "odd", &r, NULL) == 0 && !r.has_digest);
	set("users/odd/wg-public-key", "no key");
	CHECK(users_tree_read(tree, "odd", &r, NULL) == ERR_FORMAT);
	CHECK(users_tree_remove(tree, "odd", NULL, NULL) == 0);
}

static uint64_t stamp_of(const char *id)
{
	struct users_list l;
	const struct users_listed *one;
	uint64_t stamp;

	CHECK(users_tree_list(tree, &l, NULL) == 0);
	one = users_list_find(&l, id);
	stamp = one ? one->stamp : 0;
	users_list_done(&l);
	return stamp;
}

static void a_list_has_everybody_once_and_a_stamp_that_tells_changes(void)
{
	struct user_values a = some_user("a", 1), b = some_user("b", 3);
	struct users_list l;
	uint64_t before;
	bool is_clean;

	CHECK(users_tree_write(tree, &b, &is_clean, NULL) == 0);
	CHECK(users_tree_write(tree, &a, &is_clean, NULL) == 0);
	set("users/half/wg-public-key", "x");
	set("users/deep/er/status", "active");
	set("users/alone", "active");
	CHECK(users_tree_list(tree, &l, NULL) == 0 && l.n == 3);
	CHECK(strcmp(l.all[0].id, "a") == 0 && l.all[0].is_whole && l.all[0].stamp != 0);
	CHECK(strcmp(l.all[1].id, "b") == 0 && l.all[1].is_whole);
	CHECK(strcmp(l.all[2].id, "half") == 0 && !l.all[2].is_whole);
	CHECK(!users_list_find(&l, "deep") && !users_list_find(&l, "alone"));
	users_list_done(&l);
	before = stamp_of("a");
	CHECK(before == stamp_of("a"));
	CHECK(users_tree_put_status(tree, "a", true, NULL) ==
	      0); /* the same value, written anew */
	CHECK(stamp_of("a") != before);
	before = stamp_of("b");
	CHECK(params_remove(tree, "users/b/api-key", NULL) == 0 && stamp_of("b") != before);
}

static void the_master_key_is_made_once_and_read_under_both_names(void)
{
	struct users_master one, two;
	struct text key = { 0 };

	CHECK(users_tree_master(tree, false, &one, NULL) == 0 && one.is_known && !one.is_there);
	CHECK(users_tree_master(tree, true, &one, NULL) == 0 && one.is_there && one.is_made);
	CHECK(params_get(tree, "master-api-key", &key, NULL) == 0 && key.len == 64);
	CHECK(users_tree_master(tree, true, &two, NULL) == 0 && two.is_there && !two.is_made);
	CHECK(memcmp(one.digest, two.digest, sizeof(one.digest)) == 0);
	set("api-key", key.data);
	CHECK(params_remove(tree, "master-api-key", NULL) == 0);
	CHECK(users_tree_master(tree, true, &two, NULL) == 0 && two.is_there && !two.is_made);
	CHECK(memcmp(one.digest, two.digest, sizeof(one.digest)) == 0);
	set("master-api-key", "too short");
	CHECK(users_tree_master(tree, true, &two, NULL) == ERR_RANGE && !two.is_there);
	text_done(&key);
}

static void times_are_written_in_utc_with_microseconds(void)
{
	char text[USERS_TIME_MAX + 1];

	/* date -u -d @1768386600 */
	users_tree_time(UINT64_C(1768386600123456789), text);
	CHECK(strcmp(text, "2026-01-14T10:30:00.123456") == 0);
}

static int erase(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

int main(void)
{
	struct diag d = { .text = "" };

	CHECK(mkdtemp(top) != NULL);
	snprintf(root, sizeof(root), "%s/params", top);
	CHECK(params_open_dir(root, &tree, &d) == 0);
	RUN(a_user_is_read_as_it_was_written);
	RUN(whichever_call_fails_a_user_is_there_whole_or_not_at_all);
	RUN(whichever_call_of_a_removal_fails_the_next_one_ends_it);
	RUN(somebody_elses_user_is_neither_overwritten_nor_removed);
	RUN(what_others_wrote_is_read_with_care);
	RUN(a_list_has_everybody_once_and_a_stamp_that_tells_changes);
	RUN(the_master_key_is_made_once_and_read_under_both_names);
	RUN(times_are_written_in_utc_with_microseconds);
	params_free(tree);
	nftw(top, erase, 8, FTW_DEPTH | FTW_PHYS);
	return DONE();
}
