/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/frame.h"

#include <string.h>

const struct frame_profile frame_plain = {
	.types = {
		[MESSAGE_INITIATION] = MESSAGE_INITIATION,
		[MESSAGE_RESPONSE] = MESSAGE_RESPONSE,
		[MESSAGE_COOKIE] = MESSAGE_COOKIE,
		[MESSAGE_DATA] = MESSAGE_DATA,
	},
};

int frame_wrap(const struct frame_profile *p, enum message_type type,
	       struct frame_message *messages, uint32_t n)
{
	(void)p;
	(void)type;
	(void)messages;
	(void)n;
	return 0; /* plain WireGuard: the message is the datagram */
}

/* The whole type word counts: the three reserved octets must be zero. */
static bool fits_its_kind(uint32_t type, uint32_t len)
{
	switch (type) {
	case MESSAGE_INITIATION:
		return len == sizeof(struct msg_initiation);
	case MESSAGE_RESPONSE:
		return len == sizeof(struct msg_response);
	case MESSAGE_COOKIE:
		return len == sizeof(struct msg_cookie);
	case MESSAGE_DATA:
		return len >= MESSAGE_DATA_MIN;
	default:
		return false;
	}
}

bool frame_classify(const struct frame_profile *const profiles[], uint32_t n, uint8_t *datagram,
		    uint32_t len, const struct frame_lookup *lookup, struct frame_view *ret)
{
	le32 word;

	(void)lookup;
	if (n == 0 || len < sizeof(word))
		return false;
	memcpy(&word, datagram, sizeof(word));

	uint32_t type = le32_value(word);

	if (!fits_its_kind(type, len))
		return false;
	ret->type = (enum message_type)type;
	ret->message = datagram;
	ret->len = len;
	ret->profile = profiles[0];
	return true;
}
