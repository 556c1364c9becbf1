/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/capsule.h"

#include <assert.h>
#include <stdbool.h>

size_t varint_put(uint8_t out[VARINT_MAX_LEN], uint64_t v)
{
	unsigned int log = v < (1U << 6) ? 0 : v < (1U << 14) ? 1 : v < (1U << 30) ? 2 : 3;
	size_t len = (size_t)1 << log;

	assert(v < VARINT_LIMIT);
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(v >> 8 * (len - 1 - i));
	out[0] |= (uint8_t)(log << 6);
	return len;
}

size_t varint_get(const uint8_t *data, size_t len, uint64_t *ret)
{
	size_t need = len > 0 ? (size_t)1 << (data[0] >> 6) : 1;
	uint64_t v;

	if (len < need)
		return 0;
	v = data[0] & 0x3f;
	for (size_t i = 1; i < need; i++)
		v = v << 8 | data[i];
	*ret = v;
	return need;
}

size_t capsule_header(uint8_t out[CAPSULE_HEADER_MAX], size_t payload_len)
{
	uint8_t length[VARINT_MAX_LEN];
	size_t n = varint_put(length, payload_len + 1), used = 0;

	assert(payload_len <= CAPSULE_PAYLOAD_MAX);
	out[used++] = CAPSULE_DATAGRAM_TYPE;
	for (size_t i = 0; i < n; i++)
		out[used++] = length[i];
	out[used++] = 0; /* the context of UDP payloads */
	return used;
}

/* The input as a cursor: what is read of it counts only when all of a capsule is there. */
struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool take(struct cursor *c, uint64_t *ret)
{
	size_t n = varint_get(c->at, c->left, ret);

	c->at += n;
	c->left -= n;
	return n > 0;
}

/* Leave out @whole octets, of which @len are here. */
static enum capsule_step skip(struct capsule_reader *r, uint64_t whole, size_t len,
			      struct capsule_found *ret)
{
	ret->used = whole < len ? (size_t)whole : len;
	r->skip = whole - ret->used;
	return CAPSULE_MORE;
}

/* Of a DATAGRAM capsule whose @value octets begin at @c; @head octets stand in front. */
static enum capsule_step read_datagram(struct capsule_reader *r, struct cursor c,
				       uint64_t value, size_t head, struct capsule_found *ret)
{
	size_t have = c.left;
	uint64_t context, payload;
	size_t context_len;

	if (value == 0)
		return CAPSULE_BROKEN; /* RFC 9298 section 4: there is a context always */
	if (!take(&c, &context))
		return c.left >= value ? CAPSULE_BROKEN : CAPSULE_MORE;
	context_len = have - c.left;
	if (context_len > value)
		return CAPSULE_BROKEN;
	if (context != 0)
		return skip(r, head + value, head + have, ret);
	payload = value - context_len;
	if (payload > CAPSULE_PAYLOAD_MAX)
		return CAPSULE_BROKEN;
	if (c.left < payload)
		return CAPSULE_MORE;
	*ret = (struct capsule_found){ .used = head + (size_t)value,
				       .payload = c.at,
				       .len = (size_t)payload };
	return CAPSULE_PAYLOAD;
}

/* One capsule, or the beginning of one; skipping leaves the rest to be looked at again. */
static enum capsule_step read_one(struct capsule_reader *r, const uint8_t *data, size_t len,
				  struct capsule_found *ret)
{
	struct cursor c = { data, len };
	uint64_t type, value;

	if (r->skip > 0)
		return skip(r, r->skip, len, ret);
	if (!take(&c, &type) || !take(&c, &value))
		return CAPSULE_MORE;
	if (type == CAPSULE_DATAGRAM_TYPE)
		return read_datagram(r, c, value, len - c.left, ret);
	return skip(r, len - c.left + value, len, ret);
}

enum capsule_step capsule_read(struct capsule_reader *r, const uint8_t *data, size_t len,
			       struct capsule_found *ret)
{
	struct capsule_found found = { .used = 0 };
	enum capsule_step step = CAPSULE_MORE;
	size_t used = 0;

	do {
		found.used = 0;
		step = read_one(r, data + used, len - used, &found);
		used += found.used;
	} while (step == CAPSULE_MORE && found.used > 0 && used < len);
	found.used = used;
	*ret = found;
	return step;
}
