/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/short_hash.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include "base/wire.h"

uint64_t short_hash(const uint8_t key[SHORT_HASH_KEY_LEN], const void *data, size_t len)
{
	le64 out;

	crypto_shorthash_siphash24(out.b, data, len, key);
	return le64_value(out);
}
