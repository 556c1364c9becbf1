/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of RFC 4648 section 10, then every octet in every place against a plain table. */
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "base/codec.h"
#include "base/err.h"

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void passes_the_base64_vectors_of_rfc_4648(void)
{
	static const char *const rows[][2] = { { "", "" },
					       { "f", "Zg==" },
					       { "fo", "Zm8=" },
					       { "foo", "Zm9v" },
					       { "foob", "Zm9vYg==" },
					       { "fooba", "Zm9vYmE=" },
					       { "foobar", "Zm9vYmFy" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i][0]);
		size_t text_len = strlen(rows[i][1]);
		char text[16];
		uint8_t data[16];

		CHECK(base64_encode(rows[i][0], len, text) == text_len);
		CHECK(strcmp(text, rows[i][1]) == 0);
		CHECK(base64_decode(text, text_len, data, len) == (long)len);
		CHECK(memcmp(data, rows[i][0], len) == 0);
		while (text_len && text[text_len - 1] == '=')
			text_len--;
		CHECK(base64_decode(text, text_len, data, len) == (long)len);
		if (len)
			CHECK(base64_decode(text, text_len, data, len - 1) == ERR_LIMIT);
	}
}

static void passes_the_hex_vectors_of_rfc_4648(void)
{
	char text[16];
	uint8_t data[6];

	hex_encode("foobar", 6, text);
	CHECK(strcmp(text, "666f6f626172") == 0);
	CHECK(hex_decode("666F6f626172", 12, data, 6) == 6 && memcmp(data, "foobar", 6) == 0);
	CHECK(hex_decode("666f6f626172", 12, data, 5) == ERR_LIMIT);
	CHECK(hex_decode("666f6f62617", 11, data, 6) == ERR_FORMAT);
	CHECK(hex_decode("", 0, data, 0) == 0);
	CHECK(hex_decode("0x", 2, data, 6) == ERR_FORMAT);
}

static void refuses_base64_that_is_not_canonical(void)
{
	static const char *const rows[] = { "Z",      "Zg=",  "Zh==",  "Zm9=",	  "Zg===",
					    "====",   "=",    "Zm9v=", "Zm9v==",  "Zm 9v",
					    "Zm9v\n", "Zm-_", "Z=g=",  "Zg==Zg==" };
	uint8_t data[16];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(base64_decode(rows[i], strlen(rows[i]), data, sizeof(data)) ==
		      ERR_FORMAT);
}

/* The sign arithmetic has an edge at each end of each range, so try all 256 octets. */
static void knows_exactly_the_characters_of_each_alphabet(void)
{
	for (int c = 0; c < 256; c++) {
		const char *at = c ? strchr(base64_alphabet, c) : NULL;
		char quad[4] = { 'A', 'A', 'A', (char)c };
		char pair[2] = { '0', (char)c };
		uint8_t data[3];
		const char *hex = c ? strchr("00112233445566778899aAbBcCdDeEfF", c) : NULL;
		long want64 = at ? 3 : c == '=' ? 2 : ERR_FORMAT;
		long want16 = hex ? 1 : ERR_FORMAT;

		CHECK(base64_decode(quad, 4, data, 3) == want64);
		if (at)
			CHECK(data[2] == at - base64_alphabet);
		CHECK(hex_decode(pair, 2, data, 1) == want16);
		if (hex && c >= 'A')
			CHECK(data[0] == (c | 32) - 'a' + 10);
		else if (hex)
			CHECK(data[0] == c - '0');
	}
}

static void writes_every_character_of_each_alphabet(void)
{
	for (unsigned int v = 0; v < 256; v++) {
		uint8_t octet = (uint8_t)v, data[3] = { 0, 0, (uint8_t)(v & 63) };
		char text[8];

		base64_encode(data, 3, text);
		CHECK(text[3] == base64_alphabet[v & 63]);
		hex_encode(&octet, 1, text);
		CHECK(text[0] == "0123456789abcdef"[v >> 4] &&
		      text[1] == "0123456789abcdef"[v & 15]);
	}
}

/* The private key of Alice, RFC 7748 section 6.1, in the form `wg pubkey` reads. */
static void reads_and_writes_keys_in_both_forms(void)
{
	static const char hex[] =
		"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
	static const char upper[] =
		"77076D0A7318A57D3C16C17251B26645DF4C2F87EBC0992AB177FBA51DB92C2A";
	static const char base64[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
	uint8_t key[32], again[32];
	char out[KEY_HEX_LEN + 1];

	CHECK(key_from_hex(hex, KEY_HEX_LEN, key) == 0);
	CHECK(key_from_hex(upper, KEY_HEX_LEN, again) == 0 && memcmp(key, again, 32) == 0);
	key_to_hex(key, out);
	CHECK(strcmp(out, hex) == 0);
	key_to_base64(key, out);
	CHECK(strcmp(out, base64) == 0);
	CHECK(key_from_base64(out, KEY_BASE64_LEN, again) == 0 && memcmp(key, again, 32) == 0);
}

static void refuses_keys_with_one_wrong_character_and_keeps_the_output(void)
{
	char hex[KEY_HEX_LEN + 1], base64[KEY_BASE64_LEN + 1];
	uint8_t key[32] = { 1, 2, 3 }, out[32], before[32];

	memset(before, 0x5a, sizeof(before));
	memcpy(out, before, sizeof(out));
	key_to_hex(key, hex);
	key_to_base64(key, base64);
	for (size_t i = 0; i < KEY_HEX_LEN; i++) {
		char keep = hex[i];

		hex[i] = 'g';
		CHECK(key_from_hex(hex, KEY_HEX_LEN, out) == ERR_FORMAT);
		hex[i] = keep;
	}
	for (size_t i = 0; i < KEY_BASE64_LEN; i++) {
		char keep = base64[i];

		base64[i] = '-';
		CHECK(key_from_base64(base64, KEY_BASE64_LEN, out) == ERR_FORMAT);
		base64[i] = keep;
	}
	base64[42]++; /* the two bits that belong to no octet */
	CHECK(key_from_base64(base64, KEY_BASE64_LEN, out) == ERR_FORMAT);
	CHECK(key_from_hex(hex, KEY_HEX_LEN - 1, out) == ERR_FORMAT);
	CHECK(key_from_base64(base64, KEY_BASE64_LEN - 1, out) == ERR_FORMAT);
	CHECK(memcmp(out, before, sizeof(out)) == 0);
}

static void writes_base64_that_an_address_carries(void)
{
	static const uint8_t octets[] = { 0xfb, 0xff, 0xfe, 0x3e };
	char text[9];
	uint8_t out[4];

	CHECK(base64url_encode(octets, 4, text) == 6 && strcmp(text, "-__-Pg") == 0);
	CHECK(base64url_encode(octets, 3, text) == 4 && strcmp(text, "-__-") == 0);
	CHECK(base64url_encode(octets, 0, text) == 0 && strcmp(text, "") == 0);
	CHECK(base64url_decode("-__-Pg", 6, out, 4) == 4 && memcmp(out, octets, 4) == 0);
	CHECK(base64url_decode("-__-Pg==", 8, out, 4) == 4);
	CHECK(base64url_decode("+//+", 4, out, 4) == ERR_FORMAT);
	CHECK(base64_decode("-__-", 4, out, 4) == ERR_FORMAT);
	CHECK(base64url_decode("-__-Pg", 6, out, 3) == ERR_LIMIT);
}

static void reads_decimal_numbers_up_to_the_bound(void)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "1a", "0x1", "1.0", "1\n"
	};
	uint64_t v = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(decimal_parse(bad[i], strlen(bad[i]), UINT64_MAX, &v) == ERR_FORMAT);
	CHECK(decimal_parse("18446744073709551616", 20, UINT64_MAX, &v) == ERR_RANGE);
	CHECK(decimal_parse("99999999999999999999999", 23, UINT64_MAX, &v) == ERR_RANGE);
	CHECK(decimal_parse("9999999999999999999999x", 23, UINT64_MAX, &v) == ERR_FORMAT);
	CHECK(decimal_parse("65536", 5, 65535, &v) == ERR_RANGE);
	CHECK(v == 7);
	CHECK(decimal_parse("18446744073709551615", 20, UINT64_MAX, &v) == 0 &&
	      v == UINT64_MAX);
	CHECK(decimal_parse("65535", 5, 65535, &v) == 0 && v == 65535);
	CHECK(decimal_parse("0", 1, 0, &v) == 0 && v == 0);
	CHECK(decimal_parse("0010", 4, 10, &v) == 0 && v == 10);
	CHECK(decimal_parse("123", 2, 99, &v) == 0 && v == 12);
}

int main(void)
{
	RUN(passes_the_base64_vectors_of_rfc_4648);
	RUN(passes_the_hex_vectors_of_rfc_4648);
	RUN(refuses_base64_that_is_not_canonical);
	RUN(knows_exactly_the_characters_of_each_alphabet);
	RUN(writes_every_character_of_each_alphabet);
	RUN(reads_and_writes_keys_in_both_forms);
	RUN(refuses_keys_with_one_wrong_character_and_keeps_the_output);
	RUN(writes_base64_that_an_address_carries);
	RUN(reads_decimal_numbers_up_to_the_bound);
	return DONE();
}
