/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_write.h"

#include <string.h>

#include "base/utf8.h"

void json_put_string(struct text *out, const char *s, size_t len)
{
	text_puts(out, "\"");
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = utf8_len(s + i, len - i);

		if (n == 0)
			text_puts(out, "\\ufffd");
		else if (c == '"' || c == '\\')
			text_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			text_printf(out, "\\u%04x", c);
		else
			text_add(out, s + i, n);
		i += n ? n : 1;
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
	json_put_string(out, name, strlen(name));
	text_puts(out, ":");
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
