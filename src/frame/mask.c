/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/mask.h"

#include <assert.h>
#include <string.h>

static_assert((int)sizeof(struct msg_data) == (int)FRAME_MASK_LEN, "the header of data");

enum { MESSAGE_BLOCKS = 3 }; /* of the longest message of a fixed length */

static_assert(sizeof(struct msg_initiation) <= MESSAGE_BLOCKS * CHACHA_BLOCK_LEN,
	      "an initiation is masked whole");

uint32_t frame_message_len(enum message_type type)
{
	switch (type) {
	case MESSAGE_INITIATION:
		return sizeof(struct msg_initiation);
	case MESSAGE_RESPONSE:
		return sizeof(struct msg_response);
	case MESSAGE_COOKIE:
		return sizeof(struct msg_cookie);
	case MESSAGE_DATA:
		return sizeof(struct msg_data);
	}
	return 0;
}

void frame_mask_heads(const struct frame_profile *p, const uint8_t *const *datagrams,
		      uint32_t n, uint8_t (*out)[FRAME_MASK_LEN])
{
	struct chacha_at at[FRAME_BATCH];

	for (uint32_t i = 0; i < n; i++) {
		at[i].counter = 0;
		memcpy(at[i].nonce, datagrams[i], FRAME_NONCE_LEN);
	}
	chacha_heads(p->parameters.protection_key.b, at, n, out);
}

void frame_mask_message(const struct frame_profile *p, const uint8_t *datagram,
			uint8_t *message, uint32_t len)
{
	uint8_t blocks[MESSAGE_BLOCKS][CHACHA_BLOCK_LEN];
	struct chacha_at at[MESSAGE_BLOCKS];

	for (uint32_t i = 0; i < MESSAGE_BLOCKS; i++) {
		at[i].counter = i;
		memcpy(at[i].nonce, datagram, FRAME_NONCE_LEN);
	}
	chacha_blocks(p->parameters.protection_key.b, at, MESSAGE_BLOCKS, blocks);
	frame_xor(message, blocks[0], len);
}
