/* SPDX-License-Identifier: Apache-2.0 */
/* Against a sorted list that is searched from the front. */
#include <stddef.h>
#include <stdint.h>

#include "../test.h"
#include "engine/schedule.h"

enum { NODES = 300, OPERATIONS = 100000 };

/* ---- the model: every scheduled node, earliest first ---- */

struct model {
	size_t order[NODES];
	uint64_t at_ns[NODES];
	size_t n;
};

static struct schedule_node nodes[NODES];
static uint64_t state = 20260720;

static uint64_t draw(uint64_t below)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (state >> 33) % below;
}

static void model_remove(struct model *m, size_t node)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->order[i] != node)
			m->order[kept++] = m->order[i];
	m->n = kept;
}

static void model_put(struct model *m, size_t node, uint64_t at_ns)
{
	size_t at = 0;

	model_remove(m, node);
	m->at_ns[node] = at_ns;
	while (at < m->n && m->at_ns[m->order[at]] <= at_ns)
		at++;
	for (size_t i = m->n++; i > at; i--)
		m->order[i] = m->order[i - 1];
	m->order[at] = node;
}

static bool model_has(const struct model *m, size_t node)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->order[i] == node)
			return true;
	return false;
}

/* The earliest time is one; which of several nodes with it comes first is left open. */
static bool agrees(const struct schedule *s, const struct model *m)
{
	const struct schedule_node *first = schedule_first(s);
	size_t node = first ? (size_t)(first - nodes) : 0;

	if (!first || m->n == 0)
		return !first && m->n == 0;
	return model_has(m, node) && first->at_ns == m->at_ns[m->order[0]] &&
	       first->at_ns == m->at_ns[node];
}

/* ---- tests ---- */

static void the_first_is_the_earliest_after_any_100000_operations(void)
{
	static const uint64_t spans[] = { 3, 1000, UINT64_MAX }; /* many equal times, and few */
	struct model m = { .n = 0 };
	struct schedule s = { 0 };

	for (int i = 0; i < OPERATIONS && test_failed == 0; i++) {
		size_t node = draw(NODES);
		/* Now and then nearly empty, now and then nearly full. */
		bool removes = draw(100) < (i / 10000 % 2 ? 70u : 30u);

		if (removes) {
			schedule_remove(&s, &nodes[node]);
			model_remove(&m, node);
		} else {
			uint64_t at = draw(spans[i / 1000 % 3]);

			schedule_put(&s, &nodes[node], at);
			model_put(&m, node, at);
		}
		CHECK(agrees(&s, &m));
		CHECK(nodes[node].is_in == !removes);
	}
	while (m.n && test_failed == 0) { /* what is left comes out in order */
		struct schedule_node *first = schedule_first(&s);

		CHECK(agrees(&s, &m));
		schedule_remove(&s, first);
		model_remove(&m, (size_t)(first - nodes));
	}
	CHECK(!schedule_first(&s));
}

static void nothing_is_due_in_an_empty_schedule(void)
{
	struct schedule s = { 0 };
	struct schedule_node n = { 0 };

	CHECK(!schedule_first(&s));
	schedule_remove(&s, &n);
	CHECK(!schedule_first(&s) && !n.is_in);
}

static void a_node_is_in_it_once_however_often_it_is_put(void)
{
	struct schedule s = { 0 };
	struct schedule_node n = { 0 }, other = { 0 };

	schedule_put(&s, &other, 50);
	for (uint64_t at = 100; at > 0; at -= 20)
		schedule_put(&s, &n, at);
	CHECK(schedule_first(&s) == &n && n.at_ns == 20);
	schedule_put(&s, &n, UINT64_MAX); /* later again */
	CHECK(schedule_first(&s) == &other);
	schedule_remove(&s, &n);
	schedule_remove(&s, &n);
	CHECK(schedule_first(&s) == &other);
	schedule_remove(&s, &other);
	CHECK(!schedule_first(&s));
}

/* A chain as deep as there are nodes: nothing may recurse. */
static void a_hundred_thousand_nodes_put_in_reverse_come_out_in_order(void)
{
	static struct schedule_node many[100000];
	enum { MANY = sizeof(many) / sizeof(many[0]) };
	struct schedule s = { 0 };
	uint64_t last = 0;
	size_t n = 0;

	for (uint64_t i = 0; i < MANY; i++)
		schedule_put(&s, &many[i], MANY - i);
	for (struct schedule_node *first; (first = schedule_first(&s)); n++) {
		CHECK(first->at_ns > last);
		last = first->at_ns;
		schedule_remove(&s, first);
	}
	CHECK(n == MANY);
}

int main(void)
{
	RUN(nothing_is_due_in_an_empty_schedule);
	RUN(a_node_is_in_it_once_however_often_it_is_put);
	RUN(the_first_is_the_earliest_after_any_100000_operations);
	RUN(a_hundred_thousand_nodes_put_in_reverse_come_out_in_order);
	return DONE();
}
