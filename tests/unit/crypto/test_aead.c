/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each back-end against the RFCs and Project Wycheproof, and against the other.
 *
 * The sanitizers do not see what ipsec-mb's assembly touches, so every buffer here
 * stands between guard octets that are looked at afterwards.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

#include "../../vectors/vectors.h"
#include "../test.h"
#include "base/err.h"
#include "crypto/suite_parts.h"
#include "seeded.h"

enum {
	GUARD_LEN = 64,
	TEXT_MAX = 2048,
	GUARD = 0xa5,
};

/* The back-ends of this build; "other" is NULL where there is only one. */
static struct suite *suites[2];
static size_t suites_len;

/* Room for one text and its tag at any alignment, with guards on both sides. */
struct guarded {
	uint8_t memory[GUARD_LEN + 64 + TEXT_MAX + AEAD_TAG_LEN + GUARD_LEN];
	uint8_t *at;
	size_t len;
};

static uint8_t *guarded_init(struct guarded *g, size_t align, size_t len)
{
	memset(g->memory, GUARD, sizeof(g->memory));
	g->at = g->memory + GUARD_LEN + align;
	g->len = len;
	return g->at;
}

static bool guarded_holds(const struct guarded *g)
{
	const uint8_t *end = g->memory + sizeof(g->memory);

	for (const uint8_t *p = g->memory; p < end; p++) {
		if ((p < g->at || p >= g->at + g->len) && *p != GUARD)
			return false;
	}
	return true;
}

struct aead_case {
	uint8_t key[32], nonce[XAEAD_NONCE_LEN], ad[1024], text[1024],
		sealed[1024 + AEAD_TAG_LEN];
	size_t ad_len, len;
	bool is_valid;
};

static void read_case(const struct vectors *v, struct aead_case *c)
{
	size_t sealed_len;

	vectors_bytes(v, 1, c->key, sizeof(c->key));
	vectors_bytes(v, 2, c->nonce, sizeof(c->nonce));
	c->ad_len = vectors_bytes(v, 3, c->ad, sizeof(c->ad));
	c->len = vectors_bytes(v, 4, c->text, sizeof(c->text));
	sealed_len = vectors_bytes(v, 5, c->sealed, c->len);
	vectors_bytes(v, 6, c->sealed + sealed_len, AEAD_TAG_LEN);
	c->is_valid = strcmp(v->field[7], "valid") == 0;
}

/* Through the back-end itself: the public functions take only WireGuard's nonces. */
static bool backend_holds(struct suite *s, const struct aead_case *c)
{
	uint8_t out[1024], tag[AEAD_TAG_LEN];
	struct aead_message m = { .key = c->key,
				  .nonce = c->nonce,
				  .ad = c->ad,
				  .ad_len = c->ad_len,
				  .dst = out,
				  .len = c->len };
	bool ok;

	m.src = c->sealed;
	ok = s->aead->open_one(s->aead_self, &m, c->sealed + c->len) == c->is_valid;
	if (!c->is_valid)
		return ok;
	ok = ok && memcmp(out, c->text, c->len) == 0;
	m.src = c->text;
	s->aead->seal_one(s->aead_self, &m, tag);
	return ok && memcmp(out, c->sealed, c->len) == 0 &&
	       memcmp(tag, c->sealed + c->len, AEAD_TAG_LEN) == 0;
}

static bool xaead_holds(struct suite *s, const struct aead_case *c)
{
	uint8_t out[1024 + AEAD_TAG_LEN];
	bool ok = xaead_open(s, c->key, c->nonce, c->ad, c->ad_len, c->sealed, c->len, out) ==
		  c->is_valid;

	if (!c->is_valid)
		return ok && secret_is_zero(out, c->len);
	ok = ok && memcmp(out, c->text, c->len) == 0;
	xaead_seal(s, c->key, c->nonce, c->ad, c->ad_len, c->text, c->len, out);
	return ok && memcmp(out, c->sealed, c->len + AEAD_TAG_LEN) == 0;
}

static void agrees_with_wycheproof_on_chacha20_poly1305(void)
{
	struct vectors v = { 0 };
	struct aead_case c;
	size_t forged = 0;

	if (vectors_open(&v, "wycheproof_chacha20_poly1305.txt")) {
		while (vectors_next(&v)) {
			read_case(&v, &c);
			for (size_t i = 0; i < suites_len; i++)
				CHECK(backend_holds(suites[i], &c));
			forged += !c.is_valid;
		}
	}
	CHECK(v.cases == 316);
	CHECK(forged == 60);
}

static void agrees_with_wycheproof_on_xchacha20_poly1305(void)
{
	struct vectors v = { 0 };
	struct aead_case c;
	size_t forged = 0;

	if (vectors_open(&v, "wycheproof_xchacha20_poly1305.txt")) {
		while (vectors_next(&v)) {
			read_case(&v, &c);
			CHECK(xaead_holds(suites[0], &c));
			forged += !c.is_valid;
		}
	}
	CHECK(v.cases == 306);
	CHECK(forged == 60);
}

static const char sunscreen[] =
	"Ladies and Gentlemen of the class of '99: If I could offer you "
	"only one tip for the future, sunscreen would be it.";

static void fill_example(struct aead_case *c, const char *nonce, const char *sealed)
{
	vectors_hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", c->key,
		    32);
	vectors_hex(nonce, c->nonce, sizeof(c->nonce));
	c->ad_len = vectors_hex("50515253c0c1c2c3c4c5c6c7", c->ad, sizeof(c->ad));
	c->len = sizeof(sunscreen) - 1;
	memcpy(c->text, sunscreen, c->len);
	CHECK(vectors_hex(sealed, c->sealed, sizeof(c->sealed)) == c->len + AEAD_TAG_LEN);
	c->is_valid = true;
}

static void computes_the_example_of_rfc_8439_section_2_8_2(void)
{
	struct aead_case c;

	fill_example(&c, "070000004041424344454647",
		     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
		     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
		     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
		     "3ff4def08e4b7a9de576d26586cec64b6116"
		     "1ae10b594f09e26a7e902ecbd0600691");
	for (size_t i = 0; i < suites_len; i++)
		CHECK(backend_holds(suites[i], &c));
}

static void computes_the_example_of_the_xchacha_draft(void)
{
	struct aead_case c;

	fill_example(&c, "404142434445464748494a4b4c4d4e4f5051525354555657",
		     "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
		     "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
		     "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
		     "21f9664c97637da9768812f615c68b13b52e"
		     "c0875924c1c7987947deafd8780acf49");
	CHECK(xaead_holds(suites[0], &c));
}

/* RFC 8439, appendix A.5, whose nonce has the shape of a counter: the public calls. */
static void computes_the_example_of_rfc_8439_appendix_a_5(void)
{
	uint8_t key[32], ad[12], sealed[265 + AEAD_TAG_LEN], out[265 + AEAD_TAG_LEN];
	uint64_t counter = UINT64_C(0x0807060504030201);

	vectors_hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", key,
		    32);
	vectors_hex("f33388860000000000004e91", ad, sizeof(ad));
	vectors_hex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
		    "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
		    "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
		    "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
		    "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
		    "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
		    "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
		    "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
		    "a6ad5cb4022b02709b"
		    "eead9d67890cbb22392336fea1851f38",
		    sealed, sizeof(sealed));
	for (size_t i = 0; i < suites_len; i++) {
		CHECK(aead_open_ad(suites[i], key, counter, ad, sizeof(ad), sealed, 265, out));
		CHECK(memcmp(out, "Internet-Drafts are draft documents", 35) == 0);
		aead_seal_ad(suites[i], key, counter, ad, sizeof(ad), out, 265, out);
		CHECK(memcmp(out, sealed, sizeof(sealed)) == 0);
		CHECK(!aead_open_ad(suites[i], key, counter + 1, ad, sizeof(ad), sealed, 265,
				    out));
		CHECK(secret_is_zero(out, 265));
	}
}

/* Short lengths often, packet lengths often, everything else sometimes. */
static size_t pick_length(void)
{
	switch (seeded_next() % 4) {
	case 0:
		return seeded_next() % 70;
	case 1:
		return 1400 + seeded_next() % 40;
	default:
		return seeded_next() % (TEXT_MAX + 1);
	}
}

/* Seal with one suite and open with another, at random places, and look at the guards. */
static void round_trip(struct suite *from, struct suite *to, bool in_place)
{
	static struct guarded text, sealed, opened;
	uint8_t key[32], plain[TEXT_MAX];
	size_t len = pick_length();
	uint64_t counter = seeded_next() << 32 | seeded_next();
	struct aead_job j = { .key = key, .counter = counter, .len = (uint32_t)len };

	seeded_fill(key, sizeof(key));
	seeded_fill(plain, len);
	guarded_init(&text, seeded_next() % 64, len);
	guarded_init(&sealed, seeded_next() % 64, len + AEAD_TAG_LEN);
	guarded_init(&opened, seeded_next() % 64, len);
	memcpy(in_place ? sealed.at : text.at, plain, len);

	j.src = in_place ? sealed.at : text.at;
	j.dst = sealed.at;
	aead_seal(from, &j, 1);
	CHECK(guarded_holds(&sealed) && guarded_holds(&text));
	CHECK(in_place || memcmp(text.at, plain, len) == 0);

	j.src = sealed.at;
	j.dst = in_place ? sealed.at : opened.at;
	j.ok = false;
	aead_open(to, &j, 1);
	CHECK(j.ok);
	CHECK(memcmp(j.dst, plain, len) == 0);
	CHECK(guarded_holds(&sealed) && guarded_holds(&opened));
}

static void back_ends_open_what_the_other_sealed(void)
{
	for (size_t i = 0; i < 4000; i++)
		round_trip(suites[i % suites_len], suites[(i / 2) % suites_len], i % 8 < 4);
}

/* Readable memory that ends where a page nobody may touch begins. */
struct cliff {
	uint8_t *memory;
	uint8_t *edge;
};

enum { CLIFF_LEN = 4096 };

static bool cliff_open(struct cliff *c)
{
	c->memory = mmap(NULL, 2 * CLIFF_LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->memory == MAP_FAILED)
		return false;
	c->edge = c->memory + CLIFF_LEN;
	return mprotect(c->edge, CLIFF_LEN, PROT_NONE) == 0;
}

/* A read too far would go unseen elsewhere; here it ends the test. */
static void reads_nothing_behind_key_text_or_tag(void)
{
	struct cliff key, text, sealed;

	if (!cliff_open(&key) || !cliff_open(&text) || !cliff_open(&sealed)) {
		CHECK(false);
		return;
	}
	for (uint32_t len = 0; len <= 1500; len++) {
		struct suite *s = suites[len % suites_len];
		struct aead_job j = { .key = key.edge - 32,
				      .counter = len,
				      .src = text.edge - len,
				      .dst = sealed.edge - len - AEAD_TAG_LEN,
				      .len = len };

		aead_seal(s, &j, 1);
		j.src = j.dst;
		j.dst = text.edge - len;
		aead_open(s, &j, 1);
		CHECK(j.ok);
	}
	munmap(key.memory, 2 * CLIFF_LEN);
	munmap(text.memory, 2 * CLIFF_LEN);
	munmap(sealed.memory, 2 * CLIFF_LEN);
}

/* Each is the other's oracle: the same octets, not only the same meaning. */
static void back_ends_write_the_same_octets(void)
{
	static uint8_t text[TEXT_MAX], one[TEXT_MAX + AEAD_TAG_LEN],
		two[TEXT_MAX + AEAD_TAG_LEN];
	uint8_t key[32], ad[64];

	seeded_fill(text, sizeof(text));
	for (size_t len = 0; len <= TEXT_MAX; len += len < 700 ? 1 : 13) {
		size_t ad_len = len % (sizeof(ad) + 1);

		seeded_fill(key, sizeof(key));
		seeded_fill(ad, sizeof(ad));
		aead_seal_ad(suites[0], key, len, ad, ad_len, text, len, one);
		aead_seal_ad(suites[suites_len - 1], key, len, ad, ad_len, text, len, two);
		CHECK(memcmp(one, two, len + AEAD_TAG_LEN) == 0);
		CHECK(aead_open_ad(suites[0], key, len, ad, ad_len, two, len, two));
		CHECK(memcmp(two, text, len) == 0);
	}
}

static void refuses_a_short_packet_with_any_bit_flipped(void)
{
	enum { LEN = 48 };
	uint8_t key[32], sealed[LEN + AEAD_TAG_LEN], out[LEN];

	seeded_fill(key, sizeof(key));
	for (size_t i = 0; i < suites_len; i++) {
		struct aead_job j = { .key = key, .counter = 7, .src = sealed, .len = LEN };

		seeded_fill(sealed, LEN);
		j.dst = sealed;
		aead_seal(suites[i], &j, 1);
		j.dst = out;
		for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			j.ok = true;
			aead_open(suites[i], &j, 1);
			CHECK(!j.ok);
			CHECK(!aead_open_ad(suites[i], key, 7, NULL, 0, sealed, LEN, out));
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		aead_open(suites[i], &j, 1);
		CHECK(j.ok);
	}
}

static void judges_each_job_of_a_batch_by_itself(void)
{
	enum { JOBS = 300, LEN = 100 }; /* more than ipsec-mb's ring holds */
	static uint8_t packets[JOBS][LEN + AEAD_TAG_LEN];
	static struct aead_job jobs[JOBS];
	uint8_t keys[3][32];

	seeded_fill(keys, sizeof(keys));
	for (size_t i = 0; i < suites_len; i++) {
		for (uint32_t n = 0; n < JOBS; n++) {
			memset(packets[n], (int)n & 0xff, LEN);
			jobs[n] = (struct aead_job){ .key = keys[n % 3],
						     .counter = n,
						     .src = packets[n],
						     .dst = packets[n],
						     .len = n % (LEN + 1) };
		}
		aead_seal(suites[i], jobs, JOBS);
		for (uint32_t n = 0; n < JOBS; n += 7)
			packets[n][jobs[n].len + n % AEAD_TAG_LEN] ^= 0x80;
		aead_open(suites[suites_len - 1 - i], jobs, JOBS);
		for (uint32_t n = 0; n < JOBS; n++) {
			CHECK(jobs[n].ok == (n % 7 != 0));
			for (uint32_t at = 0; jobs[n].ok && at < jobs[n].len; at++)
				CHECK(packets[n][at] == (n & 0xff));
		}
	}
}

/* The fused split: what a later job reads may be what an earlier one wrote or read. Each job
 * here seals the output of the one before it, which comes out wrong in any other order. */
static void finishes_a_job_before_it_reads_the_next(void)
{
	enum { JOBS = 40, LEN = 200 };
	static uint8_t from[LEN], to[JOBS][LEN + AEAD_TAG_LEN], expected[LEN + AEAD_TAG_LEN];
	uint8_t key[32], text[LEN];

	seeded_fill(key, sizeof(key));
	seeded_fill(text, sizeof(text));
	for (size_t i = 0; i < suites_len; i++) {
		struct aead_job jobs[JOBS];

		memset(to, 0, sizeof(to)); /* the other back-end left the right answer */
		memcpy(from, text, LEN);
		for (uint32_t n = 0; n < JOBS; n++)
			jobs[n] = (struct aead_job){ .key = key,
						     .counter = n,
						     .src = n ? to[n - 1] : from,
						     .dst = to[n],
						     .len = LEN };
		aead_seal(suites[i], jobs, JOBS);
		memcpy(expected, text, LEN);
		for (uint32_t n = 0; n < JOBS; n++) {
			aead_seal_ad(suites[suites_len - 1], key, n, NULL, 0, expected, LEN,
				     expected);
			CHECK(memcmp(to[n], expected, LEN + AEAD_TAG_LEN) == 0);
		}
	}
}

static void takes_counters_beyond_32_bits(void)
{
	static const uint64_t counters[] = {
		0, 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX - 8193, UINT64_MAX
	};
	uint8_t key[32] = { 1 }, text[20] = { 2 }, nonce[12] = { 0 }, tag[AEAD_TAG_LEN];
	uint8_t sealed[20 + AEAD_TAG_LEN], expected[20];

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		struct aead_job j = { .key = key,
				      .counter = counters[i],
				      .src = text,
				      .dst = sealed,
				      .len = sizeof(text) };
		struct aead_message m = { .key = key,
					  .nonce = nonce,
					  .src = text,
					  .dst = expected,
					  .len = sizeof(text) };

		for (int b = 0; b < 8; b++)
			nonce[4 + b] = (uint8_t)(counters[i] >> (8 * b));
		for (size_t k = 0; k < suites_len; k++) {
			aead_seal(suites[k], &j, 1);
			suites[k]->aead->seal_one(suites[k]->aead_self, &m, tag);
			CHECK(memcmp(sealed, expected, sizeof(expected)) == 0);
			CHECK(memcmp(sealed + 20, tag, sizeof(tag)) == 0);
		}
	}
}

static void a_keepalive_is_a_tag_alone(void)
{
	uint8_t key[32] = { 9 }, tag[2][AEAD_TAG_LEN];

	for (size_t i = 0; i < suites_len; i++) {
		struct aead_job j = { .key = key, .counter = 3, .src = tag[i], .dst = tag[i] };

		aead_seal(suites[i], &j, 1);
		aead_open(suites[i], &j, 1);
		CHECK(j.ok);
		tag[i][15] ^= 1;
		aead_open(suites[i], &j, 1);
		CHECK(!j.ok);
	}
	CHECK(memcmp(tag[0], tag[suites_len - 1], AEAD_TAG_LEN) == 0);
}

static void a_back_end_asked_for_by_name_is_the_one_in_use(void)
{
	struct suite *best = NULL;

	for (size_t i = 0; i < suites_len; i++)
		CHECK(suite_backend(suites[i]) == (i == 0 ? SUITE_OPENSSL : SUITE_IPSECMB));
	CHECK(suite_new(SUITE_BEST, &best) == 0);
	CHECK(suite_backend(best) == suite_backend(suites[suites_len - 1]));
	suite_free(best);
	CHECK(suite_free(NULL) == NULL);
}

/* A back-end may be missing; one that is there and does not pass its own test is a failure. */
static bool add_suite(enum suite_backend backend, const char *name)
{
	int err = suite_new(backend, &suites[suites_len]);

	if (err == 0)
		suites_len++;
	else if (err == -ENOTSUP)
		printf("# %s is not in this build or processor: not tested\n", name);
	else
		printf("Bail out! %s does not start: %s\n", name, err_text(err));
	return err == 0 || err == -ENOTSUP;
}

int main(void)
{
	if (!add_suite(SUITE_OPENSSL, "OpenSSL") || !add_suite(SUITE_IPSECMB, "ipsec-mb") ||
	    suites_len == 0)
		return 1;
	RUN(agrees_with_wycheproof_on_chacha20_poly1305);
	RUN(agrees_with_wycheproof_on_xchacha20_poly1305);
	RUN(computes_the_example_of_rfc_8439_section_2_8_2);
	RUN(computes_the_example_of_the_xchacha_draft);
	RUN(computes_the_example_of_rfc_8439_appendix_a_5);
	RUN(back_ends_open_what_the_other_sealed);
	RUN(reads_nothing_behind_key_text_or_tag);
	RUN(back_ends_write_the_same_octets);
	RUN(refuses_a_short_packet_with_any_bit_flipped);
	RUN(judges_each_job_of_a_batch_by_itself);
	RUN(finishes_a_job_before_it_reads_the_next);
	RUN(takes_counters_beyond_32_bits);
	RUN(a_keepalive_is_a_tag_alone);
	RUN(a_back_end_asked_for_by_name_is_the_one_in_use);
	for (size_t i = 0; i < suites_len; i++)
		suite_free(suites[i]);
	return DONE();
}
