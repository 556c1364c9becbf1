/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <sodium/crypto_aead_xchacha20poly1305.h>

#include "crypto/suite_parts.h"

void xaead_seal(struct suite *s, const uint8_t key[32], const uint8_t nonce[XAEAD_NONCE_LEN],
		const uint8_t *ad, size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst)
{
	unsigned long long sealed_len;

	(void)s;
	if (crypto_aead_xchacha20poly1305_ietf_encrypt(dst, &sealed_len, src, len, ad, ad_len,
						       NULL, nonce, key) != 0)
		suite_fatal();
}

bool xaead_open(struct suite *s, const uint8_t key[32], const uint8_t nonce[XAEAD_NONCE_LEN],
		const uint8_t *ad, size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst)
{
	unsigned long long text_len;

	(void)s;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    dst, &text_len, NULL, src, len + AEAD_TAG_LEN, ad, ad_len, nonce, key) == 0)
		return true;
	memset(dst, 0, len);
	return false;
}
