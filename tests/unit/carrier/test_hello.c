/* SPDX-License-Identifier: Apache-2.0 */
/* The values come from Python's hmac and hashlib, over the layout that hello.h states. */
#include <string.h>

#include "../test.h"
#include "base/codec.h"
#include "carrier/hello.h"

static const char key[] = "cvu_testkey";

static bool is_hex(const uint8_t *octets, size_t len, const char *hex)
{
	char text[129];

	hex_encode(octets, len, text);
	return strcmp(text, hex) == 0;
}

static struct hello example(void)
{
	uint8_t digest[HELLO_KEY_LEN];
	struct hello h;

	hello_digest(key, strlen(key), digest);
	hello_tag(digest, h.tag);
	for (int i = 0; i < 32; i++) {
		h.client_nonce[i] = (uint8_t)i;
		h.server_nonce[i] = (uint8_t)(32 + i);
	}
	return h;
}

static void keeps_of_a_key_what_the_gateway_keeps(void)
{
	uint8_t digest[HELLO_KEY_LEN], tag[HELLO_TAG_LEN];

	hello_digest(key, strlen(key), digest);
	CHECK(is_hex(digest, sizeof(digest),
		     "c7af1e50416619c37b98eb2bd71bdffbf3eccade3a468bdd6a3f0706ce6ffba7"));
	hello_tag(digest, tag);
	CHECK(is_hex(tag, sizeof(tag), "9ab4bf12377b1e2c"));
}

static void proves_as_another_implementation_does(void)
{
	struct hello h = example();
	uint8_t digest[HELLO_KEY_LEN], proof[HELLO_PROOF_LEN];

	hello_digest(key, strlen(key), digest);
	hello_prove(&h, HELLO_CLIENT, digest, proof);
	CHECK(is_hex(proof, sizeof(proof),
		     "34bf058c46d9acc8187a7495efcb8fc3e569224507be13ca7c465029f767afde"));
	CHECK(hello_is_proof(&h, HELLO_CLIENT, digest, proof));
	CHECK(!hello_is_proof(&h, HELLO_SERVER, digest, proof));
	hello_prove(&h, HELLO_SERVER, digest, proof);
	CHECK(is_hex(proof, sizeof(proof),
		     "58a7aa56eda94ff55674dbf3c767a3ccc47f1557bab00cb00759a9d6a3b5187e"));
}

static void binds_a_proof_to_everything_that_was_said(void)
{
	struct hello h = example(), other;
	uint8_t digest[HELLO_KEY_LEN], proof[HELLO_PROOF_LEN];

	hello_digest(key, strlen(key), digest);
	hello_prove(&h, HELLO_CLIENT, digest, proof);
	other = h;
	other.server_nonce[31] ^= 1;
	CHECK(!hello_is_proof(&other, HELLO_CLIENT, digest, proof));
	other = h;
	other.client_nonce[0] ^= 1;
	CHECK(!hello_is_proof(&other, HELLO_CLIENT, digest, proof));
	other = h;
	other.tag[0] ^= 1;
	CHECK(!hello_is_proof(&other, HELLO_CLIENT, digest, proof));
	digest[0] ^= 1;
	CHECK(!hello_is_proof(&h, HELLO_CLIENT, digest, proof));
}

static void begins_with_printable_octets(void)
{
	struct hello h = example(), again;
	uint8_t out[HELLO_LEN];

	hello_put(&h, out);
	for (int i = 0; i < 6; i++)
		CHECK(out[i] > ' ' && out[i] <= '~');
	CHECK(hello_read(&again, out));
	CHECK(memcmp(again.tag, h.tag, HELLO_TAG_LEN) == 0);
	CHECK(memcmp(again.client_nonce, h.client_nonce, HELLO_NONCE_LEN) == 0);
	out[7] ^= 1;
	CHECK(!hello_read(&again, out));
}

int main(void)
{
	RUN(keeps_of_a_key_what_the_gateway_keeps);
	RUN(proves_as_another_implementation_does);
	RUN(binds_a_proof_to_everything_that_was_said);
	RUN(begins_with_printable_octets);
	return DONE();
}
