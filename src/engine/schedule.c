/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/schedule.h"

#include <stddef.h>

/* Both are roots (no siblings). The later becomes the earlier's first child. */
static struct schedule_node *join(struct schedule_node *a, struct schedule_node *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->at_ns < a->at_ns) {
		struct schedule_node *t = a;

		a = b;
		b = t;
	}
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	b->prev = a;
	a->child = b;
	a->next = NULL;
	a->prev = NULL;
	return a;
}

static struct schedule_node *detach(struct schedule_node *n)
{
	n->next = NULL;
	n->prev = NULL;
	return n;
}

/* Turn a list of siblings into one heap: pairs from the left, then from the right. */
static struct schedule_node *join_siblings(struct schedule_node *first)
{
	struct schedule_node *pairs = NULL, *root = NULL;

	while (first) {
		struct schedule_node *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a = detach(a);
		a = join(a, b ? detach(b) : NULL);
		a->next = pairs; /* a stack, so the second pass runs backwards */
		pairs = a;
	}
	while (pairs) {
		struct schedule_node *a = pairs;

		pairs = a->next;
		root = join(root, detach(a));
	}
	return root;
}

void schedule_remove(struct schedule *s, struct schedule_node *n)
{
	struct schedule_node *below = NULL;

	if (!n->is_in)
		return;
	below = join_siblings(n->child);
	if (s->root == n) {
		s->root = below;
	} else {
		if (n->prev->child == n)
			n->prev->child = n->next;
		else
			n->prev->next = n->next;
		if (n->next)
			n->next->prev = n->prev;
		s->root = join(s->root, below);
	}
	n->child = NULL;
	detach(n);
	n->is_in = false;
}

void schedule_put(struct schedule *s, struct schedule_node *n, uint64_t at_ns)
{
	schedule_remove(s, n);
	n->at_ns = at_ns;
	n->is_in = true;
	s->root = join(s->root, n);
}

struct schedule_node *schedule_first(const struct schedule *s)
{
	return s->root;
}
