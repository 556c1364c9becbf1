/* SPDX-License-Identifier: Apache-2.0 */
#include "api/facts.h"

#include <errno.h>

#include "api/client_conf.h"
#include "base/codec.h"
#include "gateway/ifstate.h"

enum { ENDPOINT_MAX = API_HOST_MAX + 16 };

/* The gateway's own address of that family, with the length of the network: "10.0.1.1/24" */
static json_t *address(const struct call *call, const struct ip_prefix *subnet)
{
	const struct pool *pool =
		gateway_pool(call->api->gateway, (enum addr_family)subnet->ip.family);
	struct ip_prefix own = { pool_gateway(pool), subnet->bits };
	char text[ADDR_TEXT_MAX];

	return json_string(ip_prefix_format(&own, text));
}

static json_t *network(const struct ip_prefix *subnet)
{
	char text[ADDR_TEXT_MAX];

	return json_string(ip_prefix_format(subnet, text));
}

void facts_show(struct call *call)
{
	const struct gateway_config *c = gateway_config(call->api->gateway);
	char key[KEY_BASE64_LEN + 1], endpoint[ENDPOINT_MAX];

	key_to_base64(c->public_key, key);
	client_conf_endpoint(call->api, endpoint);
	call_reply(
		call, 200,
		json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:[o, o], s:s?, s:s, s:b, s:s, s:s?}",
			  "version", CULVERT_VERSION, "interface", c->interface, "public_key",
			  key, "port", (int)c->port, "subnet4", network(&c->subnet4), "subnet6",
			  network(&c->subnet6), "addresses", address(call, &c->subnet4),
			  address(call, &c->subnet6), "endpoint", endpoint[0] ? endpoint : NULL,
			  "obfuscation_level", frame_level_name(call->api->level), "enabled",
			  (int)(ifstate_of(call->api->gateway) == IFSTATE_UP), "kind",
			  call->api->kind, "kind_why", call->api->kind_why));
}

static void changed(void *context, int err, int carried, const struct peer *peer)
{
	struct call *call = context;

	(void)peer;
	if (err != 0)
		call_fail(call, err, NULL);
	else if (carried != 0)
		call_refuse(call, 503, "Stored, but the interface does not act on it yet");
	else
		facts_show(call);
}

static bool read_enabled(struct call *call, bool *ret)
{
	struct json_reader r;

	if (!call_read_members(call, &r))
		return false;
	json_take_bool(&r, "enabled", true, ret);
	json_refuse_unknown(&r, (const char *const[]){ "enabled", NULL });
	return call_end_members(call, &r);
}

void facts_change(struct call *call)
{
	struct gateway_grant grant = call_grant(call);
	bool enabled = true;
	int err;

	if (!read_enabled(call, &enabled))
		return;
	err = ifstate_set(call->api->gateway, enabled ? IFSTATE_UP : IFSTATE_DOWN, &grant,
			  changed, call);
	if (err == -EBUSY)
		call_again(call);
	else if (err != 0)
		call_fail(call, err, NULL);
}
