/* SPDX-License-Identifier: Apache-2.0 */
/* Hex, base64 and decimals, judged by libsodium and by a model: same answer on every input. */
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "base/codec.h"
#include "base/err.h"
#include "fuzz.h"

enum { OUT_MAX = 4096 };

static void check_base64(const char *text, size_t size)
{
	static uint8_t ours[OUT_MAX], theirs[OUT_MAX];
	bool padded = size && text[size - 1] == '=';
	int variant = padded ? sodium_base64_VARIANT_ORIGINAL
			     : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
	char again[OUT_MAX * 2];
	size_t len = 0;
	long n = base64_decode(text, size, ours, sizeof(ours));
	int bad = sodium_base642bin(theirs, sizeof(theirs), text, size, NULL, &len, NULL,
				    variant);

	if (n == ERR_LIMIT)
		return;
	for (size_t i = 0; i < size; i++) /* libsodium 1.0.18 takes octets above 127 */
		bad = text[i] & 0x80 ? -1 : bad;
	HOLDS((n >= 0) == (bad == 0));
	if (n < 0)
		return;
	HOLDS((size_t)n == len && memcmp(ours, theirs, len) == 0);
	HOLDS(base64_encode(ours, len, again) >= size);
	HOLDS(memcmp(again, text, size) == 0);
}

static void check_hex(const char *text, size_t size)
{
	static uint8_t ours[OUT_MAX], theirs[OUT_MAX];
	char again[2 * OUT_MAX + 1];
	size_t len = 0;
	long n = hex_decode(text, size, ours, sizeof(ours));
	int bad = sodium_hex2bin(theirs, sizeof(theirs), text, size, NULL, &len, NULL);

	if (n == ERR_LIMIT)
		return;
	HOLDS((n >= 0) == (bad == 0 && 2 * len == size));
	if (n < 0)
		return;
	HOLDS((size_t)n == len && memcmp(ours, theirs, len) == 0);
	hex_encode(ours, len, again);
	for (size_t i = 0; i < size; i++)
		HOLDS(again[i] == (text[i] >= 'A' && text[i] <= 'F' ? text[i] | 32 : text[i]));
}

static void check_keys(const char *text, size_t size)
{
	uint8_t a[32], b[33];
	char again[KEY_HEX_LEN + 1];

	if (key_from_base64(text, size, a) == 0) {
		HOLDS(base64_decode(text, size, b, sizeof(b)) == 32 && memcmp(a, b, 32) == 0);
		key_to_base64(a, again);
		HOLDS(size == KEY_BASE64_LEN && memcmp(again, text, size) == 0);
	} else {
		HOLDS(size != KEY_BASE64_LEN || base64_decode(text, size, b, sizeof(b)) != 32);
	}
	if (key_from_hex(text, size, a) == 0)
		HOLDS(hex_decode(text, size, b, sizeof(b)) == 32 && memcmp(a, b, 32) == 0);
	else
		HOLDS(size != KEY_HEX_LEN || hex_decode(text, size, b, sizeof(b)) < 0);
}

/* As text: without the zeros in front, longer is larger, and of equal length the later one. */
static int judge_decimal(const char *text, size_t size, uint64_t *ret)
{
	static const char largest[] = "18446744073709551615";
	char digits[sizeof(largest)] = "0";

	if (size == 0)
		return ERR_FORMAT;
	for (size_t i = 0; i < size; i++) {
		if (!strchr("0123456789", text[i]) || text[i] == '\0')
			return ERR_FORMAT;
	}
	while (size > 1 && *text == '0') {
		text++;
		size--;
	}
	if (size >= sizeof(largest))
		return ERR_RANGE;
	memcpy(digits, text, size);
	digits[size] = '\0';
	if (size == strlen(largest) && strcmp(digits, largest) > 0)
		return ERR_RANGE;
	*ret = strtoull(digits, NULL, 10);
	return 0;
}

static void check_decimal(const char *text, size_t size)
{
	uint64_t value = 7, wanted = 7;
	int err = decimal_parse(text, size, UINT64_MAX, &value);

	HOLDS(err == judge_decimal(text, size, &wanted));
	HOLDS(value == wanted);
	if (!err && value)
		HOLDS(decimal_parse(text, size, value - 1, &value) == ERR_RANGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_base64((const char *)data, size);
	check_hex((const char *)data, size);
	check_keys((const char *)data, size);
	check_decimal((const char *)data, size);
	return 0;
}
