/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy_child.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void add(struct proxy_child *c, size_t *n, const char *option, const char *value)
{
	assert(*n + 3 <= PROXY_CHILD_WORDS);
	c->argv[(*n)++] = option;
	c->argv[(*n)++] = value;
}

void proxy_child_make(const struct client_proxy *proxy, const struct client_plan *plan,
		      struct proxy_child *ret)
{
	size_t n = 0;

	memset(ret, 0, sizeof(*ret));
	endpoint_format(&plan->endpoints[0], ret->endpoint);
	snprintf(ret->mark, sizeof(ret->mark), "%u", plan->mark);
	snprintf(ret->mtu, sizeof(ret->mtu), "%d", PROXY_CHILD_MTU);
	add(ret, &n, "culvert", "proxy-tunnel");
	add(ret, &n, "--connect-proxy", ret->endpoint);
	add(ret, &n, "--interface", plan->interface);
	add(ret, &n, "--mark", ret->mark);
	add(ret, &n, "--mtu", ret->mtu);
	add(ret, &n, "--dns", proxy->dns);
	if (proxy->key_file)
		add(ret, &n, "--key-file", proxy->key_file);
	if (proxy->user)
		add(ret, &n, "--proxy-user", proxy->user);
}
