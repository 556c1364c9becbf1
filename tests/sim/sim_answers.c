/* SPDX-License-Identifier: Apache-2.0 */
/* MACs, cookies, and how long answers are, whatever the framing. */
#include <sodium.h>

#include "framed.h"

/* --- MACs --- */

static bool has_mac1_for(const struct sim_datagram *d, const struct sim_node *n)
{
	return naive_has_mac1(d->plain, d->plain_len, n->public_key);
}

/* @rounds handshakes; each is answered at once, so each MAC1 was found good. */
static void check_mac1s(const char *text, int rounds, uint32_t words[2])
{
	struct pair p = pair_framed(text);

	for (int i = 0; i < rounds; i++) {
		both_ways(&p, 200 * SIM_MS);
		sim_run_for(p.s, 181 * SIM_S);
	}
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == (size_t)rounds);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == (size_t)rounds);
	for (size_t i = 0; i < p.s->n_log; i++) {
		const struct sim_datagram *d = &p.s->log[i];

		if (d->type != MESSAGE_INITIATION && d->type != MESSAGE_RESPONSE)
			continue;
		CHECK(has_mac1_for(d, other(&p, d->from)));
		words[d->type - 1] |= UINT32_C(1) << (naive_word(d->plain) & 7);
	}
	CHECK(sim_counters(p.a).bad_mac1 + sim_counters(p.b).bad_mac1 == 0);
	pair_done(&p);
}

/* A1: the type word as sent is under MAC1. */
static void mac1_is_made_and_judged_over_the_word_that_was_sent(void)
{
	static const char *const words[] = {
		"h1=0 h2=4294967295",
		"h1=4294967295 h2=0",
		"h1=2147483648 h2=2147483647",
		"h1=2 h2=1",
		"h1=5-1431655765 h2=1431655766-2863311530 h3=2863311531-4294967294 h4=4294967295",
		"h1=1000 h2=2000 h3=3000 h4=4000 s1=12 s2=12 s3=12 s4=12"
		" header_protection_key=" KEY_A,
	};
	uint32_t seen[2] = { 0 };

	check_mac1s("h1=1024-1031 h2=2048-2055 s1=9", 60, seen);
	CHECK(seen[0] == 0xff && seen[1] == 0xff); /* each of the eight words was drawn */
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		check_mac1s(words[i], 4, seen);
}

/* --- Cookies --- */

/* Whitepaper, section 5.4.7: the cookie in @reply to @to_message from the node with @key. */
static bool open_cookie(const struct sim_datagram *reply, const struct sim_datagram *to_message,
			const uint8_t public_key[32], uint8_t cookie[16])
{
	const struct msg_cookie *m = (const void *)reply->plain;
	uint8_t key[32];

	naive_label_key("cookie--", public_key, key);
	return crypto_aead_xchacha20poly1305_ietf_decrypt(
		       cookie, NULL, NULL, m->sealed_cookie, sizeof(m->sealed_cookie),
		       to_message->plain + to_message->plain_len - 32, 16, m->nonce, key) == 0;
}

static bool has_mac2(const struct sim_datagram *d, const uint8_t cookie[16])
{
	uint8_t mac[16];

	naive_mac(cookie, 16, d->plain, d->plain_len - 16, mac);
	return memcmp(mac, d->plain + d->plain_len - 16, 16) == 0;
}

static const struct sim_datagram *cookie_for(const struct pair *p, const struct sim_node *to)
{
	const struct sim_datagram *d = NULL;

	for (size_t n = 0; (d = sim_nth(p->s, NULL, MESSAGE_COOKIE, 0, n)) && d->to != to; n++)
		;
	return d;
}

/* A1, A6's sane half: MAC2 over the word sent, with a cookie that came in this dress. */
static void a_cookie_is_asked_for_and_shown_in_every_way(void)
{
	for (int way = 0; way < WAYS; way++) {
		struct pair p = pair_way(way);
		const struct sim_datagram *first, *second, *reply;
		uint8_t cookie[16];

		p.s->on_wire = second_is_busy;
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 12 * SIM_S);
		CHECK(p.b->delivered == 1);
		CHECK(said(&p, p.a, MESSAGE_INITIATION) == 2);
		CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
		first = sim_nth(p.s, p.a, MESSAGE_INITIATION, 0, 0);
		second = sim_nth(p.s, p.a, MESSAGE_INITIATION, 0, 1);
		reply = cookie_for(&p, p.a);
		CHECK(first && second && reply);
		if (first && second && reply) {
			CHECK(open_cookie(reply, first, p.b->public_key, cookie));
			CHECK(has_mac2(second, cookie) && !has_mac2(first, cookie));
			CHECK(has_mac1_for(first, p.b) && has_mac1_for(second, p.b));
		}
		pair_done(&p);
	}
}

/* A6: the kernel module of 3.0 does not mask its cookie replies. */
static void a_cookie_reply_without_its_mask_is_understood(void)
{
	struct pair p = pair_framed(generations[3]);
	const struct sim_datagram *masked = NULL;
	uint8_t bare[13 + sizeof(struct msg_cookie)] = { 0 };

	p.s->on_wire = second_is_busy;
	p.b->link.loss_ppm = 1000000;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	masked = cookie_for(&p, p.a);
	CHECK(masked && masked->len == sizeof(bare));
	memcpy(bare + 13, masked->plain, masked->plain_len);
	p.b->link.loss_ppm = 0;
	sim_inject(p.a, &p.b->address, bare, sizeof(bare));
	sim_run_for(p.s, 6 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 2 && p.b->delivered == 1);
	pair_done(&p);
}

/* And no data is lost by it that has a key already. */
static void without_cookies_a_busy_node_drops_strangers_and_serves_its_peers(void)
{
	struct pair p = pair_framed_up("s1=20 s2=21 disable_cookies=1");
	struct sim_node *late = sim_node_new(p.s);

	sim_frame_text(late, "s1=20 s2=21");
	sim_introduce(late, p.b);
	put_under_load(p.b);
	sim_send(late, p.b, 100);
	for (int i = 0; i < 50; i++) {
		sim_send(p.a, p.b, 100);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 10 * SIM_MS);
	}
	sim_run_for(p.s, 100 * SIM_MS);
	CHECK(p.b->delivered == 51 && p.a->delivered == 50);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) == 0 && sim_counters(p.b).cookies_sent == 0);
	CHECK(said(&p, late, MESSAGE_INITIATION) == 1);
	CHECK(sim_logged(p.s, p.b, MESSAGE_RESPONSE, p.mark) == 0);
	CHECK(sim_counters(p.b).handshakes_refused > 0);
	sim_run_for(p.s, 6 * SIM_S); /* the load is over when it asks again */
	CHECK(p.b->delivered == 52);
	pair_done(&p);
}

/* --- Lengths --- */

/* No answer of the second node is longer than the last that it was asked. */
struct question {
	uint32_t len;
	uint32_t answers;
	uint32_t cookies;
	uint32_t longer;
	uint32_t with_trailer;
	bool is_busy;
};

static bool compare_lengths(struct sim *s, const struct sim_datagram *d)
{
	struct question *q = s->context;

	if (d->type == MESSAGE_INITIATION) {
		q->len = d->len;
		if (q->is_busy)
			put_under_load(s->nodes[1]);
	}
	if (d->to != s->nodes[0] || (d->type != MESSAGE_RESPONSE && d->type != MESSAGE_COOKIE))
		return true;
	q->answers += d->type == MESSAGE_RESPONSE;
	q->cookies += d->type == MESSAGE_COOKIE;
	q->longer += d->len > q->len;
	q->with_trailer +=
		d->len > d->plain_len + s->nodes[1]->profiles[0].parameters.pad[d->type - 1];
	return true;
}

static void ask_and_compare(enum frame_level level, struct question *q)
{
	struct pair p = pair_level(level);
	struct frame_parameters copy;

	for (int i = 0; i < 2; i++) {
		struct sim_node *n = i ? p.b : p.a;

		CHECK(frame_parameters_copy(&copy, &n->profiles[0].parameters) == 0);
		copy.random_trailers = true;
		frame_alone(n, &copy);
		frame_parameters_done(&copy);
	}
	p.s->context = q;
	p.s->on_wire = compare_lengths;
	for (int i = 0; i < 8; i++) {
		sim_send(p.a, p.b, 1400); /* the window is wide */
		sim_run_for(p.s, SIM_S);
		sim_send(p.b, p.a, 1400);
		q->is_busy = i == 4;
		sim_run_for(p.s, 250 * SIM_S);
	}
	CHECK(p.b->delivered == 8 && p.a->delivered == 8);
	pair_done(&p);
}

/* A24 */
static void no_answer_is_longer_than_the_question(void)
{
	for (enum frame_level level = FRAME_OFF; level < FRAME_LEVELS; level++) {
		struct question q = { .len = 0 };

		for (int i = 0; i < 20; i++) {
			q.is_busy = false;
			ask_and_compare(level, &q);
		}
		CHECK(q.answers >= 20 * 7 && q.cookies >= 20);
		CHECK(q.with_trailer > q.answers / 2);
		CHECK(q.longer == 0);
	}
}

int main(void)
{
	dice_begin(1);
	RUN(mac1_is_made_and_judged_over_the_word_that_was_sent);
	RUN(a_cookie_is_asked_for_and_shown_in_every_way);
	RUN(a_cookie_reply_without_its_mask_is_understood);
	RUN(without_cookies_a_busy_node_drops_strangers_and_serves_its_peers);
	RUN(no_answer_is_longer_than_the_question);
	return DONE();
}
