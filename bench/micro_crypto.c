/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the primitives cost on one core: nanoseconds of CPU time per operation.
 *
 *	ninja -C BUILD bench/micro_crypto && BUILD/bench/micro_crypto
 *
 * Each figure is the least of several rounds: what else runs on the machine only adds.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "noise/cookie.h"
#include "noise/handshake.h"
#include "noise/ratelimit.h"
#include "noise/replay.h"

enum { ROUNDS = 15 };

static const double round_ns = 20e6;

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What an operation works on. */
struct bench {
	struct suite *suite;
	uint8_t key[32], pub[32], out[64], text[2048], sealed[2048 + 16];
	size_t len;
	uint64_t counter;
	struct secret_key ephemeral;

	struct noise_identity i, r;
	struct noise_remote i_sees_r, r_sees_i;
	struct cookie_checker checker;
	struct cookie_maker maker;
	struct noise_handshake hs;
	struct msg_initiation m1;
	struct msg_response m2;
	struct msg_cookie reply;
	struct endpoint source;
	struct ratelimit *rates;
	struct replay replay;
};

static void must(bool ok)
{
	if (!ok) {
		fprintf(stderr, "an operation failed: figures would mean nothing\n");
		exit(1);
	}
}

static double measure(void (*op)(struct bench *), struct bench *b)
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double begin = cpu_ns(), end;
		uint64_t n = 0;

		do {
			for (int i = 0; i < 16; i++)
				op(b);
			n += 16;
			end = cpu_ns();
		} while (end - begin < round_ns);
		if ((end - begin) / (double)n < best)
			best = (end - begin) / (double)n;
	}
	return best;
}

static double show(const char *name, void (*op)(struct bench *), struct bench *b)
{
	double ns = measure(op, b);

	printf("%-44s %10.0f ns\n", name, ns);
	fflush(stdout);
	return ns;
}

/* In batches of 32, as the data path does: one call per super-frame. */
enum { BATCH = 32 };

static void op_seal(struct bench *b)
{
	struct aead_job jobs[BATCH];

	for (size_t i = 0; i < BATCH; i++)
		jobs[i] = (struct aead_job){ .key = b->key,
					     .counter = b->counter++,
					     .src = b->text,
					     .dst = b->sealed,
					     .len = (uint32_t)b->len };
	aead_seal(b->suite, jobs, BATCH);
}

static void op_open(struct bench *b)
{
	struct aead_job jobs[BATCH];

	for (size_t i = 0; i < BATCH; i++)
		jobs[i] = (struct aead_job){ .key = b->key,
					     .counter = b->counter,
					     .src = b->sealed,
					     .dst = b->text,
					     .len = (uint32_t)b->len };
	aead_open(b->suite, jobs, BATCH);
	must(jobs[0].ok);
}

static void op_seal_ad(struct bench *b)
{
	aead_seal_ad(b->suite, b->key, 0, b->pub, 32, b->text, 32, b->sealed);
}

static void op_xseal(struct bench *b)
{
	xaead_seal(b->suite, b->key, b->text, b->pub, 16, b->text, 16, b->sealed);
}

static void op_hash(struct bench *b)
{
	hash_parts(b->suite, b->out, (struct hash_part[]){ { b->key, 32 }, { b->pub, 32 } }, 2);
}

static void op_mac(struct bench *b)
{
	mac_parts(b->suite, b->out, b->key, 32, &(struct hash_part){ b->text, 116 }, 1);
}

static void op_kdf2(struct bench *b)
{
	kdf(b->suite, (uint8_t *[]){ b->out, b->out + 32 }, 2, b->key, b->pub, 32);
}

static void op_public(struct bench *b)
{
	dh_public(b->suite, b->out, &b->ephemeral);
}

static void op_dh(struct bench *b)
{
	must(dh(b->suite, b->out, &b->ephemeral, b->pub));
}

static void op_dh_new_key(struct bench *b)
{
	b->ephemeral.b[1]++;
	op_dh(b);
	dh_forget(b->suite, &b->ephemeral);
}

static void op_mac1_check(struct bench *b)
{
	must(cookie_mac1_is_valid(&b->checker, b->suite, &b->m1, sizeof(b->m1)));
}

static void op_mac2_refuse(struct bench *b)
{
	must(!cookie_mac2_is_valid(&b->checker, b->suite, &b->m1, sizeof(b->m1), &b->source));
}

static void op_cookie_reply(struct bench *b)
{
	cookie_reply_create(&b->checker, b->suite, MESSAGE_COOKIE, &b->m1, sizeof(b->m1),
			    &b->source, b->text, &b->reply);
}

static void op_ratelimit(struct bench *b)
{
	b->counter++;
	memcpy(b->source.ip.b, &b->counter, 4);
	b->out[0] = ratelimit_take(b->rates, b->counter * 10000, &b->source.ip);
}

static void op_replay(struct bench *b)
{
	must(replay_accept(&b->replay, b->counter++));
}

/* Everything from a datagram's arrival to the signed answer. */
static void op_respond(struct bench *b)
{
	struct noise_handshake hs;
	struct noise_keys keys;
	struct msg_response m2;
	uint8_t time[NOISE_TIME_LEN];

	b->ephemeral.b[2]++;
	must(cookie_mac1_is_valid(&b->checker, b->suite, &b->m1, sizeof(b->m1)));
	must(noise_initiation_open(b->suite, &b->r, &b->m1, &hs) == 0);
	must(noise_initiation_finish(b->suite, &b->r, &b->r_sees_i, &b->m1, &hs, time) == 0);
	must(noise_response_create(b->suite, &hs, &b->r_sees_i, MESSAGE_RESPONSE, 2, 1,
				   b->ephemeral.b, &m2, &keys) == 0);
	cookie_sign(&b->maker, b->suite, b->i.public_key, 0, &m2, sizeof(m2));
	noise_keys_done(&keys);
}

static void op_initiate(struct bench *b)
{
	struct noise_handshake hs;
	struct msg_initiation m1;

	b->ephemeral.b[2]++;
	must(noise_initiation_create(b->suite, &b->i, &b->i_sees_r, MESSAGE_INITIATION, 1,
				     b->ephemeral.b, b->text, &hs, &m1) == 0);
	cookie_sign(&b->maker, b->suite, b->r.public_key, 0, &m1, sizeof(m1));
	noise_handshake_done(&hs);
}

static void op_accept(struct bench *b)
{
	struct noise_keys keys;

	must(noise_response_accept(b->suite, &b->i, &b->i_sees_r, &b->hs, &b->m2, &keys) == 0);
	noise_keys_done(&keys);
}

static void op_forged_initiation(struct bench *b)
{
	struct noise_handshake hs;
	struct msg_initiation m1 = b->m1;

	m1.sealed_static[0] ^= 1;
	must(noise_initiation_open(b->suite, &b->r, &m1, &hs) != 0);
}

/* A pair of hosts and one finished handshake between them. */
static void prepare(struct bench *b)
{
	struct secret_key k;
	struct noise_handshake hs;
	struct noise_keys keys;
	uint8_t time[NOISE_TIME_LEN] = { 0 };

	memset(&k, 0x42, sizeof(k));
	noise_identity_init(&b->i, b->suite, &k);
	memset(&k, 0x43, sizeof(k));
	noise_identity_init(&b->r, b->suite, &k);
	memcpy(b->i_sees_r.public_key, b->r.public_key, 32);
	memcpy(b->r_sees_i.public_key, b->i.public_key, 32);
	memcpy(b->pub, b->r.public_key, 32);
	memset(&b->ephemeral, 0x44, sizeof(b->ephemeral));
	b->source = (struct endpoint){ .ip = { ADDR_V4, { 192, 0, 2, 1 } }, .port = 9 };

	cookie_checker_init(&b->checker, b->suite, b->r.public_key);
	cookie_checker_turn(&b->checker, 0, b->key);
	must(noise_initiation_create(b->suite, &b->i, &b->i_sees_r, MESSAGE_INITIATION, 1,
				     b->ephemeral.b, time, &b->hs, &b->m1) == 0);
	cookie_sign(&b->maker, b->suite, b->r.public_key, 0, &b->m1, sizeof(b->m1));
	must(noise_initiation_open(b->suite, &b->r, &b->m1, &hs) == 0);
	must(noise_initiation_finish(b->suite, &b->r, &b->r_sees_i, &b->m1, &hs, time) == 0);
	must(noise_response_create(b->suite, &hs, &b->r_sees_i, MESSAGE_RESPONSE, 2, 1,
				   b->ephemeral.b, &b->m2, &keys) == 0);
	noise_keys_done(&keys);
}

static void show_aead(struct bench *b, const char *backend)
{
	static const size_t lengths[] = { 0, 64, 576, 1420 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct aead_job j = { .key = b->key, .src = b->text, .dst = b->sealed };
		double seal, open;

		b->len = lengths[i];
		j.len = (uint32_t)b->len;
		seal = measure(op_seal, b) / BATCH;
		j.counter = b->counter;
		aead_seal(b->suite, &j, 1);
		open = measure(op_open, b) / BATCH;
		printf("%-8s %4zu octets: seal %6.0f ns, open %6.0f ns\n", backend, b->len,
		       seal, open);
		fflush(stdout);
	}
}

static void show_handshake(struct bench *b)
{
	double ns;

	show("forged initiation refused after MAC1", op_forged_initiation, b);
	show("initiation created and signed", op_initiate, b);
	show("response accepted", op_accept, b);
	ns = show("initiation checked, answered, signed", op_respond, b);
	printf("%-44s %10.0f per second and core\n", "handshakes answered", 1e9 / ns);
}

static void run(enum suite_backend backend, const char *name)
{
	static struct bench b;

	memset(&b, 0, sizeof(b));
	if (suite_new(backend, &b.suite) != 0) {
		printf("%s: not in this build or processor\n", name);
		return;
	}
	prepare(&b);
	show_aead(&b, name);
	show("seal 32 octets with 32 of additional data", op_seal_ad, &b);
	show_handshake(&b);
	suite_free(b.suite);
}

static void run_common(void)
{
	static struct bench b;

	must(suite_new(SUITE_BEST, &b.suite) == 0);
	must(ratelimit_new(65536, 20, 5, b.key, &b.rates) == 0);
	prepare(&b);
	show("X25519, a key kept ready", op_dh, &b);
	show("X25519, a new private key", op_dh_new_key, &b);
	show("X25519 public key", op_public, &b);
	show("BLAKE2s of 64 octets", op_hash, &b);
	show("keyed BLAKE2s-128 of 116 octets", op_mac, &b);
	show("KDF2", op_kdf2, &b);
	show("XChaCha20-Poly1305 of a cookie", op_xseal, &b);
	show("MAC1 of an initiation checked", op_mac1_check, &b);
	show("MAC2 of an initiation refused", op_mac2_refuse, &b);
	show("cookie reply", op_cookie_reply, &b);
	show("rate limiter, a new source each time", op_ratelimit, &b);
	b.counter = 0;
	show("replay window, in order", op_replay, &b);
	ratelimit_free(b.rates);
	suite_free(b.suite);
}

int main(void)
{
	run_common();
	run(SUITE_IPSECMB, "ipsec-mb");
	run(SUITE_OPENSSL, "OpenSSL");
	return 0;
}
