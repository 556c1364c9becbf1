/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_lives.h"

#include "api/audit.h"
#include "api/objects.h"
#include "sys/clock.h"

static const uint64_t SECOND_NS = 1000000000;

static uint64_t budget_of(void *context, const struct peer *peer)
{
	struct usage u;

	lives_usage(context, peer->id, &u);
	return usage_left(&u, (enum store_period)peer->quota_period, peer->quota_bytes,
			  clock_wall_ns());
}

/* Who came and went, to all who follow that. */
static void life_changed(void *context, enum lives_event event, const struct peer *peer,
			 const struct endpoint *at)
{
	struct api *api = context;

	events_note_life(api->events, event, peer, at);
	webhooks_note_life(api->webhooks, event, peer, at);
}

static int open_webhooks(struct api *api, const struct serving *serving)
{
	const struct webhooks_config config = {
		.allows_private = serving->webhooks_private,
		.allows_plain = serving->webhooks_insecure,
		.retry_ns = serving->webhooks_retry_s * SECOND_NS,
	};

	return webhooks_new(api->gateway, &config, &api->webhooks);
}

int gateway_lives_open(struct api *api, const struct serving *serving)
{
	struct gateway *g = api->gateway;
	int err = lives_new(g, api->observer, account_is_enabled, &api->lives);

	if (err != 0)
		return err;
	gateway_set_budget(g, budget_of, api->lives);
	gateway_listen(g, lives_note, api->lives);
	gateway_listen(g, events_note, api->events);
	lives_listen(api->lives, life_changed, api);
	return open_webhooks(api, serving);
}
