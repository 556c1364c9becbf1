/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/user_table.h"

static struct user named(unsigned int n)
{
	struct user user = { .state = USER_MADE, .has_digest = true };

	snprintf(user.id, sizeof(user.id), "user%u", n);
	memset(user.digest, (int)(n & 0xff), sizeof(user.digest));
	user.digest[1] = (uint8_t)(n >> 8);
	return user;
}

static void users_are_found_by_id_and_by_digest_until_they_are_removed(void)
{
	struct user_table *t = NULL;
	struct user *at[1000];

	CHECK(user_table_new(&t) == 0);
	for (unsigned int n = 0; n < 1000; n++) {
		struct user init = named(n);

		CHECK(user_table_add(t, &init, &at[n]) == 0);
		CHECK(user_table_add(t, &init, &at[n]) == ERR_EXISTS);
	}
	for (unsigned int n = 0; n < 1000; n += 3)
		user_table_remove(t, at[n]);
	for (unsigned int n = 0; n < 1000; n++) {
		struct user wanted = named(n);
		const struct user *expected = n % 3 == 0 ? NULL : at[n];

		CHECK(user_table_find(t, wanted.id) == expected);
		CHECK(user_table_find_digest(t, wanted.digest) == expected);
	}
	CHECK(user_table_count(t) == 666);
	CHECK(user_table_first(t) == at[1] && at[1]->next == at[2] && at[2]->next == at[4]);
	user_table_free(t);
}

static void another_digest_takes_the_place_of_the_former(void)
{
	struct user_table *t = NULL;
	struct user init = named(1), other = named(2), *user;

	CHECK(user_table_new(&t) == 0 && user_table_add(t, &init, &user) == 0);
	user_table_set_digest(t, user, true, other.digest);
	CHECK(!user_table_find_digest(t, init.digest));
	CHECK(user_table_find_digest(t, other.digest) == user);
	user_table_set_digest(t, user, false, other.digest);
	CHECK(!user_table_find_digest(t, other.digest));
	user_table_remove(t, user);
	user_table_free(t);
}

static void a_record_is_read_as_it_was_written(void)
{
	struct user a = named(7), b = { .state = USER_MAKING };
	struct text body = { .data = NULL };

	a.state = USER_REMOVING;
	a.is_active = true;
	a.stamp = UINT64_C(0xfedcba9876543210);
	memset(a.public_key, 0x5a, sizeof(a.public_key));
	snprintf(a.created_at, sizeof(a.created_at), "2026-01-14T10:30:00.123456");
	user_record_write(&a, &body);
	CHECK(body.err == 0 && user_record_read(body.data, &b) == 0);
	CHECK(b.state == a.state && b.is_active && b.stamp == a.stamp && b.has_digest);
	CHECK(memcmp(b.digest, a.digest, sizeof(a.digest)) == 0);
	CHECK(memcmp(b.public_key, a.public_key, sizeof(a.public_key)) == 0);
	CHECK(strcmp(b.created_at, a.created_at) == 0);
	text_clear(&body);
	a.has_digest = false;
	user_record_write(&a, &body);
	CHECK(user_record_read(body.data, &b) == 0 && !b.has_digest);
	text_done(&body);
}

static void a_record_that_is_none_is_refused(void)
{
	static const char *const wrong[] = {
		"",
		"{}",
		"[]",
		"{\"state\":\"made\"}",
		"{\"state\":\"x\",\"public_key\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\","
		"\"digest\":\"\",\"created_at\":\"\",\"active\":true,\"stamp\":\"0000000000000000\"}",
		"{\"state\":\"made\",\"public_key\":\"AAEC\",\"digest\":\"\",\"created_at\":\"\","
		"\"active\":true,\"stamp\":\"0000000000000000\"}",
	};
	struct user user = { .state = USER_MAKING };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK(user_record_read(wrong[i], &user) == ERR_CORRUPT);
}

int main(void)
{
	RUN(users_are_found_by_id_and_by_digest_until_they_are_removed);
	RUN(another_digest_takes_the_place_of_the_former);
	RUN(a_record_is_read_as_it_was_written);
	RUN(a_record_that_is_none_is_refused);
	return DONE();
}
