/* SPDX-License-Identifier: Apache-2.0 */
/* The outer half of a link: base64url, zlib and parts. link_json.c knows what is inside. */
#include "conf/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/codec.h"
#include "base/wire.h"
#include "conf/link_json.h"
#include "conf/wgconf_values.h"

enum {
	PAYLOAD_HEAD = 4,
	PART_MAGIC = 1984,
	PART_HEAD = 2 + 1 + 1 + 4,
	PRESS_LEVEL = 8,      /* as the app does */
	INFLATE_PIECE = 4096, /* octets inflated at a time */
};

static const char scheme[] = "vpn://";

bool link_is(const char *text, size_t len)
{
	return len >= sizeof(scheme) - 1 && memcmp(text, scheme, sizeof(scheme) - 1) == 0;
}

/* --- base64url --- */

static int put_base64url(struct text *out, const void *data, size_t len)
{
	size_t size = (len + 2) / 3 * 4 + 1;
	char *text = malloc(size);

	if (!text)
		return -ENOMEM;
	text_add(out, text, base64url_encode(data, len, text));
	secret_wipe(text, size);
	free(text);
	return out->err;
}

/* The payload of a link, white space around it cut off. */
static int take_payload(const char *text, size_t len, struct text *out, struct diag *d)
{
	struct wgconf_span s = { text, len };
	uint8_t *octets;
	size_t size;
	long n;

	s = wgconf_trim(s);
	if (!link_is(s.at, s.len))
		return diag_set(d, ERR_FORMAT, 0, "a link begins with %s", scheme);
	if (s.len > LINK_TEXT_MAX)
		return diag_set(d, ERR_LIMIT, 0, "the link has more than %d characters",
				LINK_TEXT_MAX);
	s = wgconf_after(s, sizeof(scheme) - 1);
	size = s.len / 4 * 3 + 3;
	octets = malloc(size);
	if (!octets)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	n = base64url_decode(s.at, s.len, octets, size);
	if (n > 0)
		text_add(out, octets, (size_t)n);
	secret_wipe(octets, size);
	free(octets);
	if (n <= 0)
		return diag_set(d, ERR_FORMAT, 0,
				"the link is damaged: what follows %s is not base64url",
				scheme);
	return out->err;
}

/* --- zlib --- */

/* zlib keeps what passes through it; memory that it frees is wiped. */
static void *allocate(void *opaque, unsigned int n, unsigned int size)
{
	size_t octets = (size_t)n * size;
	size_t *block = malloc(sizeof(max_align_t) + octets);

	(void)opaque;
	if (!block)
		return NULL;
	*block = octets;
	return (uint8_t *)block + sizeof(max_align_t);
}

static void release(void *opaque, void *p)
{
	uint8_t *block = p ? (uint8_t *)p - sizeof(max_align_t) : NULL;
	size_t octets;

	(void)opaque;
	if (!block)
		return;
	memcpy(&octets, block, sizeof(octets));
	secret_wipe(p, octets);
	free(block);
}

/* Append @json as a payload. */
static int press(const struct text *json, struct text *out)
{
	z_stream z = { .zalloc = allocate, .zfree = release };
	uint8_t len[PAYLOAD_HEAD], piece[INFLATE_PIECE];
	int state = deflateInit(&z, PRESS_LEVEL);

	if (state != Z_OK)
		return -ENOMEM;
	put_be32(len, (uint32_t)json->len);
	text_add(out, len, sizeof(len));
	z.next_in = (uint8_t *)json->data;
	z.avail_in = (unsigned int)json->len;
	while (state == Z_OK) {
		z.next_out = piece;
		z.avail_out = sizeof(piece);
		state = deflate(&z, Z_FINISH);
		text_add(out, piece, sizeof(piece) - z.avail_out);
	}
	deflateEnd(&z);
	secret_wipe(piece, sizeof(piece));
	return out->err;
}

/* What is behind the length, which is a hint only: writers differ in how well they fill it in. */
static int unpress(const struct text *payload, struct text *out)
{
	z_stream z = { .zalloc = allocate, .zfree = release };
	uint8_t piece[INFLATE_PIECE];
	int state = payload->len > PAYLOAD_HEAD ? inflateInit(&z) : Z_DATA_ERROR;

	if (state != Z_OK)
		return state == Z_MEM_ERROR ? -ENOMEM : ERR_FORMAT;
	z.next_in = (uint8_t *)payload->data + PAYLOAD_HEAD;
	z.avail_in = (unsigned int)(payload->len - PAYLOAD_HEAD);
	while (state == Z_OK && !out->err) {
		z.next_out = piece;
		z.avail_out = sizeof(piece);
		state = inflate(&z, Z_NO_FLUSH);
		text_add(out, piece, sizeof(piece) - z.avail_out);
	}
	inflateEnd(&z);
	secret_wipe(piece, sizeof(piece));
	if (out->err)
		return out->err;
	return state == Z_STREAM_END ? 0 : state == Z_MEM_ERROR ? -ENOMEM : ERR_FORMAT;
}

/* --- Links --- */

int link_make(const struct wgconf *c, const char *description, struct text *out, struct diag *d)
{
	struct text json = { .max = LINK_JSON_MAX }, payload = { 0 };
	int err = link_json_put(c, description, &json, d);

	if (!err)
		err = press(&json, &payload);
	if (!err) {
		text_puts(out, scheme);
		err = put_base64url(out, payload.data, payload.len);
	}
	text_done(&json);
	text_done(&payload);
	if (err && err != ERR_FORMAT)
		diag_set(d, err, 0, "%s",
			 err == ERR_LIMIT ? "the file is too long for a link" : err_text(err));
	return err;
}

int link_read(const char *text, size_t len, struct text *out, struct diag *d)
{
	struct text payload = { 0 }, json = { .max = LINK_JSON_MAX };
	const struct text *whole = &json;
	int err = take_payload(text, len, &payload, d);

	if (!err && payload.len && payload.data[0] == '{') {
		whole = &payload;
	} else if (!err) {
		err = unpress(&payload, &json);
		if (err == ERR_LIMIT)
			diag_set(d, err, 0, "what the link holds has more than %d octets",
				 LINK_JSON_MAX);
		else if (err)
			diag_set(d, err, 0, "the link is damaged: it cannot be inflated");
	}
	if (!err)
		err = link_json_take(whole->data, whole->len, out, d);
	text_done(&payload);
	text_done(&json);
	return err;
}

/* --- Parts --- */

static size_t count_parts(size_t payload_len)
{
	return (payload_len + LINK_PART_OCTETS - 1) / LINK_PART_OCTETS;
}

int link_parts(const char *text, size_t len, struct diag *d)
{
	struct text payload = { 0 };
	int err = take_payload(text, len, &payload, d);
	size_t n = count_parts(payload.len);

	text_done(&payload);
	if (!err && n > LINK_PARTS_MAX)
		err = diag_set(
			d, ERR_LIMIT, 0,
			"the link is too long: it would need %zu QR codes, and %d is the "
			"most",
			n, LINK_PARTS_MAX);
	return err ? err : (int)n;
}

static int put_part(const struct text *payload, size_t index, struct text *out)
{
	size_t at = index * LINK_PART_OCTETS;
	size_t n = payload->len - at < LINK_PART_OCTETS ? payload->len - at : LINK_PART_OCTETS;
	uint8_t part[PART_HEAD + LINK_PART_OCTETS];
	int err;

	put_be16(part, PART_MAGIC);
	part[2] = (uint8_t)count_parts(payload->len);
	part[3] = (uint8_t)index;
	put_be32(part + 4, (uint32_t)n);
	memcpy(part + PART_HEAD, payload->data + at, n);
	err = put_base64url(out, part, PART_HEAD + n);
	secret_wipe(part, sizeof(part));
	return err;
}

void link_part(const char *text, size_t len, unsigned int index, struct text *out)
{
	struct text payload = { 0 };
	int err = take_payload(text, len, &payload, NULL);

	if (!err && count_parts(payload.len) > LINK_PARTS_MAX)
		err = ERR_LIMIT;
	if (!err && index >= count_parts(payload.len))
		err = ERR_RANGE;
	if (!err)
		err = put_part(&payload, index, out);
	out->err = out->err ? out->err : err;
	text_done(&payload);
}
