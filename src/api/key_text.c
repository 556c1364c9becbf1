/* SPDX-License-Identifier: Apache-2.0 */
#include "api/key_text.h"

#include <string.h>

#include "base/err.h"
#include "store/store.h"

enum {
	KEY_CHARACTERS = 43, /* of base64 without padding */
	PATH_PART_MAX = 3 * (KEY_BASE64_LEN + 4),
};

int key_text_read(const char *text, size_t len, uint8_t ret[32])
{
	uint8_t key[32];

	if (len != KEY_CHARACTERS && len != KEY_BASE64_LEN)
		return ERR_FORMAT;
	if (base64_decode(text, len, key, sizeof(key)) != (long)sizeof(key))
		return ERR_FORMAT;
	memcpy(ret, key, sizeof(key));
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

long key_text_unescape(const char *part, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = part[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(part[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(part[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_FORMAT;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return ERR_FORMAT;
		if (n + 1 >= size)
			return ERR_LIMIT;
		out[n++] = c;
	}
	out[n] = '\0';
	return (long)n;
}

/* "…%3D" once more, then every "=": what is left must be the 43 characters. */
static size_t strip_padding(char *text, size_t len)
{
	if (len >= 3 &&
	    (memcmp(text + len - 3, "%3D", 3) == 0 || memcmp(text + len - 3, "%3d", 3) == 0))
		len -= 3;
	else if (len >= 1 && text[len - 1] == '=')
		len--;
	return len;
}

int key_text_from_path(const char *part, size_t len, uint8_t ret[32])
{
	char text[PATH_PART_MAX + 1] = "/"; /* the slash that may have been lost */
	long n;

	if (len > PATH_PART_MAX)
		return ERR_FORMAT;
	n = key_text_unescape(part, len, text + 1, sizeof(text) - 1);
	if (n < 0)
		return ERR_FORMAT;
	for (char *c = text; *c; c++) {
		if (*c == '_')
			*c = '/';
		else if (*c == '-')
			*c = '+';
	}

	size_t stripped = strip_padding(text + 1, (size_t)n);

	if (stripped == KEY_CHARACTERS - 1)
		return key_text_read(text, KEY_CHARACTERS, ret);
	if (stripped != KEY_CHARACTERS)
		return ERR_FORMAT;
	return key_text_read(text + 1, KEY_CHARACTERS, ret);
}

/* Characters that reorder or hide text around them, as UTF-8. */
static bool has_trick(const char *name)
{
	/* NOLINTBEGIN(misc-misleading-bidirectional): named to be refused */
	static const char *const tricks[] = {
		"\xe2\x80\x8e", "\xe2\x80\x8f", /* LRM, RLM */
		"\xe2\x80\xa8", "\xe2\x80\xa9", /* line ends */
		"\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae",
		"\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9", "\xef\xbb\xbf",
	};
	/* NOLINTEND(misc-misleading-bidirectional) */

	for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++)
		if (strstr(name, tricks[i]))
			return true;
	return false;
}

static bool has_control(const char *name)
{
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c < ' ' || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
			return true;
	return false;
}

bool key_text_is_name(const char *name, const char **ret_why)
{
	size_t len = strlen(name);
	uint8_t key[32];
	const char *why = NULL;

	if (len == 0 || len > STORE_NAME_MAX)
		why = "A name has 1 to 64 octets";
	else if (name[0] == ' ' || name[len - 1] == ' ')
		why = "A name does not begin or end with a blank";
	else if (strchr(name, '/'))
		why = "A name has no slash";
	else if (has_control(name) || has_trick(name))
		why = "A name has no control characters";
	else if (key_text_from_path(name, len, key) == 0)
		why = "A name does not look like a key";
	*ret_why = why;
	return !why;
}
