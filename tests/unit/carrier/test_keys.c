/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "carrier/keys.h"

/* printf %s KEY | sha256sum, of "one" and "two" */
#define ONE "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

static const char *whose(const struct carrier_keys *k, const char *key)
{
	uint8_t digest[HELLO_KEY_LEN];
	const struct carrier_key *found;

	hello_digest(key, strlen(key), digest);
	found = carrier_keys_find(k, digest);
	return found ? found->id : "nobody";
}

static void finds_keys_by_digest_and_by_tag(void)
{
	static const char text[] = "# who may\n\nanna " ONE "\n\tbea\tsha256:" TWO "\r\n";
	struct carrier_keys *k = NULL;
	uint8_t digest[HELLO_KEY_LEN], tag[HELLO_TAG_LEN];
	struct diag d;

	CHECK(carrier_keys_read(text, strlen(text), &k, &d) == 0);
	CHECK(carrier_keys_count(k) == 2);
	CHECK(strcmp(whose(k, "one"), "anna") == 0);
	CHECK(strcmp(whose(k, "two"), "bea") == 0);
	CHECK(strcmp(whose(k, "three"), "nobody") == 0);
	CHECK(strcmp(whose(k, ""), "nobody") == 0);
	hello_digest("two", 3, digest);
	hello_tag(digest, tag);
	CHECK(strcmp(carrier_keys_find_tag(k, tag)->id, "bea") == 0);
	tag[0] ^= 1;
	CHECK(!carrier_keys_find_tag(k, tag));
	carrier_keys_free(k);
}

static void refuses_a_text_with_one_wrong_line(void)
{
	static const char *const wrong[] = {
		"anna", "anna ",      "anna 12",	"anna " ONE "0",
		ONE,	"an/na " ONE, "anna sha1:" ONE, "anna " ONE " x",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct carrier_keys *k = NULL;
		struct diag d = { .text = "" };
		char text[512];

		snprintf(text, sizeof(text), "bea " TWO "\n%s\n", wrong[i]);
		CHECK(carrier_keys_read(text, strlen(text), &k, &d) == ERR_FORMAT);
		CHECK(d.line == 2 && d.text[0] && !k);
		CHECK(!strstr(d.text, ONE)); /* a digest is not for the log */
	}
}

static void takes_many(void)
{
	enum { MANY = 20000 };
	char *text = malloc(MANY * 80);
	struct carrier_keys *k = NULL;
	size_t len = 0;
	struct diag d;

	for (int i = 0; i < MANY; i++)
		len += (size_t)snprintf(text + len, 80, "u%d %064x\n", i, i);
	CHECK(carrier_keys_read(text, len, &k, &d) == 0);
	CHECK(carrier_keys_count(k) == MANY);
	for (int i = 0; i < MANY; i += 777) {
		uint8_t digest[HELLO_KEY_LEN] = { 0 };
		char id[16];

		digest[30] = (uint8_t)(i >> 8);
		digest[31] = (uint8_t)i;
		snprintf(id, sizeof(id), "u%d", i);
		CHECK(strcmp(carrier_keys_find(k, digest)->id, id) == 0);
	}
	carrier_keys_free(k);
	free(text);
}

int main(void)
{
	RUN(finds_keys_by_digest_and_by_tag);
	RUN(refuses_a_text_with_one_wrong_line);
	RUN(takes_many);
	return DONE();
}
