/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/json.h"

#include <string.h>

/* Octets of the UTF-8 sequence at @s, 0 if there is none (RFC 3629, 4: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_len(const unsigned char *s, size_t len)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (n == 0 || n > len || s[0] > 0xf4)
		return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	}
	return n;
}

void json_put_string(struct text *out, const char *s, size_t len)
{
	text_puts(out, "\"");
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = utf8_len((const unsigned char *)s + i, len - i);

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
