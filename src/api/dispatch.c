/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "api/authenticate.h"
#include "api/call.h"
#include "api/surface.h"
#include "sys/clock.h"

static bool is_allowed(const struct surface_listener *l, const struct ip_addr *from)
{
	if (l->n_allowed == 0 || from->family == ADDR_NONE)
		return true;
	for (size_t i = 0; i < l->n_allowed; i++) {
		if (ip_prefix_contains(&l->allowed[i], from))
			return true;
	}
	return false;
}

static bool has_prefix(const struct surface *s, const char *target)
{
	for (size_t i = 0; s->prefixes && s->prefixes[i]; i++) {
		if (strncmp(target, s->prefixes[i], strlen(s->prefixes[i])) == 0)
			return true;
	}
	return false;
}

/* Whose way of saying so is it, if nobody has such a route? */
static const struct surface *default_surface(const struct surface_listener *l,
					     const char *target)
{
	for (size_t i = 0; l->surfaces[i]; i++) {
		if (has_prefix(l->surfaces[i], target))
			return l->surfaces[i];
	}
	return l->surfaces[0];
}

static enum route_outcome find_route(struct call *call, const struct surface_listener *l,
				     const struct http_request *r)
{
	for (size_t i = 0; l->surfaces[i]; i++) {
		const struct surface *s = l->surfaces[i];
		enum route_outcome outcome =
			router_find(s->routes, s->n_routes, r->method, r->target, &call->match);

		if (outcome != ROUTE_NO_PATH) {
			call->surface = s;
			return outcome;
		}
	}
	call->surface = default_surface(l, r->target);
	return ROUTE_NO_PATH;
}

static struct call *call_new(struct api *api, struct http_exchange *x)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->api = api;
	call->x = x;
	call->now_ns = clock_wall_ns();
	return call;
}

void dispatch_request(void *context, struct http_exchange *x)
{
	const struct http_request *r = http_exchange_request(x);
	struct api *api = context;
	const struct surface_listener *l = &api->listeners[r->listener];
	struct call *call = call_new(api, x);
	struct http_reply reply = { .status = 503, .content_type = "application/json" };

	if (!call) {
		http_reply(x, &reply);
		return;
	}
	if (!is_allowed(l, &r->remote)) {
		call->surface = default_surface(l, r->target);
		call_refuse(call, 403, "Your address may not call this");
		return;
	}
	switch (find_route(call, l, r)) {
	case ROUTE_NO_PATH:
		call_refuse(call, 404, "Not Found");
		return;
	case ROUTE_NO_METHOD:
		call_refuse(call, 405, "Method Not Allowed");
		return;
	case ROUTE_FOUND:
		break;
	}
	if (authenticate(call))
		call->match.route->handle(call);
}
