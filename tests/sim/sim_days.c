/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated days: what only shows after many keys, and on a network that does its worst. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/test.h"
#include "net.h"

#define DELAY (20 * SIM_MS)
#define RTT   (2 * DELAY)

/* What arrived, in order and in time? */
static struct {
	uint64_t arrived, late, latest_ns;
	uint64_t responses, initiations;
} seen;

static void note_arrival(struct sim *s, const struct sim_packet *p)
{
	uint64_t took = s->now_ns - p->sent_ns;

	seen.arrived++;
	seen.late += took > DELAY + RTT;
	if (took > seen.latest_ns)
		seen.latest_ns = took;
}

static bool note_handshakes(struct sim *s, const struct sim_datagram *d)
{
	(void)s;
	seen.responses += d->type == MESSAGE_RESPONSE;
	seen.initiations += d->type == MESSAGE_INITIATION;
	return true;
}

static void good_link(struct sim_node *n)
{
	n->link = (struct sim_link){ .delay_min_ns = DELAY, .delay_max_ns = DELAY };
}

/* ---- a good network ---- */

/* Packets both ways every @gap_ns (on average): no packet is lost or late at a change of keys,
 * and there are no more of those than there need be. */
static void talk_without_interruption(uint64_t seed, uint64_t for_ns, uint64_t gap_ns,
				      bool evenly)
{
	struct sim *s = sim_new(seed);
	struct sim_node *a = sim_node_new(s), *b = sim_node_new(s);
	uint64_t end, sent = 0;

	memset(&seen, 0, sizeof(seen));
	s->on_packet = note_arrival;
	s->on_wire = note_handshakes;
	good_link(a);
	good_link(b);
	sim_introduce(a, b);
	sim_send(a, b, 100);
	sim_run_for(s, SIM_S);
	CHECK(seen.arrived == 1 && seen.responses == 1);
	memset(&seen, 0, sizeof(seen));
	end = s->now_ns + for_ns;
	while (s->now_ns < end) {
		bool from_a = evenly ? sent % 2 == 0 : sim_random(s) % 2;

		sim_send(from_a ? a : b, from_a ? b : a, 200);
		sent++;
		sim_run_for(s, evenly ? gap_ns / 2 : sim_random_below(s, gap_ns));
	}
	sim_run_for(s, SIM_S);
	printf("# %llu packets, %llu changes of keys, slowest %.0f ms, oldest key %.1f s\n",
	       (unsigned long long)sent, (unsigned long long)seen.responses,
	       (double)seen.latest_ns / 1e6, (double)s->key_age_max_ns / 1e9);
	CHECK(seen.arrived == sent);
	CHECK(seen.late == 0);
	CHECK(seen.responses <= for_ns / (120 * SIM_S) + 1);
	CHECK(seen.responses >= for_ns / (185 * SIM_S));
	CHECK(seen.initiations == seen.responses);
	CHECK(sim_check(s));
	sim_free(s);
}

static void steady_traffic_does_not_notice_a_change_of_keys(void)
{
	uint64_t minutes = sim_is_soak() ? 2 * 24 * 60 : 30;

	printf("# scale: %llu min\n", (unsigned long long)minutes);
	talk_without_interruption(sim_seed(21), minutes * 60 * SIM_S, 20 * SIM_MS, true);
}

static void sparse_traffic_does_not_notice_a_change_of_keys(void)
{
	uint64_t days = sim_is_soak() ? 100 : 3;

	printf("# scale: %llu days\n", (unsigned long long)days);
	talk_without_interruption(sim_seed(22), days * SIM_DAY, 8 * SIM_S, false);
}

/* ---- a bad one ---- */

enum { NODES = 5 }; /* a hub and four others */

static struct {
	struct sim_node *hub, *node[NODES - 1];
	uint64_t sent, delivered;
	uint64_t end_ns;
	uint64_t last_number[NODES][NODES]; /* newest packet seen, by receiver and sender */
	uint64_t twice;
	uint8_t *arrived; /* a bit per number */
	uint64_t numbers;
} bad;

static void note_delivery(struct sim *s, const struct sim_packet *p)
{
	(void)s;
	if (!p->number || p->number >= bad.numbers)
		return;
	bad.delivered++;
	bad.twice += bad.arrived[p->number / 8] >> (p->number % 8) & 1;
	bad.arrived[p->number / 8] |= (uint8_t)(1u << p->number % 8);
}

/* Each node sends now and then: sometimes a lot, sometimes nothing for minutes. */
static void chatter(struct sim *s, void *arg)
{
	struct sim_node *n = arg;
	uint64_t pause = sim_random_below(s, 100) < 3 ? sim_random_below(s, 600 * SIM_S)
						      : sim_random_below(s, 2 * SIM_S);
	struct sim_node *to = n == bad.hub ? bad.node[sim_random_below(s, NODES - 1)] : bad.hub;

	if (s->now_ns >= bad.end_ns)
		return;
	if (!n->is_asleep && s->next_number + 1 < bad.numbers) {
		bad.sent++;
		sim_send(n, to, (uint32_t)(SIM_PACKET_MIN + sim_random_below(s, 1300)));
	}
	sim_call(s, s->now_ns + pause, chatter, n);
}

static void mend(struct sim *s, void *arg)
{
	struct sim_node *n = arg;

	(void)s;
	n->is_cut = false;
}

/* Something happens to somebody every few minutes. */
static void mishap(struct sim *s, void *arg)
{
	struct sim_node *n =
		sim_random_below(s, 4) ? bad.node[sim_random_below(s, NODES - 1)] : bad.hub;

	(void)arg;
	if (s->now_ns >= bad.end_ns)
		return;
	switch (sim_random_below(s, 7)) {
	case 0: /* NAT rebinding, roaming; the hub stays where all can find it */
		if (n != bad.hub) {
			n->address.port = (uint16_t)(1024 + sim_random_below(s, 60000));
			n->address.ip.b[1] = (uint8_t)sim_random(s);
		}
		break;
	case 1:
	case 2:
		n->is_cut = true;
		sim_call(s, s->now_ns + sim_random_below(s, 900 * SIM_S), mend, n);
		break;
	case 3: /* suspend; on waking the device forgets its keys, mostly */
		if (!n->is_asleep)
			sim_sleep(n, sim_random_below(s, 900 * SIM_S));
		if (sim_random_below(s, 4))
			engine_forget_keys(n->worker, s->now_ns);
		break;
	case 4:
		n->wall_offset_ns +=
			(int64_t)sim_random_below(s, 7200 * SIM_S) - (int64_t)(3600 * SIM_S);
		break;
	case 5:
		n->wobble_ns = sim_random_below(s, 5 * SIM_MS);
		break;
	case 6:
		n->link.delay_max_ns = n->link.delay_min_ns + sim_random_below(s, SIM_S);
		n->link.loss_ppm = (uint32_t)sim_random_below(s, 150000);
		break;
	}
	sim_call(s, s->now_ns + sim_random_below(s, 300 * SIM_S), mishap, NULL);
}

static void begin_bad(struct sim *s, uint64_t days)
{
	memset(&bad, 0, sizeof(bad));
	bad.numbers = days * 1000000;
	bad.arrived = calloc(bad.numbers / 8 + 1, 1);
	bad.end_ns = s->now_ns + days * SIM_DAY;
	s->on_packet = note_delivery;
	bad.hub = sim_node_new(s);
	for (int i = 0; i < NODES - 1; i++) {
		bad.node[i] = sim_node_new(s);
		sim_know(bad.node[i], bad.hub, true);
		sim_know(bad.hub, bad.node[i], false);
		if (i % 2)
			engine_peer_set_keepalive(bad.node[i]->worker, s->now_ns,
						  sim_peer(bad.node[i], bad.hub),
						  (struct frame_range){ 25, 25 });
		sim_pump(bad.node[i]);
	}
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		s->nodes[i]->link = (struct sim_link){ .delay_min_ns = 5 * SIM_MS,
						       .delay_max_ns = 150 * SIM_MS,
						       .loss_ppm = 20000,
						       .duplicate_ppm = 20000,
						       .corrupt_ppm = 10000 };
		sim_call(s, s->now_ns, chatter, s->nodes[i]);
	}
	sim_call(s, s->now_ns, mishap, NULL);
}

static void heal(struct sim *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		s->nodes[i]->is_cut = false;
		good_link(s->nodes[i]);
	}
	sim_run_for(s, 900 * SIM_S); /* whoever sleeps wakes up */
}

/* Everybody reaches everybody again, at the first packet and in time for one handshake. */
static void check_recovery(struct sim *s)
{
	for (int i = 0; i < NODES - 1; i++) {
		uint64_t at_hub = bad.hub->delivered, at_node = bad.node[i]->delivered;

		sim_send(bad.node[i], bad.hub, 100);
		sim_run_for(s, 6 * SIM_S);
		CHECK(bad.hub->delivered == at_hub + 1);
		sim_send(bad.hub, bad.node[i], 100);
		sim_run_for(s, 6 * SIM_S);
		CHECK(bad.node[i]->delivered == at_node + 1);
	}
}

/* No harness rule is broken whatever happens, no packet comes twice, and in the end all is well. */
static void a_bad_network_breaks_no_rule_and_everybody_comes_back(void)
{
	uint64_t seed = sim_seed(11);
	int runs = sim_is_soak() ? 30 : 3;
	uint64_t days = sim_is_soak() ? 7 : 1;

	printf("# scale: %d runs of %llu days\n", runs, (unsigned long long)days);
	for (int i = 0; i < runs; i++) {
		struct sim *s = sim_new(seed + (uint64_t)i);

		begin_bad(s, days);
		sim_run_until(s, bad.end_ns);
		heal(s);
		check_recovery(s);
		printf("# seed %llu: %llu of %llu packets, %llu datagrams, oldest key %.1f s\n",
		       (unsigned long long)s->seed, (unsigned long long)bad.delivered,
		       (unsigned long long)bad.sent, (unsigned long long)s->datagrams,
		       (double)s->key_age_max_ns / 1e9);
		CHECK(bad.twice == 0);
		CHECK(bad.delivered > bad.sent / 2);
		CHECK(sim_check(s));
		free(bad.arrived);
		sim_free(s);
	}
}

/* ---- the same seed, the same run ---- */

static uint64_t digest;

static bool digest_wire(struct sim *s, const struct sim_datagram *d)
{
	for (uint32_t i = 0; i < d->len; i++)
		digest = (digest ^ d->data[i]) * UINT64_C(0x100000001b3);
	digest ^= s->now_ns;
	return true;
}

static uint64_t run_digest(uint64_t seed)
{
	struct sim *s = sim_new(seed);

	digest = 0;
	s->on_wire = digest_wire;
	begin_bad(s, 1);
	sim_run_for(s, 3600 * SIM_S);
	free(bad.arrived);
	sim_free(s);
	return digest;
}

static void a_seed_gives_the_same_run_octet_for_octet(void)
{
	CHECK(run_digest(7) == run_digest(7));
	CHECK(run_digest(7) != run_digest(8));
}

int main(void)
{
	RUN(a_seed_gives_the_same_run_octet_for_octet);
	RUN(steady_traffic_does_not_notice_a_change_of_keys);
	RUN(sparse_traffic_does_not_notice_a_change_of_keys);
	RUN(a_bad_network_breaks_no_rule_and_everybody_comes_back);
	return DONE();
}
