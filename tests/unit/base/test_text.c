/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "base/text.h"

static void grows_to_hold_what_is_appended(void)
{
	struct text t = { 0 };
	char model[20000];
	size_t len = 0;

	for (unsigned int i = 0; len + 40 < sizeof(model); i++) {
		text_put_u64(&t, i);
		text_puts(&t, ",");
		text_printf(&t, "%03u;", i);
		text_put_hex(&t, &(uint8_t){ (uint8_t)i }, 1);
		text_add(&t, "\n", 1);
		len += (size_t)snprintf(model + len, sizeof(model) - len, "%u,%03u;%02x\n", i,
					i, i & 255);
		CHECK(t.len == len && t.data[len] == '\0');
	}
	CHECK(t.err == 0 && strcmp(t.data, model) == 0);
	text_done(&t);
	CHECK(t.data == NULL && t.len == 0 && t.capacity == 0);
}

static void writes_numbers_at_both_ends(void)
{
	struct text t = { 0 };

	text_put_u64(&t, 0);
	text_puts(&t, " ");
	text_put_u64(&t, UINT64_MAX);
	CHECK(strcmp(t.data, "0 18446744073709551615") == 0);
	text_done(&t);
}

static void keeps_octets_that_are_not_text(void)
{
	struct text t = { 0 };

	text_add(&t, "a\0b", 3);
	text_add(&t, NULL, 0);
	CHECK(t.len == 3 && memcmp(t.data, "a\0b", 4) == 0);
	text_done(&t);
}

static void remembers_the_first_failure_and_then_does_nothing(void)
{
	struct text t = { .max = 8 };

	text_puts(&t, "12345678");
	CHECK(t.err == 0 && t.len == 8);
	text_puts(&t, "");
	CHECK(t.err == 0);
	text_puts(&t, "9");
	CHECK(t.err == ERR_LIMIT && strcmp(t.data, "12345678") == 0);
	t.max = 16; /* now it would fit, but there would be a hole in the text */
	text_printf(&t, "%d", 9);
	text_put_u64(&t, 9);
	t.max = 8;
	text_put_hex(&t, "9", 1);
	CHECK(t.err == ERR_LIMIT && t.len == 8);
	text_clear(&t);
	CHECK(t.err == 0 && t.len == 0 && t.data[0] == '\0');
	text_printf(&t, "%s", "123456789");
	CHECK(t.err == ERR_LIMIT && t.len == 0);
	text_done(&t);
	CHECK(t.max == 8 && t.err == 0); /* the bound stays: the text can be used again */
}

static void fills_up_to_the_bound_in_one_piece(void)
{
	struct text t = { .max = 4 };

	text_put_hex(&t, "\x01\xff", 2);
	CHECK(t.err == 0 && strcmp(t.data, "01ff") == 0);
	text_done(&t);
	text_put_hex(&t, "\x01\xff\x02", 3);
	CHECK(t.err == ERR_LIMIT);
	text_done(&t);
}

int main(void)
{
	RUN(grows_to_hold_what_is_appended);
	RUN(writes_numbers_at_both_ends);
	RUN(keeps_octets_that_are_not_text);
	RUN(remembers_the_first_failure_and_then_does_nothing);
	RUN(fills_up_to_the_bound_in_one_piece);
	return DONE();
}
