/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links of AmneziaVPN. The first octet says what the rest is: a link, the payload of one, JSON to be
 * pressed into one, or a file to be made one, which must come back octet for octet, also in parts.
 */
#include <string.h>

#include <zlib.h>

#include "base/codec.h"
#include "base/utf8.h"
#include "base/wire.h"
#include "conf/link.h"
#include "fuzz.h"

enum { PAYLOAD_MAX = 1 << 16 };

static uint8_t payload[PAYLOAD_MAX];
static char text[PAYLOAD_MAX * 2] = "vpn://";

static void read_link(const char *link, size_t len)
{
	struct text out = { 0 };
	struct diag d = { 0 };
	int err = link_read(link, len, &out, &d);

	HOLDS(err == 0 || ((err == ERR_FORMAT || err == ERR_LIMIT) && d.text[0]));
	HOLDS(err != 0 || !out.len || !memchr(out.data, '\0', out.len));
	text_done(&out);
}

static void read_payload(size_t len)
{
	size_t n = base64url_encode(payload, len, text + 6);

	read_link(text, n + 6);
	HOLDS(link_parts(text, n + 6, NULL) == (int)((len + 849) / 850) || len == 0);
}

static void read_json(const uint8_t *data, size_t size)
{
	uLongf n = sizeof(payload) - 4;

	put_be32(payload, (uint32_t)size);
	if (compress2(payload + 4, &n, data, size, 1) == Z_OK)
		read_payload(n + 4);
}

/* JSON holds nothing else. */
static bool is_utf8(const char *s, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = utf8_len(s + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

static void check_parts(const struct text *link)
{
	int n = link_parts(link->data, link->len, NULL);
	struct text all = { 0 };

	HOLDS(n >= 1);
	for (int i = 0; i < n; i++) {
		struct text part = { 0 };
		uint8_t octets[1024];
		long len;

		link_part(link->data, link->len, (unsigned int)i, &part);
		len = base64url_decode(part.data, part.len, octets, sizeof(octets));
		HOLDS(part.err == 0 && len > 8 && get_be16(octets) == 1984);
		HOLDS(octets[2] == n && octets[3] == i && get_be32(octets + 4) == len - 8);
		text_add(&all, octets + 8, (size_t)len - 8);
		text_done(&part);
	}
	HOLDS(all.len < sizeof(payload));
	HOLDS(base64url_encode(all.data, all.len, text + 6) == link->len - 6);
	HOLDS(strcmp(text, link->data) == 0);
	text_done(&all);
}

/* "$PRIMARY_DNS" in a file means something where it is read. */
static bool comes_back(const char *file, size_t len)
{
	return is_utf8(file, len) && !memchr(file, '$', len);
}

static void make_link(const char *file, size_t len)
{
	struct text link = { 0 }, out = { 0 };
	struct wgconf c = { 0 };
	struct diag d = { 0 };
	int err = wgconf_parse(file, len, &c, &d);

	if (!err)
		err = link_make(&c, NULL, &link, &d);
	HOLDS(err == 0 || (err == ERR_FORMAT && d.text[0] && !link.len));
	if (err == 0) {
		HOLDS(link_is(link.data, link.len));
		err = link_read(link.data, link.len, &out, &d);
		if (comes_back(file, len))
			HOLDS(err == 0 && out.len == len && memcmp(out.data, file, len) == 0);
		check_parts(&link);
	}
	text_done(&link);
	text_done(&out);
	wgconf_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 8192)
		return 0;
	switch (data[0]) {
	case 'l':
		read_link((const char *)data + 1, size - 1);
		break;
	case 'p':
		memcpy(payload, data + 1, size - 1);
		read_payload(size - 1);
		break;
	case 'j':
		read_json(data + 1, size - 1);
		break;
	default:
		make_link((const char *)data + 1, size - 1);
		break;
	}
	return 0;
}
