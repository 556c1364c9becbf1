/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hsflood - Handshake initiations from many peers and many addresses
 *
 *	hsflood keys COUNT
 *	hsflood garbage ADDRESS PORT KEY SOURCE SOURCES RATE SECONDS
 *	hsflood honest ADDRESS PORT KEY SOURCE SOURCES RATE SECONDS
 *
 * KEY is the server's public key in hex. Datagrams leave from SOURCE and the
 * SOURCES - 1 addresses after it, which the host must hold (a local route to a
 * prefix is enough). RATE in initiations per second, 0: as fast as one core goes.
 *
 * garbage: a valid MAC1, the rest random. It costs the server one DH to find out.
 * honest: complete initiations, peer i from address i; cookie replies are obeyed,
 * responses are counted, and one in VERIFY_EVERY is opened to see that it is real.
 * keys: the public keys of those peers in hex, for the server's configuration.
 *
 * Theory of operation: what does not change between two initiations of a peer is
 * made once. A peer keeps one ephemeral key, which costs the server as much as a
 * new one; the timestamp, the MACs and the index are new every time. That makes an
 * initiation cost 3 us here and leaves the other core to the server.
 *
 * Independent of the code it measures: BLAKE2s from libcrypto, the rest libsodium.
 * Source: WireGuard whitepaper, section 5.4.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <sys/socket.h>

enum {
	KEY_LEN = 32,
	TAG_LEN = 16,
	MAC_LEN = 16,
	BATCH_MAX = 32,
	PEERS_MAX = 65536, /* the low half of a sender index is the peer's number */
	VERIFY_EVERY = 64,
	TICK_US = 500,
	CATCH_UP_NS = 5000000,
	GRACE_NS = 500000000, /* late answers are waited for this long */
	SOCKET_BUFFER = 8 << 20,
};

static const uint64_t SECOND_NS = 1000000000;
static const uint64_t TAI_EPOCH = 0x400000000000000a;

struct initiation {
	uint8_t type[4];
	uint8_t sender[4];
	uint8_t ephemeral[KEY_LEN];
	uint8_t sealed_static[KEY_LEN + TAG_LEN];
	uint8_t sealed_time[12 + TAG_LEN];
	uint8_t mac1[MAC_LEN];
	uint8_t mac2[MAC_LEN];
};

struct response {
	uint8_t type[4], sender[4], receiver[4];
	uint8_t ephemeral[KEY_LEN], sealed_nothing[TAG_LEN], mac1[MAC_LEN], mac2[MAC_LEN];
};

struct cookie_reply {
	uint8_t type[4], receiver[4], nonce[24], sealed_cookie[16 + TAG_LEN];
};

/* One honest peer: what is computed once, and the state of its last initiation. */
struct peer {
	uint8_t static_private[KEY_LEN], ephemeral_private[KEY_LEN];
	uint8_t chain[KEY_LEN]; /* after the static-static secret */
	uint8_t time_key[KEY_LEN];
	uint8_t hash_before_time[KEY_LEN], hash[KEY_LEN];
	struct initiation ready; /* up to the timestamp */
	uint8_t last_mac1[MAC_LEN], cookie[MAC_LEN];
	bool has_cookie, is_answered;
	uint16_t sequence;
};

struct flood {
	int fd;
	uint32_t first_source;
	uint64_t sources, rate, seconds;
	uint8_t server[KEY_LEN], mac1_key[KEY_LEN], cookie_key[KEY_LEN], start_hash[KEY_LEN],
		start_chain[KEY_LEN];
	struct peer *peers; /* NULL: garbage */
	uint64_t sent, answered, cookies, verified, forged;
};

static EVP_MD *blake2s;
static EVP_MD_CTX *hash_ctx;
static EVP_MAC_CTX *mac_ctx;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "hsflood: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- Primitives --- */

static void primitives_init(void)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);

	blake2s = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	hash_ctx = EVP_MD_CTX_new();
	mac_ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	if (sodium_init() < 0 || !blake2s || !hash_ctx || !mac_ctx)
		fail("crypto libraries");
}

/* BLAKE2s of a ‖ b; out may be one of them. */
static void hash2(uint8_t out[KEY_LEN], const void *a, size_t a_len, const void *b,
		  size_t b_len)
{
	EVP_DigestInit_ex2(hash_ctx, blake2s, NULL);
	EVP_DigestUpdate(hash_ctx, a, a_len);
	EVP_DigestUpdate(hash_ctx, b, b_len);
	EVP_DigestFinal_ex(hash_ctx, out, NULL);
}

static void mac(uint8_t out[MAC_LEN], const uint8_t *key, size_t key_len, const void *data,
		size_t len)
{
	size_t size = MAC_LEN;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
				OSSL_PARAM_construct_end() };

	EVP_MAC_init(mac_ctx, key, key_len, params);
	EVP_MAC_update(mac_ctx, data, len);
	EVP_MAC_final(mac_ctx, out, &size, MAC_LEN);
}

static void hmac(uint8_t out[KEY_LEN], const uint8_t key[KEY_LEN], const void *data, size_t len)
{
	uint8_t pad[64], inner[KEY_LEN];

	memset(pad, 0x36, sizeof(pad));
	for (size_t i = 0; i < KEY_LEN; i++)
		pad[i] ^= key[i];
	hash2(inner, pad, sizeof(pad), data, len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash2(out, pad, sizeof(pad), inner, sizeof(inner));
}

/* KDFn of the whitepaper: out[0] may be the chain. */
static void kdf(uint8_t *const out[], int n, const uint8_t chain[KEY_LEN], const void *in,
		size_t len)
{
	uint8_t secret[KEY_LEN], block[KEY_LEN + 1];

	hmac(secret, chain, in, len);
	for (int i = 0; i < n; i++) {
		block[i ? KEY_LEN : 0] = (uint8_t)(i + 1);
		hmac(out[i], secret, block, i ? sizeof(block) : 1);
		memcpy(block, out[i], KEY_LEN);
	}
}

static void seal(uint8_t *out, const uint8_t key[KEY_LEN], const void *text, size_t len,
		 const uint8_t ad[KEY_LEN])
{
	static const uint8_t nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES];

	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, text, len, ad, KEY_LEN, NULL,
						  nonce, key);
}

static void put32(uint8_t out[4], uint32_t n)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(n >> 8 * i);
}

static uint32_t get32(const uint8_t in[4])
{
	return in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* --- Transcript --- */

static void server_init(struct flood *f)
{
	static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
	static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

	hash2(f->start_chain, construction, sizeof(construction) - 1, "", 0);
	hash2(f->start_hash, f->start_chain, KEY_LEN, identifier, sizeof(identifier) - 1);
	hash2(f->start_hash, f->start_hash, KEY_LEN, f->server, KEY_LEN);
	hash2(f->mac1_key, "mac1----", 8, f->server, KEY_LEN);
	hash2(f->cookie_key, "cookie--", 8, f->server, KEY_LEN);
}

static void peer_private(uint8_t out[KEY_LEN], uint32_t number, const char *kind)
{
	uint8_t n[4];

	put32(n, number);
	hash2(out, kind, strlen(kind), n, sizeof(n));
}

static void peer_init(struct peer *p, const struct flood *f, uint32_t number)
{
	uint8_t pub[KEY_LEN], shared[KEY_LEN], key[KEY_LEN], *hash = p->hash_before_time;
	struct initiation *m = &p->ready;

	peer_private(p->static_private, number, "hsflood static");
	peer_private(p->ephemeral_private, number, "hsflood ephemeral");
	crypto_scalarmult_base(pub, p->static_private);
	crypto_scalarmult_base(m->ephemeral, p->ephemeral_private);
	put32(m->type, 1);

	kdf((uint8_t *[]){ p->chain }, 1, f->start_chain, m->ephemeral, KEY_LEN);
	hash2(hash, f->start_hash, KEY_LEN, m->ephemeral, KEY_LEN);
	if (crypto_scalarmult(shared, p->ephemeral_private, f->server) < 0)
		fail("the server's key is of low order");
	kdf((uint8_t *[]){ p->chain, key }, 2, p->chain, shared, KEY_LEN);
	seal(m->sealed_static, key, pub, KEY_LEN, hash);
	hash2(hash, hash, KEY_LEN, m->sealed_static, sizeof(m->sealed_static));
	if (crypto_scalarmult(shared, p->static_private, f->server) < 0)
		fail("the server's key is of low order");
	kdf((uint8_t *[]){ p->chain, p->time_key }, 2, p->chain, shared, KEY_LEN);
}

/* A label greater than every earlier one, whatever the wall clock does. */
static void next_time(uint8_t out[12])
{
	static uint64_t last;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	uint64_t now = (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
	last = now > last ? now : last + 1;

	uint64_t seconds = TAI_EPOCH + last / SECOND_NS, ns = last % SECOND_NS;
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(seconds >> (56 - 8 * i));
	for (int i = 0; i < 4; i++)
		out[8 + i] = (uint8_t)(ns >> (24 - 8 * i));
}

static void make_honest(const struct flood *f, uint32_t number, struct initiation *m)
{
	struct peer *p = &f->peers[number];
	uint8_t label[12];

	*m = p->ready;
	p->sequence++;
	p->is_answered = false;
	put32(m->sender, number | (uint32_t)p->sequence << 16);
	next_time(label);
	seal(m->sealed_time, p->time_key, label, sizeof(label), p->hash_before_time);
	hash2(p->hash, p->hash_before_time, KEY_LEN, m->sealed_time, sizeof(m->sealed_time));
	mac(m->mac1, f->mac1_key, KEY_LEN, m, offsetof(struct initiation, mac1));
	memcpy(p->last_mac1, m->mac1, MAC_LEN);
	if (p->has_cookie)
		mac(m->mac2, p->cookie, MAC_LEN, m, offsetof(struct initiation, mac2));
}

static void make_garbage(const struct flood *f, struct initiation *m)
{
	static uint64_t state = 0x9e3779b97f4a7c15;
	uint8_t *at = m->sender;

	for (; at < m->mac1; at += 4) { /* 112 octets; xorshift64 is random enough to fail */
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		put32(at, (uint32_t)state);
	}
	put32(m->type, 1);
	mac(m->mac1, f->mac1_key, KEY_LEN, m, offsetof(struct initiation, mac1));
	memset(m->mac2, 0, MAC_LEN);
}

/* --- Answers --- */

/* Does the response open under the keys that only the server can derive? */
static bool is_genuine(const struct peer *p, const struct response *m)
{
	static const uint8_t nonce[12], no_psk[KEY_LEN];
	uint8_t chain[KEY_LEN], hash[KEY_LEN], shared[KEY_LEN], tau[KEY_LEN], key[KEY_LEN];

	kdf((uint8_t *[]){ chain }, 1, p->chain, m->ephemeral, KEY_LEN);
	hash2(hash, p->hash, KEY_LEN, m->ephemeral, KEY_LEN);
	if (crypto_scalarmult(shared, p->ephemeral_private, m->ephemeral) < 0)
		return false;
	kdf((uint8_t *[]){ chain }, 1, chain, shared, KEY_LEN);
	if (crypto_scalarmult(shared, p->static_private, m->ephemeral) < 0)
		return false;
	kdf((uint8_t *[]){ chain }, 1, chain, shared, KEY_LEN);
	kdf((uint8_t *[]){ chain, tau, key }, 3, chain, no_psk, KEY_LEN);
	hash2(hash, hash, KEY_LEN, tau, KEY_LEN);
	return crypto_aead_chacha20poly1305_ietf_decrypt(NULL, NULL, NULL, m->sealed_nothing,
							 TAG_LEN, hash, KEY_LEN, nonce,
							 key) == 0;
}

/* The peer whose last initiation carried this index, or NULL. */
static struct peer *asker(const struct flood *f, const uint8_t receiver[4])
{
	uint32_t index = get32(receiver), number = index & (PEERS_MAX - 1);

	if (!f->peers || number >= f->sources || f->peers[number].sequence != index >> 16)
		return NULL;
	return &f->peers[number];
}

static void take_response(struct flood *f, const struct response *m)
{
	struct peer *p = asker(f, m->receiver);

	if (!p || p->is_answered)
		return;
	p->is_answered = true;
	f->answered++;
	if (f->answered % VERIFY_EVERY == 1)
		*(is_genuine(p, m) ? &f->verified : &f->forged) += 1;
}

static void take_cookie(struct flood *f, const struct cookie_reply *m)
{
	struct peer *p = asker(f, m->receiver);

	f->cookies++;
	if (p && crypto_aead_xchacha20poly1305_ietf_decrypt(
			 p->cookie, NULL, NULL, m->sealed_cookie, sizeof(m->sealed_cookie),
			 p->last_mac1, MAC_LEN, m->nonce, f->cookie_key) == 0)
		p->has_cookie = true;
}

static void drain(struct flood *f)
{
	for (;;) {
		uint8_t data[2048];
		ssize_t n = recv(f->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0)
			return;
		if (n == sizeof(struct response) && get32(data) == 2)
			take_response(f, (const struct response *)data);
		else if (n == sizeof(struct cookie_reply) && get32(data) == 3)
			take_cookie(f, (const struct cookie_reply *)data);
	}
}

/* --- Sending --- */

struct outgoing {
	struct mmsghdr msgs[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	struct initiation data[BATCH_MAX];
	_Alignas(struct cmsghdr)
		uint8_t control[BATCH_MAX][CMSG_SPACE(sizeof(struct in_pktinfo))];
};

static struct outgoing out;

static void outgoing_init(void)
{
	for (size_t i = 0; i < BATCH_MAX; i++) {
		struct msghdr *h = &out.msgs[i].msg_hdr;

		out.iov[i] = (struct iovec){ .iov_base = &out.data[i],
					     .iov_len = sizeof(out.data[i]) };
		*h = (struct msghdr){ .msg_iov = &out.iov[i],
				      .msg_iovlen = 1,
				      .msg_control = out.control[i],
				      .msg_controllen = sizeof(out.control[i]) };
		*CMSG_FIRSTHDR(h) =
			(struct cmsghdr){ .cmsg_level = IPPROTO_IP,
					  .cmsg_type = IP_PKTINFO,
					  .cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)) };
	}
}

static void send_batch(struct flood *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		uint32_t number = (uint32_t)((f->sent + i) % f->sources);
		struct in_pktinfo from = { .ipi_spec_dst.s_addr =
						   htonl(f->first_source + number) };

		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&out.msgs[i].msg_hdr)), &from, sizeof(from));
		if (f->peers)
			make_honest(f, number, &out.data[i]);
		else
			make_garbage(f, &out.data[i]);
	}
	for (unsigned int done = 0; done < n;) {
		int sent = sendmmsg(f->fd, out.msgs + done, n - done, 0);

		if (sent < 0 && errno != ENOBUFS && errno != ECONNREFUSED && errno != EINTR)
			fail("sendmmsg");
		done += sent > 0 ? (unsigned int)sent : 1;
	}
	f->sent += n;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t when_ns)
{
	struct timespec t = { .tv_sec = (time_t)(when_ns / SECOND_NS),
			      .tv_nsec = (long)(when_ns % SECOND_NS) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void run(struct flood *f)
{
	uint64_t n = f->rate ? f->rate * TICK_US / 1000000 : BATCH_MAX;
	uint64_t start = now_ns(), due = start, end = start + f->seconds * SECOND_NS;

	n = n < 1 ? 1 : n > BATCH_MAX ? BATCH_MAX : n;
	while (now_ns() < end) {
		send_batch(f, (unsigned int)n);
		drain(f);
		if (!f->rate)
			continue;
		due += n * SECOND_NS / f->rate;
		if (due + CATCH_UP_NS < now_ns())
			due = now_ns() - CATCH_UP_NS;
		sleep_until(due);
	}
	double took = (double)(now_ns() - start) / 1e9;

	for (uint64_t late = now_ns() + GRACE_NS; now_ns() < late;
	     sleep_until(now_ns() + 1000000))
		drain(f);
	printf("{\"sent\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"cookies\": %" PRIu64
	       ", \"verified\": %" PRIu64 ", \"forged\": %" PRIu64 ", \"seconds\": %.3f}\n",
	       f->sent, f->answered, f->cookies, f->verified, f->forged, took);
}

/* --- Arguments --- */

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < min || n > max) {
		fprintf(stderr, "hsflood: %s is not between %" PRIu64 " and %" PRIu64 "\n",
			text, min, max);
		exit(2);
	}
	return n;
}

static void open_socket(struct flood *f, const char *address, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)number(port, 1, 65535)) };
	int size = SOCKET_BUFFER;

	f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail(address);
	if (setsockopt(f->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

	/* Not connected: a connected socket would have one source address. */
	static struct sockaddr_in where;
	where = to;
	for (size_t i = 0; i < BATCH_MAX; i++) {
		out.msgs[i].msg_hdr.msg_name = &where;
		out.msgs[i].msg_hdr.msg_namelen = sizeof(where);
	}
}

static void print_keys(uint64_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t private_key[KEY_LEN], public_key[KEY_LEN];
		char hex[2 * KEY_LEN + 1];

		peer_private(private_key, i, "hsflood static");
		crypto_scalarmult_base(public_key, private_key);
		puts(sodium_bin2hex(hex, sizeof(hex), public_key, KEY_LEN));
	}
}

int main(int argc, char **argv)
{
	static struct flood f;
	struct in_addr first;
	size_t len = 0;

	primitives_init();
	if (argc == 3 && strcmp(argv[1], "keys") == 0) {
		print_keys(number(argv[2], 1, PEERS_MAX));
		return 0;
	}
	bool is_honest = argc == 9 && strcmp(argv[1], "honest") == 0;
	if (argc != 9 || (!is_honest && strcmp(argv[1], "garbage") != 0) ||
	    sodium_hex2bin(f.server, KEY_LEN, argv[4], strlen(argv[4]), NULL, &len, NULL) < 0 ||
	    len != KEY_LEN || inet_pton(AF_INET, argv[5], &first) != 1) {
		fputs("usage: see the head of bench/hsflood.c\n", stderr);
		return 2;
	}
	f.first_source = ntohl(first.s_addr);
	f.sources = number(argv[6], 1, PEERS_MAX);
	f.rate = number(argv[7], 0, 100000000);
	f.seconds = number(argv[8], 1, 86400);
	outgoing_init();
	open_socket(&f, argv[2], argv[3]);
	server_init(&f);
	if (is_honest) {
		f.peers = calloc(f.sources, sizeof(*f.peers));
		if (!f.peers)
			fail("memory");
		for (uint32_t i = 0; i < f.sources; i++)
			peer_init(&f.peers[i], &f, i);
	}
	puts("ready");
	fflush(stdout);
	run(&f);
	return 0;
}
