/* SPDX-License-Identifier: Apache-2.0 */
/**
 * key_record.h - What is stored of one of our own keys
 *
 * {"digest": "<hex>", "role": "operator", "account": 7, "expires_ns": 0}
 *
 * Threads: none here.
 */
#pragma once

#include <stdint.h>

#include "auth/bearer.h"
#include "auth/principal.h"
#include "base/text.h"

/* struct key_record - @account_id 0: none; @expires_ns 0: never */
struct key_record {
	uint8_t digest[BEARER_DIGEST_LEN];
	enum principal_role role;
	int64_t account_id;
	uint64_t expires_ns;
};

/** key_record_read() - From a record's body. Return: 0; ERR_CORRUPT */
int key_record_read(const char *body, struct key_record *ret);
/** key_record_write() - Body for a record; errors stay in @out->err */
void key_record_write(const struct key_record *k, struct text *out);

const char *key_record_role_word(enum principal_role role);
/* ROLE_NONE: no such word. */
enum principal_role key_record_role(const char *word);
