/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "../test.h"
#include "base/nearest.h"

static const char *nearest(const char *word)
{
	static const char *const names[] = { "device", "gateway", "keys", "conf", "qr" };
	struct nearest n = { 0 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		nearest_offer(&n, word, strlen(word), names[i]);
	return n.name ? n.name : "";
}

static void finds_the_name_behind_one_or_two_slips(void)
{
	CHECK(strcmp(nearest("devise"), "device") == 0);
	CHECK(strcmp(nearest("gatway"), "gateway") == 0);
	CHECK(strcmp(nearest("gaetway"), "gateway") == 0);
	CHECK(strcmp(nearest("keyss"), "keys") == 0);
	CHECK(strcmp(nearest("KEYS"), "keys") == 0);
	CHECK(strcmp(nearest("cnof"), "conf") == 0);
	CHECK(strcmp(nearest("qt"), "qr") == 0);
}

static void does_not_guess_when_little_is_left_of_the_name(void)
{
	CHECK(strcmp(nearest("xx"), "") == 0);
	CHECK(strcmp(nearest(""), "") == 0);
	CHECK(strcmp(nearest("gtwy"), "") == 0);
	CHECK(strcmp(nearest("kxxs"), "keys") == 0);
	CHECK(strcmp(nearest("kxxx"), "") == 0);
	CHECK(strcmp(nearest("devicedevicedevicedevicedevicedevicedevicedevice"), "") == 0);
}

static void keeps_the_first_of_two_equally_near_names(void)
{
	struct nearest n = { 0 };

	nearest_offer(&n, "s9", 2, "s1");
	nearest_offer(&n, "s9", 2, "s2");
	CHECK(strcmp(n.name, "s1") == 0);
	nearest_offer(&n, "s9", 2, "S9");
	CHECK(strcmp(n.name, "S9") == 0 && n.edits == 0);
}

int main(void)
{
	RUN(finds_the_name_behind_one_or_two_slips);
	RUN(does_not_guess_when_little_is_left_of_the_name);
	RUN(keeps_the_first_of_two_equally_near_names);
	return DONE();
}
