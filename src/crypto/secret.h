/* SPDX-License-Identifier: Apache-2.0 */
/**
 * secret.h - Keys that cannot be printed by accident and are wiped when done
 *
 * A struct, not an array: it does not decay to a pointer that %s would take, and
 * every function that wants a secret says so in its type.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SECRET_KEY_LEN = 32 };

struct secret_key {
	uint8_t b[SECRET_KEY_LEN];
};

/** secret_wipe() - Overwrite @len octets in a way the compiler keeps */
void secret_wipe(void *p, size_t len);

/** secret_key_done() - Wipe one key */
static inline void secret_key_done(struct secret_key *k)
{
	secret_wipe(k, sizeof(*k));
}

/* Constant time in the contents. */
bool secret_equal(const void *a, const void *b, size_t len);
bool secret_is_zero(const void *p, size_t len);
