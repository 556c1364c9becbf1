/* SPDX-License-Identifier: Apache-2.0 */
#include "device/steering.h"

#include <assert.h>

static_assert(1 + FRAME_PROFILES_MAX * 5 <= UDP_SHAPES_MAX, "every profile has its shapes");

static void add(struct udp_steering *to, struct udp_shape shape)
{
	to->shapes[to->n++] = shape;
}

static struct udp_shape shape_of(const struct frame_profile *p, enum message_type type,
				 uint32_t least, uint32_t most)
{
	return (struct udp_shape){ .least = p->pad[type] + least,
				   .most = most,
				   .offset = p->pad[type],
				   .lo = p->header[type].lo,
				   .hi = p->header[type].hi,
				   .is_data = type == MESSAGE_DATA };
}

static void add_data(struct udp_steering *to, const struct frame_profile *p)
{
	if (p->is_protected)
		return;
	add(to, shape_of(p, MESSAGE_DATA, MESSAGE_DATA_MIN, FRAME_DATAGRAM_MAX));
	if (p->pad[MESSAGE_DATA]) { /* keepalives that some send without the PAD */
		struct udp_shape bare = shape_of(p, MESSAGE_DATA, 0, MESSAGE_DATA_MIN);

		bare.least = MESSAGE_DATA_MIN;
		bare.offset = 0;
		add(to, bare);
	}
}

/* Under a mask only the length tells, and with trailers not even that. */
static void add_handshakes(struct udp_steering *to, const struct frame_profile *p)
{
	bool trailers = p->parameters.random_trailers;

	if (p->is_protected && trailers)
		return;
	for (int i = MESSAGE_INITIATION; i <= MESSAGE_COOKIE; i++) {
		enum message_type type = (enum message_type)i;
		uint32_t len = frame_message_len(type);
		struct udp_shape shape =
			shape_of(p, type, len, trailers ? FRAME_DATAGRAM_MAX : p->pad[i] + len);

		if (p->is_protected) {
			shape.lo = 0;
			shape.hi = UINT32_MAX;
		}
		add(to, shape);
	}
}

void steering_make(const struct frame_set *set, struct udp_steering *ret)
{
	ret->n = 0;
	ret->rest_is_data = false;
	add(ret, (struct udp_shape){ .least = STEERING_KEEPER_BYTES + 1,
				     .most = FRAME_DATAGRAM_MAX,
				     .hi = UINT32_MAX,
				     .is_data = true });
	for (uint32_t i = 0; i < set->n; i++)
		add_data(ret, &set->profiles[i]);
	for (uint32_t i = 0; i < set->n; i++)
		ret->rest_is_data |= set->profiles[i].is_protected;
	/* Otherwise what is no data is the keeper's anyway. */
	for (uint32_t i = 0; i < set->n && ret->rest_is_data; i++)
		add_handshakes(ret, &set->profiles[i]);
}
