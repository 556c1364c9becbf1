/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/suite_parts.h"

_Noreturn void suite_fatal(void)
{
	abort();
}

void aead_seal(struct suite *s, struct aead_job *jobs, size_t n)
{
	s->aead->seal(s->aead_self, jobs, n);
}

void aead_open(struct suite *s, struct aead_job *jobs, size_t n)
{
	s->aead->open(s->aead_self, jobs, n);
}

void aead_seal_ad(struct suite *s, const uint8_t key[32], uint64_t counter, const uint8_t *ad,
		  size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst)
{
	uint8_t nonce[12];
	const struct aead_message m = {
		.key = key,
		.nonce = nonce,
		.ad = ad,
		.ad_len = ad_len,
		.src = src,
		.dst = dst,
		.len = len,
	};

	suite_nonce(nonce, counter);
	s->aead->seal_one(s->aead_self, &m, dst + len);
}

bool aead_open_ad(struct suite *s, const uint8_t key[32], uint64_t counter, const uint8_t *ad,
		  size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst)
{
	uint8_t nonce[12];
	const struct aead_message m = {
		.key = key,
		.nonce = nonce,
		.ad = ad,
		.ad_len = ad_len,
		.src = src,
		.dst = dst,
		.len = len,
	};

	suite_nonce(nonce, counter);
	if (s->aead->open_one(s->aead_self, &m, src + len))
		return true;
	memset(dst, 0, len);
	return false;
}

/* RFC 8439, appendix A.5: the nonce has WireGuard's shape, and the tag covers it all. */
static const char test_text[] =
	"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
	"replaced, or obsoleted by other documents at any time. It is inappropriate to use "
	"Internet-Drafts as reference material or to cite them other than as "
	"/\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
static const uint8_t test_key[32] = {
	0x1c, 0x92, 0x40, 0xa5, 0xeb, 0x55, 0xd3, 0x8a, 0xf3, 0x33, 0x88,
	0x86, 0x04, 0xf6, 0xb5, 0xf0, 0x47, 0x39, 0x17, 0xc1, 0x40, 0x2b,
	0x80, 0x09, 0x9d, 0xca, 0x5c, 0xbc, 0x20, 0x70, 0x75, 0xc0,
};
static const uint8_t test_ad[12] = { 0xf3, 0x33, 0x88, 0x86, 0, 0, 0, 0, 0, 0, 0x4e, 0x91 };
static const uint64_t test_counter = UINT64_C(0x0807060504030201);
static const uint8_t test_tag[AEAD_TAG_LEN] = {
	0xee, 0xad, 0x9d, 0x67, 0x89, 0x0c, 0xbb, 0x22,
	0x39, 0x23, 0x36, 0xfe, 0xa1, 0x85, 0x1f, 0x38,
};

enum { TEST_LEN = sizeof(test_text) - 1 };

/* The library says what the RFC says, gives the text back, and notices a forgery. */
static bool cipher_is_sound(struct suite *s)
{
	uint8_t sealed[TEST_LEN + AEAD_TAG_LEN], text[TEST_LEN];

	aead_seal_ad(s, test_key, test_counter, test_ad, sizeof(test_ad),
		     (const uint8_t *)test_text, TEST_LEN, sealed);
	if (memcmp(sealed + TEST_LEN, test_tag, AEAD_TAG_LEN) != 0)
		return false;
	if (!aead_open_ad(s, test_key, test_counter, test_ad, sizeof(test_ad), sealed, TEST_LEN,
			  text) ||
	    memcmp(text, test_text, TEST_LEN) != 0)
		return false;
	sealed[TEST_LEN / 2] ^= 1;
	return !aead_open_ad(s, test_key, test_counter, test_ad, sizeof(test_ad), sealed,
			     TEST_LEN, text);
}

static int choose_cipher(struct suite *s, enum suite_backend wanted)
{
	int err = -ENOTSUP;

#ifdef HAVE_IPSEC_MB
	if (wanted != SUITE_OPENSSL) {
		s->aead = &aead_ipsecmb;
		err = s->aead->new (&s->aead_self);
	}
#endif
	if (err == -ENOTSUP && wanted != SUITE_IPSECMB) {
		s->aead = &aead_openssl;
		err = s->aead->new (&s->aead_self);
	}
	return err;
}

int suite_new(enum suite_backend backend, struct suite **ret)
{
	struct suite *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	err = choose_cipher(s, backend);
	if (err == 0)
		err = hash_tools_init(&s->hash);
	if (err == 0)
		err = dh_tools_init(&s->dh);
	if (err == 0 && !cipher_is_sound(s))
		err = ERR_AUTH;
	if (err != 0) {
		suite_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

struct suite *suite_free(struct suite *s)
{
	if (!s)
		return NULL;
	if (s->aead)
		s->aead->free(s->aead_self);
	hash_tools_done(&s->hash);
	dh_tools_done(&s->dh);
	free(s);
	return NULL;
}

enum suite_backend suite_backend(const struct suite *s)
{
	return s->aead->id;
}
