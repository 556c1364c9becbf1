/* SPDX-License-Identifier: Apache-2.0 */
/* Files by hand; the digest is that of FIPS 180-2's first example, "abc". */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "proxy/keys_file.h"

#define ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static long check(const char *text, unsigned int *ret_line)
{
	size_t len = strlen(text);
	char *copy = malloc(len + (len == 0));
	struct diag d = { .line = 0 };
	long n;

	memcpy(copy, text, len);
	n = keys_file_check(copy, len, &d);
	free(copy);
	*ret_line = d.line;
	return n;
}

static void reads_keys_comments_and_empty_lines(void)
{
	unsigned int line;

	CHECK(check("", &line) == 0);
	CHECK(check("\n\n# a b c\n  # d\n \t\n", &line) == 0);
	CHECK(check("alice " ABC, &line) == 1);
	CHECK(check("alice sha256:" ABC "\n\n  bob\t\t" EMPTY " \t\r\n#\n", &line) == 2);
}

static void says_which_line_is_wrong(void)
{
	static const char *const wrong[] = {
		"alice\n",
		"alice " ABC "00\n",
		"alice " ABC " more\n",
		"al/ice " ABC "\n",
		"alice sha256:\n",
		"alice md5:" ABC "\n",
		ABC "\n",
		"alice: " ABC "\n",
		"alice zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb4"
		"10ff61f20015ad\n"
	};
	unsigned int line;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[400] = "# first\nbob " EMPTY "\n";

		memcpy(text + strlen(text), wrong[i], strlen(wrong[i]) + 1);
		CHECK(check(text, &line) == ERR_FORMAT);
		CHECK(line == 3);
	}
}

static void makes_the_table_what_the_file_says(void)
{
	const char one[] = "alice " ABC "\nbob " EMPTY "\n", two[] = "alice " ABC "\n";
	struct proxy_keys *k = NULL;
	struct proxy_key *alice, *bob;

	CHECK(proxy_keys_new(&k) == 0);
	CHECK(keys_file_apply(one, strlen(one), k) == 0);
	alice = proxy_keys_find(k, "abc", 3);
	bob = proxy_keys_find(k, "", 0);
	CHECK(alice && strcmp(alice->id, "alice") == 0);
	CHECK(bob && strcmp(bob->id, "bob") == 0);
	CHECK(keys_file_apply(two, strlen(two), k) == 0);
	CHECK(alice && !atomic_load(&alice->is_gone));
	CHECK(bob && atomic_load(&bob->is_gone));
	CHECK(proxy_keys_find(k, "", 0) == NULL);
	proxy_key_release(alice);
	proxy_key_release(bob);
	proxy_keys_free(k);
}

int main(void)
{
	RUN(reads_keys_comments_and_empty_lines);
	RUN(says_which_line_is_wrong);
	RUN(makes_the_table_what_the_file_says);
	return DONE();
}
