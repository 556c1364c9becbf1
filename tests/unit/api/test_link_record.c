/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "api/link_record.h"
#include "base/err.h"

static const char file[] = "[Interface]\nPrivateKey = secret\n";

static struct suite *new_suite(void)
{
	struct suite *s;

	if (suite_new(SUITE_BEST, &s) != 0)
		abort();
	return s;
}

static void a_file_comes_back_with_its_token_and_with_no_other(void)
{
	uint8_t token[LINK_TOKEN_LEN] = { 7 }, other[LINK_TOKEN_LEN] = { 8 };
	struct link_record l = { .peer_id = 3, .public_key = { 1, 2 } };
	struct text out = { .data = NULL };
	struct suite *s = new_suite();

	CHECK(link_close(s, token, file, strlen(file), &l) == 0);
	CHECK(!memmem(l.sealed, l.sealed_len, "PrivateKey", 10));
	CHECK(link_open(s, token, &l, &out) == 0 && strcmp(out.data, file) == 0);
	text_clear(&out);
	CHECK(link_open(s, other, &l, &out) == ERR_AUTH && out.len == 0);
	l.public_key[5] ^= 1; /* moved to another peer */
	CHECK(link_open(s, token, &l, &out) == ERR_AUTH && out.len == 0);
	l.public_key[5] ^= 1;
	for (size_t i = 0; i < l.sealed_len; i++) {
		l.sealed[i] ^= 0x80;
		CHECK(link_open(s, token, &l, &out) == ERR_AUTH && out.len == 0);
		l.sealed[i] ^= 0x80;
	}
	l.sealed_len = 5;
	CHECK(link_open(s, token, &l, &out) == ERR_AUTH);
	link_record_done(&l);
	text_done(&out);
	suite_free(s);
}

static void the_name_of_a_record_tells_nothing_of_what_encrypts(void)
{
	uint8_t token[LINK_TOKEN_LEN] = { 7 }, other[LINK_TOKEN_LEN] = { 7, 1 };
	char name[STORE_NAME_MAX + 1], again[STORE_NAME_MAX + 1], text[LINK_TOKEN_TEXT_MAX];
	struct link_record a = { .uses = 1 }, b = { .uses = 1 };
	struct suite *s = new_suite();

	link_name(s, token, name);
	link_name(s, token, again);
	CHECK(strlen(name) == 64 && strcmp(name, again) == 0);
	link_name(s, other, again);
	CHECK(strcmp(name, again) != 0);
	link_token_format(token, text);
	CHECK(strstr(name, text) == NULL);
	/* The same file twice under one token is not the same. */
	CHECK(link_close(s, token, file, strlen(file), &a) == 0);
	CHECK(link_close(s, token, file, strlen(file), &b) == 0);
	CHECK(memcmp(a.sealed, b.sealed, a.sealed_len) != 0);
	link_record_done(&a);
	link_record_done(&b);
	suite_free(s);
}

static void a_record_is_read_as_it_was_written(void)
{
	uint8_t token[LINK_TOKEN_LEN] = { 9 };
	struct link_record l = { .peer_id = 42,
				 .public_key = { 1, 2, 3 },
				 .until_ns = UINT64_C(4102444799000000000),
				 .uses = 100 },
			   read = { .uses = 0 };
	struct text body = { .data = NULL };
	struct suite *s = new_suite();

	CHECK(link_close(s, token, file, strlen(file), &l) == 0);
	link_record_write(&l, &body);
	CHECK(body.err == 0 && link_record_read(body.data, &read) == 0);
	CHECK(read.peer_id == 42 && read.uses == 100 && read.until_ns == l.until_ns);
	CHECK(memcmp(read.public_key, l.public_key, 32) == 0);
	CHECK(read.sealed_len == l.sealed_len &&
	      memcmp(read.sealed, l.sealed, l.sealed_len) == 0);
	link_record_done(&read);
	memset(&read, 0, sizeof(read));
	CHECK(link_record_peek(body.data, &read) == 0 && !read.sealed);
	CHECK(read.peer_id == 42 && read.uses == 100 && read.until_ns == l.until_ns);
	CHECK(memcmp(read.public_key, l.public_key, 32) == 0);
	CHECK(link_record_read("{}", &read) == ERR_CORRUPT);
	CHECK(link_record_read("x", &read) == ERR_CORRUPT && read.sealed == NULL);
	link_record_done(&l);
	text_done(&body);
	suite_free(s);
}

static void a_glance_at_a_record_takes_any_order_and_nothing_that_is_cut_off(void)
{
	static const char other[] =
		"{\"uses\": 2, \"public_key\": \"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\","
		" \"sealed\": \"AAAA\", \"until_ns\": 77, \"peer\": 9}";
	static const char own[] =
		"{\"peer\":9,\"public_key\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\","
		"\"until_ns\":77,\"uses\":2,\"sealed\":\"AAAA\"}";
	struct link_record read = { .uses = 0 };

	CHECK(link_record_peek(other, &read) == 0 && !read.sealed);
	CHECK(read.peer_id == 9 && read.uses == 2 && read.until_ns == 77);
	CHECK(read.public_key[0] == 1 && read.public_key[31] == 32);
	CHECK(link_record_peek(own, &read) == 0 && read.peer_id == 9 && read.uses == 2);
	for (size_t i = 0; i < sizeof(own) - 20; i++) {
		char *cut = strndup(own, i);

		CHECK(link_record_peek(cut, &read) == ERR_CORRUPT);
		free(cut);
	}
}

static void a_token_has_43_characters_of_its_alphabet(void)
{
	uint8_t token[LINK_TOKEN_LEN], read[LINK_TOKEN_LEN];
	char text[LINK_TOKEN_TEXT_MAX];

	memset(token, 0xfb, sizeof(token));
	link_token_format(token, text);
	CHECK(strlen(text) == LINK_TOKEN_TEXT_LEN);
	CHECK(link_token_read(text, strlen(text), read) == 0 && memcmp(read, token, 32) == 0);
	CHECK(link_token_read(text, strlen(text) - 1, read) == ERR_FORMAT);
	text[0] = '/';
	CHECK(link_token_read(text, strlen(text), read) == ERR_FORMAT);
	text[0] = '%';
	CHECK(link_token_read(text, strlen(text), read) == ERR_FORMAT);
}

int main(void)
{
	RUN(a_file_comes_back_with_its_token_and_with_no_other);
	RUN(the_name_of_a_record_tells_nothing_of_what_encrypts);
	RUN(a_record_is_read_as_it_was_written);
	RUN(a_glance_at_a_record_takes_any_order_and_nothing_that_is_cut_off);
	RUN(a_token_has_43_characters_of_its_alphabet);
	return DONE();
}
