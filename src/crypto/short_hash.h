/* SPDX-License-Identifier: Apache-2.0 */
/**
 * short_hash.h - Where in a table something goes, unknown to whoever chose it
 *
 * Source:  SipHash-2-4 (Aumasson and Bernstein, 2012), through libsodium.
 * Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SHORT_HASH_KEY_LEN = 16 };

/** short_hash() - 64 bits that nobody can predict or steer without @key */
uint64_t short_hash(const uint8_t key[SHORT_HASH_KEY_LEN], const void *data, size_t len);
