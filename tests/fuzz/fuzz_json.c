/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from strangers: what is parsed is written, read again and equal; readers stay in range. */
#include <string.h>

#include "fuzz.h"
#include "http/json.h"

static void check_errors(struct json_reader *r)
{
	struct text out = { .max = 1 << 20 };

	HOLDS(json_write(r->errors, &out) == 0);
	HOLDS(json_reader_is_well(r) == (strcmp(out.data, "[]") == 0));
	/* 7 members, each refused at most once, none with a large input in it */
	HOLDS(out.len < 7 * 1024);
	text_done(&out);
}

static void read_members(const json_t *object)
{
	static const char *const words[] = { "ipv4", "ipv6", "dual" };
	const char *text = "", *required = "";
	const json_t *list = NULL, *inner = NULL;
	int64_t number = 7;
	size_t word = 1;
	bool flag = true;
	struct json_reader r;

	HOLDS(json_reader_init(&r, object) == 0);
	json_take_text(&r, "public_key", true, 44, &required);
	json_take_text(&r, "name", false, 8, &text);
	json_take_number(&r, "port", 0, 65535, &number);
	json_take_word(&r, "protocol", words, 3, &word);
	json_take_bool(&r, "enabled", false, &flag);
	json_take_list(&r, "tunnel_traffic", &list);
	json_take_object(&r, "obfuscation", &inner);
	HOLDS(strlen(required) <= 44 && strlen(text) <= 8);
	HOLDS(number >= 0 && number <= 65535 && word < 3);
	HOLDS((!list || json_is_array(list)) && (!inner || json_is_object(inner)));
	check_errors(&r);
	json_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *first = NULL, *second = NULL;
	struct text out = { .data = NULL };
	struct diag d = { .text = "" };
	int err = json_parse((const char *)data, size, &first, &d);

	HOLDS(err == 0 || ((err == ERR_FORMAT || err == ERR_LIMIT) && d.text[0] && !first));
	if (err != 0)
		return 0;
	if (json_is_object(first))
		read_members(first);
	HOLDS(json_write(first, &out) == 0);
	HOLDS(json_parse(out.data, out.len, &second, &d) == 0);
	HOLDS(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	text_done(&out);
	return 0;
}
