/* SPDX-License-Identifier: Apache-2.0 */
/**
 * messages.h - WireGuard's four messages, octet for octet
 *
 * Source: WireGuard whitepaper, sections 5.4.2 to 5.4.7. Integers little-endian.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#include "base/wire.h"

enum {
	NOISE_KEY_LEN = 32,
	NOISE_TAG_LEN = 16,
	NOISE_TIME_LEN = 12, /* TAI64N */
	NOISE_MAC_LEN = 16,
	NOISE_COOKIE_LEN = 16,
};

/* The 32-bit type word of plain WireGuard; frame may put another in its place. */
enum message_type {
	MESSAGE_INITIATION = 1,
	MESSAGE_RESPONSE = 2,
	MESSAGE_COOKIE = 3,
	MESSAGE_DATA = 4,
};

struct msg_initiation {
	le32 type;
	le32 sender;
	uint8_t ephemeral[NOISE_KEY_LEN];
	uint8_t sealed_static[NOISE_KEY_LEN + NOISE_TAG_LEN];
	uint8_t sealed_time[NOISE_TIME_LEN + NOISE_TAG_LEN];
	uint8_t mac1[NOISE_MAC_LEN];
	uint8_t mac2[NOISE_MAC_LEN];
};
static_assert(sizeof(struct msg_initiation) == 148, "whitepaper, section 5.4.2");

struct msg_response {
	le32 type;
	le32 sender;
	le32 receiver;
	uint8_t ephemeral[NOISE_KEY_LEN];
	uint8_t sealed_nothing[NOISE_TAG_LEN];
	uint8_t mac1[NOISE_MAC_LEN];
	uint8_t mac2[NOISE_MAC_LEN];
};
static_assert(sizeof(struct msg_response) == 92, "whitepaper, section 5.4.3");

struct msg_cookie {
	le32 type;
	le32 receiver;
	uint8_t nonce[24];
	uint8_t sealed_cookie[NOISE_COOKIE_LEN + NOISE_TAG_LEN];
};
static_assert(sizeof(struct msg_cookie) == 64, "whitepaper, section 5.4.7");

struct msg_data {
	le32 type;
	le32 receiver;
	le64 counter;
	uint8_t sealed[]; /* padded packet, then the tag */
};
static_assert(sizeof(struct msg_data) == 16, "whitepaper, section 5.4.6");

enum { MESSAGE_DATA_MIN = sizeof(struct msg_data) + NOISE_TAG_LEN };
