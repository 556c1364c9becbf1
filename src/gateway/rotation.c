/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/internal.h"

void rotation_ended(struct gateway *g, struct pending *p)
{
	struct profiles former = g->profiles;

	g->is_rotating = false;
	if (p->change.result != 0)
		return;
	g->profiles = p->rotation->after;
	p->rotation->after = former;
}

static int plan_rotation(struct gateway *g, enum frame_level level, uint64_t keep_ns,
			 struct pending *p)
{
	uint64_t now_ns = p->change.now_ns;
	struct rotation *r = p->rotation = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	snprintf(p->change.subject, sizeof(p->change.subject), "level %s",
		 frame_level_name(level));
	return profiles_rotate(&g->profiles, level, now_ns + keep_ns, g->config.generator,
			       now_ns, &r->after);
}

static int plan_drop(struct gateway *g, const char *name, struct pending *p)
{
	const struct profile *gone = profiles_named(&g->profiles, name);
	struct rotation *r = p->rotation = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	if (!gone)
		return ERR_UNKNOWN;
	snprintf(p->change.subject, sizeof(p->change.subject), "profile %s", gone->name);
	return profiles_drop(&g->profiles, name, p->change.now_ns, &r->after);
}

/* @err: of planning @p. What it holds is freed unless it is on its way. */
static int submit_profiles(struct gateway *g, struct pending *p, int err)
{
	struct rotation *r = p->rotation;

	if (err == 0)
		err = profile_rows_make(&r->after, &r->rows);
	if (err == 0) {
		p->change.profiles = r->rows.rows;
		p->change.n_profiles = r->rows.n;
		err = pending_submit(g, p);
	}
	if (err == 0)
		g->is_rotating = true;
	else
		pending_free(p);
	return err;
}

int gateway_rotate(struct gateway *g, enum frame_level level, uint64_t keep_ns,
		   const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p;

	if (g->is_rotating)
		return -EBUSY;
	p = pending_new(STORE_SET_PROFILES, "level.rotate", grant, done, context);
	return p ? submit_profiles(g, p, plan_rotation(g, level, keep_ns, p)) : -ENOMEM;
}

int gateway_drop_profile(struct gateway *g, const char *name, const struct gateway_grant *grant,
			 gateway_done done, void *context)
{
	struct pending *p;

	if (g->is_rotating)
		return -EBUSY;
	p = pending_new(STORE_SET_PROFILES, "profile.drop", grant, done, context);
	return p ? submit_profiles(g, p, plan_drop(g, name, p)) : -ENOMEM;
}
