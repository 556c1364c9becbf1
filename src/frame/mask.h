/* SPDX-License-Identifier: Apache-2.0 */
/**
 * mask.h - Header protection: which octets are XORed with what
 *
 * The keystream is ChaCha20 under the profile's key, block counter from 0; the nonce is the
 * first 12 octets of the datagram, which are random padding. It covers the whole of a handshake
 * message, and the 16 octets before the text of a transport message.
 *
 * For the files of frame/ only. Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "frame/frame.h"

/* @to ^= @mask */
static inline void frame_xor(uint8_t *to, const uint8_t *mask, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] ^= mask[i];
}

enum { FRAME_MASK_LEN = CHACHA_HEAD_LEN };

/** frame_mask_heads() - What covers the header of each of @n datagrams, of which FRAME_NONCE_LEN
 * octets are there */
void frame_mask_heads(const struct frame_profile *p, const uint8_t *const *datagrams,
		      uint32_t n, uint8_t (*out)[FRAME_MASK_LEN]);

/** frame_mask_message() - Mask or unmask the message @message of @datagram; @len <= 192 */
void frame_mask_message(const struct frame_profile *p, const uint8_t *datagram,
			uint8_t *message, uint32_t len);
