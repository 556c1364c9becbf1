/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_write.h"

#include <string.h>

#include "base/utf8.h"

/* How many octets from @s on stand for themselves: all but quotes, backslashes and controls. */
static size_t plain_len(const char *s, size_t len)
{
	size_t i = 0, n;

	while (i < len && s[i] != '"' && s[i] != '\\' && (unsigned char)s[i] >= ' ' &&
	       s[i] != 0x7f) {
		n = utf8_len(s + i, len - i);
		if (n == 0)
			break;
		i += n;
	}
	return i;
}

void json_put_string(struct text *out, const char *s, size_t len)
{
	text_puts(out, "\"");
	for (size_t i = 0; i < len; i++) {
		size_t n = plain_len(s + i, len - i);

		/* A run at a time: a list of peers has tens of thousands of characters. */
		text_add(out, s + i, n);
		i += n;
		if (i == len)
			break;
		if (s[i] == '"' || s[i] == '\\')
			text_printf(out, "\\%c", s[i]);
		else if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			text_printf(out, "\\u%04x", (unsigned char)s[i]);
		else
			text_puts(out, "\\ufffd");
	}
	text_puts(out, "\"");
}

void json_put_next(struct text *out)
{
	if (out->len && out->data[out->len - 1] != '{' && out->data[out->len - 1] != '[')
		text_puts(out, ",");
}

void json_put_name(struct text *out, const char *name)
{
	json_put_next(out);
	text_puts(out, "\"");
	text_puts(out, name);
	text_puts(out, "\":");
}

void json_put_text(struct text *out, const char *name, const char *value)
{
	json_put_name(out, name);
	json_put_string(out, value, strlen(value));
}

void json_put_number(struct text *out, const char *name, uint64_t value)
{
	json_put_name(out, name);
	text_put_u64(out, value);
}

void json_put_bool(struct text *out, const char *name, bool value)
{
	json_put_name(out, name);
	text_puts(out, value ? "true" : "false");
}

void json_put_null(struct text *out, const char *name)
{
	json_put_name(out, name);
	text_puts(out, "null");
}
