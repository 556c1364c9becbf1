/* SPDX-License-Identifier: Apache-2.0 */
#include "api/facts.h"

#include "api/client_conf.h"
#include "base/codec.h"

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
	call_reply(call, 200,
		   json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:[o, o], s:s?, s:s}", "version",
			     CULVERT_VERSION, "interface", c->interface, "public_key", key,
			     "port", (int)c->port, "subnet4", network(&c->subnet4), "subnet6",
			     network(&c->subnet6), "addresses", address(call, &c->subnet4),
			     address(call, &c->subnet6), "endpoint",
			     endpoint[0] ? endpoint : NULL, "obfuscation_level",
			     frame_level_name(call->api->level)));
}
