/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/keyvalue.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"

enum {
	SHOWN_MAX = 40, /* characters of a key or value that a reason repeats */
};

int keyvalue_split(const char *line, size_t len, struct keyvalue *ret, struct diag *d)
{
	const char *equals = memchr(line, '=', len);

	if (memchr(line, '\0', len))
		return diag_set(d, ERR_FORMAT, 0, "a NUL character in the line");
	if (!equals)
		return diag_set(d, ERR_FORMAT, 0, "a line without '=': expected key=value");
	ret->key = line;
	ret->key_len = (size_t)(equals - line);
	ret->value = equals + 1;
	ret->value_len = len - ret->key_len - 1;
	return 0;
}

bool keyvalue_is(const struct keyvalue *kv, const char *name)
{
	return strlen(name) == kv->key_len && memcmp(name, kv->key, kv->key_len) == 0;
}

static bool looks_like_a_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool lower = s[i] >= 'a' && s[i] <= 'z';
		bool digit = s[i] >= '0' && s[i] <= '9';

		if (!lower && !digit && s[i] != '_')
			return false;
	}
	return len > 0 && len <= SHOWN_MAX;
}

int keyvalue_refuse(const struct keyvalue *kv, const char *expected, struct diag *d)
{
	if (!looks_like_a_name(kv->key, kv->key_len))
		return diag_set(d, ERR_FORMAT, 0, "%s", expected);
	return diag_set(d, ERR_FORMAT, 0, "%.*s: %s", (int)kv->key_len, kv->key, expected);
}

/* The value as far as a reason repeats it, without control characters. */
static const char *show(const struct keyvalue *kv, char out[SHOWN_MAX + 1])
{
	size_t len = kv->value_len < SHOWN_MAX ? kv->value_len : SHOWN_MAX;

	for (size_t i = 0; i < len; i++) {
		bool plain = kv->value[i] >= ' ' && kv->value[i] <= '~';

		out[i] = (char)(plain ? kv->value[i] : '?');
	}
	out[len] = '\0';
	return out;
}

/* "KEY: 'value' is not WANTED", for values that are never secret. */
static int refuse_value(const struct keyvalue *kv, const char *wanted, struct diag *d)
{
	char shown[SHOWN_MAX + 1];

	return diag_set(d, ERR_FORMAT, 0, "%.*s: '%s' is not %s", (int)kv->key_len, kv->key,
			show(kv, shown), wanted);
}

static bool copy_value(const struct keyvalue *kv, char *out, size_t size)
{
	if (kv->value_len >= size)
		return false;
	memcpy(out, kv->value, kv->value_len);
	out[kv->value_len] = '\0';
	return true;
}

int keyvalue_number(const struct keyvalue *kv, uint64_t max, uint64_t *ret, struct diag *d)
{
	char shown[SHOWN_MAX + 1];

	if (decimal_parse(kv->value, kv->value_len, max, ret) == 0)
		return 0;
	return diag_set(d, ERR_FORMAT, 0, "%.*s: '%s' is not a number from 0 to %" PRIu64,
			(int)kv->key_len, kv->key, show(kv, shown), max);
}

int keyvalue_true(const struct keyvalue *kv, bool *ret, struct diag *d)
{
	if (kv->value_len != 4 || memcmp(kv->value, "true", 4) != 0)
		return refuse_value(kv, "'true', the only value", d);
	*ret = true;
	return 0;
}

int keyvalue_key(const struct keyvalue *kv, uint8_t ret[32], struct diag *d)
{
	if (key_from_hex(kv->value, kv->value_len, ret))
		return keyvalue_refuse(kv, "the value is not a key of 64 hex digits", d);
	return 0;
}

int keyvalue_timestamp(const struct keyvalue *kv, uint8_t ret[12], struct diag *d)
{
	uint8_t octets[12];

	if (hex_decode(kv->value, kv->value_len, octets, sizeof(octets)) != sizeof(octets))
		return refuse_value(kv, "a TAI64N timestamp of 24 hex digits", d);
	memcpy(ret, octets, sizeof(octets));
	return 0;
}

int keyvalue_prefix(const struct keyvalue *kv, struct ip_prefix *ret, struct diag *d)
{
	char text[ADDR_TEXT_MAX];

	if (!copy_value(kv, text, sizeof(text)) || ip_prefix_parse(text, true, ret))
		return refuse_value(kv, "an address with a prefix length, such as 10.0.0.0/24",
				    d);
	return 0;
}

/* Take "%NAME" out of @text and look it up; numbers are left to endpoint_parse(). */
static int cut_zone_name(const struct keyvalue *kv, uint32_t (*zone_index)(const char *name),
			 char *text, uint32_t *ret_scope, struct diag *d)
{
	char *percent = strchr(text, '%');
	char *bracket = percent ? strchr(percent, ']') : NULL;

	if (!bracket || (percent[1] >= '0' && percent[1] <= '9'))
		return 0;
	if (!zone_index)
		return refuse_value(kv, "usable here: write the zone as an interface number",
				    d);
	*bracket = '\0';
	*ret_scope = zone_index(percent + 1);
	*bracket = ']';
	if (!*ret_scope)
		return refuse_value(kv, "usable: there is no interface with that name", d);
	memmove(percent, bracket, strlen(bracket) + 1);
	return 0;
}

int keyvalue_endpoint(const struct keyvalue *kv, uint32_t (*zone_index)(const char *name),
		      struct endpoint *ret, struct diag *d)
{
	char text[ADDR_TEXT_MAX];
	struct endpoint e;
	uint32_t scope = 0;

	if (!copy_value(kv, text, sizeof(text)))
		return refuse_value(kv, "an endpoint: it is too long", d);
	if (cut_zone_name(kv, zone_index, text, &scope, d))
		return ERR_FORMAT;
	if (endpoint_parse(text, &e) || (scope && e.ip.family != ADDR_V6))
		return refuse_value(
			kv, "an endpoint, such as 192.0.2.1:51820 or [2001:db8::1]:51820", d);
	if (scope)
		e.scope = scope;
	*ret = e;
	return 0;
}

void keyvalue_write_text(struct text *out, const char *key, const char *value)
{
	text_puts(out, key);
	text_puts(out, value);
	text_add(out, "\n", 1);
}

void keyvalue_write_number(struct text *out, const char *key, uint64_t value)
{
	text_puts(out, key);
	text_put_u64(out, value);
	text_add(out, "\n", 1);
}

void keyvalue_write_hex(struct text *out, const char *key, const void *data, size_t len)
{
	text_puts(out, key);
	text_put_hex(out, data, len);
	text_add(out, "\n", 1);
}

void keyvalue_write_range(struct text *out, const char *key, struct frame_range value)
{
	text_puts(out, key);
	frame_range_write(out, value);
	text_puts(out, "\n");
}
