/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/own_address.h"
#include "base/codec.h"
#include "conf/wgconf.h"

enum {
	DNS_MAX = 4,
	PATH_MTU = 1500,    /* of Ethernet; IPv6 endpoints are possible */
	USERNET_MTU = 1396, /* of a gateway without an interface, whatever the level */
	ENDPOINT_MAX = API_HOST_MAX + 16,
};

/* --- How it speaks --- */

bool client_conf_has(const struct api *api, enum frame_level level)
{
	return level == FRAME_OFF || profiles_current(gateway_profiles(api->gateway), level);
}

int client_conf_init(const struct api *api, enum frame_level level, struct client_conf *ret)
{
	struct generator *g = gateway_config(api->gateway)->generator;
	const struct profile *p = profiles_current(gateway_profiles(api->gateway), level);
	int err = 0;

	*ret = (struct client_conf){ .keepalive = frame_level_keepalive(level, g) };
	frame_parameters_init(&ret->framing);
	if (p)
		err = frame_level_draw_client(level, &p->parameters, g, &ret->framing);
	else if (level != FRAME_OFF)
		err = ERR_UNKNOWN;
	ret->mtu = (uint16_t)frame_mtu(PATH_MTU, ret->framing.pad[FRAME_MESSAGES - 1], false);
	if (api->is_usernet && ret->mtu > USERNET_MTU)
		ret->mtu = USERNET_MTU;
	return err;
}

void client_conf_done(struct client_conf *c)
{
	frame_parameters_done(&c->framing);
}

/* --- Where we are --- */

/* "host", "host:port", "v6", "[v6]", "[v6]:port" to what stands in a file. */
static void write_endpoint(const char *host, uint16_t port, char out[ENDPOINT_MAX])
{
	const char *colon = strrchr(host, ':');
	struct ip_addr a;

	if (ip_addr_parse(host, &a) == 0 && a.family == ADDR_V6)
		snprintf(out, ENDPOINT_MAX, "[%s]:%u", host, port);
	else if (host[0] == '[' ? strstr(host, "]:") != NULL : colon != NULL)
		snprintf(out, ENDPOINT_MAX, "%s", host);
	else
		snprintf(out, ENDPOINT_MAX, "%s:%u", host, port);
}

void client_conf_endpoint(const struct api *api, char out[ENDPOINT_MAX])
{
	uint16_t port = gateway_config(api->gateway)->port;
	struct ip_addr a = api->fallback;
	char text[ADDR_TEXT_MAX];

	out[0] = '\0';
	if (api->endpoint[0]) {
		write_endpoint(api->endpoint, port, out);
		return;
	}
	/* On failure @a stays what it was. */
	if (own_address_towards_internet(&a) == 0 || a.family != ADDR_NONE)
		write_endpoint(ip_addr_format(&a, text), port, out);
}

/* --- The resolvers behind a choice --- */

struct resolvers {
	char text[API_RESOLVERS_MAX + 1];
	const char *each[DNS_MAX];
	size_t n;
};

static void find_resolvers(const struct api *api, const struct peer *peer,
			   struct resolvers *ret)
{
	size_t choice = peer->dns[0] == 'd' && peer->dns[1] >= '1' && peer->dns[1] <= '3'
				? (size_t)(peer->dns[1] - '1')
				: 0;
	char *save = NULL;

	memcpy(ret->text, api->dns[choice], sizeof(ret->text));
	ret->n = 0;
	for (char *one = strtok_r(ret->text, ", ", &save); one && ret->n < DNS_MAX;
	     one = strtok_r(NULL, ", ", &save))
		ret->each[ret->n++] = one;
}

static size_t all_traffic(const struct peer *peer, struct ip_prefix ret[2])
{
	size_t n = 0;

	if (peer->v4.family != ADDR_NONE)
		ret[n++] = (struct ip_prefix){ .ip = { .family = ADDR_V4 } };
	if (peer->v6.family != ADDR_NONE)
		ret[n++] = (struct ip_prefix){ .ip = { .family = ADDR_V6 } };
	return n;
}

json_t *client_conf_parameters(const struct frame_parameters *p)
{
	struct text value = { .data = NULL };
	json_t *all = json_object();
	int err = all ? 0 : -ENOMEM;

	for (enum frame_key key = 0; key < FRAME_KEYS && err == 0; key++) {
		if (frame_key_is_default(p, key))
			continue;
		text_clear(&value);
		frame_parameters_put(&value, FRAME_CONF, p, key);
		if (value.err != 0 || json_object_set_new(all, frame_key_name(FRAME_CONF, key),
							  json_string(value.data)) != 0)
			err = -ENOMEM;
	}
	text_done(&value);
	if (err == 0)
		return all;
	json_decref(all); /* a client with some of them would never be heard */
	return NULL;
}

static json_t *keepalive_json(struct frame_range r)
{
	struct text text = { .data = NULL };
	json_t *value = NULL;

	if (r.lo == r.hi)
		return json_integer((json_int_t)r.lo);
	frame_range_write(&text, r);
	if (text.err == 0)
		value = json_string(text.data);
	text_done(&text);
	return value;
}

json_t *client_conf_values(const struct api *api, const struct peer *peer,
			   const struct client_conf *c)
{
	const struct gateway_config *config = gateway_config(api->gateway);
	json_t *dns = json_array(), *allowed = json_array();
	char key[KEY_BASE64_LEN + 1], endpoint[ENDPOINT_MAX], text[ADDR_TEXT_MAX];
	struct ip_prefix prefixes[2];
	struct resolvers r;
	size_t n = all_traffic(peer, prefixes);

	find_resolvers(api, peer, &r);
	for (size_t i = 0; i < r.n; i++)
		json_array_append_new(dns, json_string(r.each[i]));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(allowed,
				      json_string(ip_prefix_format(&prefixes[i], text)));
	key_to_base64(config->public_key, key);
	client_conf_endpoint(api, endpoint);
	json_t *values =
		json_pack("{s:s, s:s, s:o, s:o, s:i, s:o}", "server_public_key", key,
			  "endpoint", endpoint, "dns", dns, "allowed_ips", allowed, "mtu",
			  (int)c->mtu, "persistent_keepalive", keepalive_json(c->keepalive));

	if (frame_parameters_are_plain(&c->framing) ||
	    json_object_set_new(values, "amneziawg", client_conf_parameters(&c->framing)) == 0)
		return values;
	json_decref(values);
	return NULL;
}

int client_conf_text(const struct api *api, const struct peer *peer,
		     const struct client_conf *conf, const struct secret_key *private_key,
		     const struct secret_key *preshared_key, struct text *out)
{
	struct wgconf_address addresses[2];
	struct ip_prefix prefixes[2];
	char endpoint[ENDPOINT_MAX];
	struct resolvers r;
	struct wgconf_client c = {
		.name = peer->name[0] ? peer->name : NULL,
		.private_key = private_key,
		.preshared_key = preshared_key,
		.addresses = addresses,
		.allowed_ips = prefixes,
		.endpoint = endpoint,
		.framing = &conf->framing,
		.mtu = conf->mtu,
		.keepalive = conf->keepalive,
	};

	if (peer->v4.family != ADDR_NONE)
		addresses[c.n_addresses++] = (struct wgconf_address){ peer->v4, 32 };
	if (peer->v6.family != ADDR_NONE)
		addresses[c.n_addresses++] = (struct wgconf_address){ peer->v6, 128 };
	find_resolvers(api, peer, &r);
	c.dns = r.each;
	c.n_dns = r.n;
	c.n_allowed_ips = all_traffic(peer, prefixes);
	memcpy(c.server_key, gateway_config(api->gateway)->public_key, 32);
	client_conf_endpoint(api, endpoint);
	if (!endpoint[0])
		c.endpoint = NULL;
	wgconf_client_text(out, &c);
	return out->err;
}
