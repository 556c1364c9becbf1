/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/framing.h"

#include "base/wire.h"

size_t framing_header(enum framing_kind kind, uint8_t out[FRAMING_HEADER_MAX], size_t len)
{
	if (kind == FRAMING_CAPSULE)
		return capsule_header(out, len);
	put_be16(out, (uint16_t)len);
	return 2;
}

enum capsule_step framing_read(struct framing *f, const uint8_t *data, size_t len,
			       struct capsule_found *ret)
{
	size_t payload;

	if (f->kind == FRAMING_CAPSULE)
		return capsule_read(&f->reader, data, len, ret);
	*ret = (struct capsule_found){ .used = 0 };
	if (len < 2)
		return CAPSULE_MORE;
	payload = get_be16(data);
	if (len - 2 < payload)
		return CAPSULE_MORE;
	*ret = (struct capsule_found){ .used = 2 + payload,
				       .payload = data + 2,
				       .len = payload };
	return CAPSULE_PAYLOAD;
}
