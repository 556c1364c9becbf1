/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a TCP carrier to its proof; hello.h has the messages. */
#include <errno.h>
#include <string.h>

#include "carrier/server_internal.h"
#include "crypto/secret.h"
#include "sys/random.h"

/* Read until @need octets are in @in. Return: 0; -EAGAIN; -EPIPE; -errno. */
static int gather(struct connection *c, size_t need)
{
	while (c->have < need) {
		ssize_t n = stream_read(&c->stream, c->in + c->have, need - c->have);

		if (n <= 0)
			return n == 0 ? -EPIPE : (int)n;
		c->have += (size_t)n;
	}
	return 0;
}

/* Of a key that nobody has: the proof comes from a secret of this process, as long and random. */
static const uint8_t *digest_of(const struct connection *c)
{
	const struct carrier_key *key = carrier_keys_find_tag(c->server->keys, c->hello.tag);

	return key ? key->digest : c->server->nobody;
}

static int answer(struct connection *c)
{
	uint8_t out[HELLO_ANSWER_LEN];
	ssize_t n;

	if (!hello_read(&c->hello, c->in))
		return ERR_FORMAT;
	random_fill(c->hello.server_nonce, sizeof(c->hello.server_nonce));
	memcpy(out, c->hello.server_nonce, HELLO_NONCE_LEN);
	hello_prove(&c->hello, HELLO_SERVER, digest_of(c), out + HELLO_NONCE_LEN);
	n = stream_write(&c->stream, out, sizeof(out));
	if (n != (ssize_t)sizeof(out)) /* nothing was sent before: there is room, or no sense */
		return -EPIPE;
	c->have = 0;
	c->state = CONNECTION_PROVING;
	return 0;
}

static int judge(struct connection *c)
{
	struct carrier_server *s = c->server;
	const struct carrier_key *key = carrier_keys_find_tag(s->keys, c->hello.tag);
	bool is_right =
		hello_is_proof(&c->hello, HELLO_CLIENT, key ? key->digest : s->nobody, c->in);
	int err;

	secret_wipe(c->in, HELLO_PROOF_LEN);
	if (!is_right || !key) {
		s->counts.refused++;
		return ERR_AUTH;
	}
	c->have = 0;
	err = connection_let_in(c, key);
	if (err == 0)
		err = connection_begin_relay(c, FRAMING_LENGTH);
	if (err == 0)
		relay_say(c->relay, s->now_ns);
	return err == 0 ? relay_flush(c->relay, s->now_ns) : err;
}

int connection_prove(struct connection *c)
{
	int err = 0;

	if (c->state == CONNECTION_ASKING) {
		err = gather(c, HELLO_LEN);
		if (err == 0)
			err = answer(c);
	}
	if (err == 0 && c->state == CONNECTION_PROVING) {
		err = gather(c, HELLO_PROOF_LEN);
		if (err == 0)
			err = judge(c);
	}
	return err == -EAGAIN ? 0 : err;
}
