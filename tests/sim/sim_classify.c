/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that looks like a handshake: with random trailers and wide ranges of types, other
 * implementations throw it away. Here none is lost; a judge beside it, who goes by their rule,
 * shows how much would have been.
 */
#include "framed.h"

enum { PACKETS = 100000, PACKETS_FULL = 10000000 };

/* --- The other implementations' rule --- */

static bool has_word(const struct frame_parameters *p, const struct sim_datagram *d,
		     uint32_t type)
{
	uint8_t word[4];

	if (d->len < p->pad[type - 1] + 4)
		return false;
	memcpy(word, d->data + p->pad[type - 1], sizeof(word));
	naive_mask(p, d->data, word, sizeof(word));
	return naive_word(word) >= p->header[type - 1].lo &&
	       naive_word(word) <= p->header[type - 1].hi;
}

static bool is_long_enough(const struct frame_parameters *p, const struct sim_datagram *d,
			   uint32_t type)
{
	return d->len >= p->pad[type - 1] + (uint32_t)naive_masked(type);
}

/* Handshakes first, by length and type word alone; data is what is left. */
static bool others_hear_data(const struct frame_parameters *p, const struct sim_datagram *d)
{
	for (uint32_t type = MESSAGE_INITIATION; type <= MESSAGE_COOKIE; type++)
		if (is_long_enough(p, d, type) && has_word(p, d, type))
			return false;
	return d->len >= p->pad[3] + 32 && has_word(p, d, MESSAGE_DATA);
}

/* How likely they are to lose one of this length: each word that they look at is random. */
static double likely_loss(const struct frame_parameters *p, const struct sim_datagram *d)
{
	double heard = 1;

	for (uint32_t type = MESSAGE_INITIATION; type <= MESSAGE_COOKIE; type++)
		if (is_long_enough(p, d, type))
			heard *= 1 - ((double)p->header[type - 1].hi -
				      (double)p->header[type - 1].lo + 1) /
					     4294967296.0;
	return 1 - heard;
}

/* --- The count --- */

struct verdict {
	uint64_t n;
	uint64_t lost;
	double expected;
	double variance;
};

static bool judge_as_others_do(struct sim *s, const struct sim_datagram *d)
{
	const struct frame_parameters *p = &s->nodes[1]->profiles[0].parameters;
	struct verdict *v = s->context;
	double loss = likely_loss(p, d);

	if (d->type != MESSAGE_DATA || d->is_keepalive)
		return true;
	v->n++;
	v->lost += !others_hear_data(p, d);
	v->expected += loss;
	v->variance += loss * (1 - loss);
	return true;
}

static uint64_t seed;

static void count_losses(const char *text, uint64_t n)
{
	struct pair p = pair_seeded(seed);
	struct verdict v = { .n = 0 };
	uint64_t before = 0, lost = 0;
	double off = 0;

	sim_frame_text(p.a, text);
	sim_frame_text(p.b, text);
	p.s->is_logging = false;
	both_ways(&p, SIM_S); /* there is a key: no packet has to wait for one */
	before = p.a->delivered + p.b->delivered;
	p.s->context = &v;
	p.s->on_wire = judge_as_others_do;
	for (uint64_t i = 0; i < n; i++) {
		sim_send(i % 2 ? p.a : p.b, i % 2 ? p.b : p.a,
			 44 + (uint32_t)sim_random_below(p.s, 1420 - 44 + 1));
		sim_run_for(p.s, 50 * SIM_US);
	}
	sim_run_for(p.s, SIM_S);
	lost = n + before - p.a->delivered - p.b->delivered;
	off = (double)v.lost - v.expected;
	printf("# of %llu data packets %llu were lost; the others' rule loses %llu (%.2f %%), "
	       "%.0f by the formula\n",
	       (unsigned long long)v.n, (unsigned long long)lost, (unsigned long long)v.lost,
	       100 * (double)v.lost / (double)v.n, v.expected);
	CHECK(v.n == n && lost == 0);
	CHECK(off * off < 25 * v.variance); /* within five sigma */
	CHECK(sim_counters(p.a).bad_tag + sim_counters(p.b).bad_tag == 0);
	pair_done(&p);
}

/* A7. All values there are, a quarter for each type: 1 - (3/4)^3 for a packet that is long
 * enough. S1 to S3 lie behind the header of data, so that what is looked at is random. */
static void no_data_is_lost_whatever_it_looks_like(void)
{
	static const char wide[] = "random_trailers=1 h1=0-1073741823 h2=1073741824-2147483647"
				   " h3=2147483648-3221225471 h4=3221225472-4294967295";
	uint64_t n = sim_is_soak() ? PACKETS_FULL : PACKETS;
	char text[400];

	printf("# scale: %llu data packets\n", (unsigned long long)n);
	snprintf(text, sizeof(text), "s1=40 s2=50 s3=60 s4=4 %s", wide);
	count_losses(text, n / 2);
	snprintf(text, sizeof(text), "s1=40 s2=50 s3=60 s4=12 header_protection_key=%s %s",
		 KEY_A, wide);
	count_losses(text, n / 2);
}

/* What the formula is for: one value for each type, and the others' rule is as good. */
static void with_single_values_the_others_lose_nothing_either(void)
{
	struct pair p = pair_framed(generations[4]);
	struct verdict v = { .n = 0 };

	p.s->context = &v;
	p.s->on_wire = judge_as_others_do;
	for (int i = 0; i < 2000; i++) {
		sim_send(p.a, p.b, 44 + (uint32_t)sim_random_below(p.s, 1377));
		sim_run_for(p.s, SIM_MS);
	}
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2000 && v.n == 2000 && v.lost == 0);
	pair_done(&p);
}

int main(void)
{
	seed = sim_seed(1);
	RUN(no_data_is_lost_whatever_it_looks_like);
	RUN(with_single_values_the_others_lose_nothing_either);
	return DONE();
}
