/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_environment.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "api/call.h"
#include "base/codec.h"
#include "crypto/secret.h"
#include "http/json.h"
#include "sys/file.h"

enum { DEFAULT_WINDOW_S = 60 };

static bool is_resolver_list(const char *text)
{
	char copy[API_RESOLVERS_MAX + 1], *save = NULL;
	struct ip_addr a;

	if (strlen(text) > API_RESOLVERS_MAX)
		return false;
	memcpy(copy, text, strlen(text) + 1);
	for (char *one = strtok_r(copy, ", ", &save); one; one = strtok_r(NULL, ", ", &save))
		if (ip_addr_parse(one, &a) != 0)
			return false;
	return true;
}

static bool set_resolvers(struct api *api, int choice, const char *text)
{
	if (!text)
		return true;
	if (!is_resolver_list(text))
		return false;
	memcpy(api->dns[choice], text, strlen(text) + 1);
	return true;
}

static bool read_resolvers(struct api *api)
{
	static const char *const defaults[API_DNS_CHOICES] = { "1.1.1.1", "8.8.8.8",
							       "9.9.9.9" };
	static const char *const names[] = { "d1", "d2", "d3" };
	static const char *const variables[] = { "DNS_D1", "DNS_D2", "DNS_D3" };
	const char *all = getenv("DNS_SERVERS");
	json_t *object = NULL;
	bool good = true;

	if (all && json_parse(all, strlen(all), &object, NULL) != 0)
		return false;
	for (int i = 0; i < API_DNS_CHOICES && good; i++) {
		const char *one = json_string_value(json_object_get(object, names[i]));

		set_resolvers(api, i, defaults[i]);
		good = set_resolvers(api, i, one) &&
		       set_resolvers(api, i, getenv(variables[i]));
	}
	json_decref(object);
	return good;
}

static void read_node_name(struct api *api)
{
	const char *id = getenv("NODE_ID");

	if (id && *id)
		snprintf(api->node, sizeof(api->node), "%s", id);
	else if (gethostname(api->node, sizeof(api->node)) != 0)
		snprintf(api->node, sizeof(api->node), "unknown");
	api->node[sizeof(api->node) - 1] = '\0';
}

/* Removed from the environment once read. */
static bool read_ecdh_key(struct api *api)
{
	char *text = getenv("ECDH_PRIVATE_KEY");
	bool is_good;

	if (!text || !*text)
		return true;
	is_good = key_from_base64(text, strlen(text), api->ecdh_key.b) == 0;
	api->has_ecdh_key = is_good;
	secret_wipe(text, strlen(text));
	unsetenv("ECDH_PRIVATE_KEY");
	return is_good;
}

/* Seconds that a timestamp may be off; @def where the variable is not set. */
static int read_window(const char *name, uint64_t def, uint64_t *ret, struct diag *d)
{
	const char *text = getenv(name);

	*ret = def;
	if (text && (decimal_parse(text, strlen(text), REPLAY_CACHE_WINDOW_MAX_S, ret) != 0 ||
		     *ret == 0))
		return diag_set(d, ERR_RANGE, 0, "%s is a number of seconds from 1 to %d", name,
				(int)REPLAY_CACHE_WINDOW_MAX_S);
	return 0;
}

int gateway_environment_read(struct api *api, struct diag *d)
{
	const char *name = getenv("GATEWAY_NAME");
	int err = read_window("MAX_TIMESTAMP_DIFF", DEFAULT_WINDOW_S, &api->window_s, d);

	if (err != 0)
		return err;
	if (!read_resolvers(api))
		return diag_set(d, ERR_RANGE, 0,
				"DNS_SERVERS is JSON with the members d1, d2, d3, and"
				" DNS_D1 to DNS_D3 are resolver addresses");
	snprintf(api->name, sizeof(api->name), "%s", name ? name : "");
	read_node_name(api);
	if (!read_ecdh_key(api))
		return diag_set(d, ERR_RANGE, 0, "ECDH_PRIVATE_KEY is a key in base64");
	return 0;
}

/* Words of the environment that mean no. */
static bool is_off(const char *name)
{
	static const char *const words[] = { "0", "false", "no", "off" };
	const char *text = getenv(name);

	for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

static void set_key(struct hmac_key *k, const char *id, const char *text)
{
	snprintf(k->id, sizeof(k->id), "%s", id);
	k->len = strlen(text);
	memcpy(k->text, text, k->len);
}

int gateway_environment_read_agent(struct api *api, struct diag *d)
{
	const char *secret = getenv("WG_AGENT_SECRET");
	int err = read_window("MAX_TIMESTAMP_AGE", REPLAY_CACHE_WINDOW_MAX_S,
			      &api->agent_window_s, d);

	api->agent_health_is_open = !is_off("WG_AGENT_OPEN_HEALTH");
	api->agent_metrics_are_open = !is_off("WG_AGENT_OPEN_METRICS");
	if (err != 0)
		return err;
	if (!secret || !*secret || strcmp(secret, "change-me-in-production") == 0 ||
	    strlen(secret) > HMAC_KEY_MAX)
		return diag_set(d, ERR_RANGE, 0,
				"the node agent needs a secret of its own in WG_AGENT_SECRET");
	set_key(&api->agent_key, "agent", secret);
	return 0;
}

static int read_key_file(const char *path, struct hmac_key *k)
{
	int err = file_read(AT_FDCWD, path, k->text, sizeof(k->text), &k->len);

	snprintf(k->id, sizeof(k->id), "gateway");
	if (err == 0 && k->len > 0 && k->text[k->len - 1] == '\n')
		k->len--;
	return err;
}

int gateway_environment_read_api_key(const char *state, struct hmac_key *k, struct diag *d)
{
	const char *text = getenv("GATEWAY_API_KEY");
	char path[PATH_MAX];
	int err = 0;

	k->len = 0;
	snprintf(path, sizeof(path), "%s/api.key", state);
	if (!text)
		err = read_key_file(path, k);
	else if (strlen(text) <= HMAC_KEY_MAX)
		set_key(k, "gateway", text);
	if (err == 0 && k->len == 0)
		err = ERR_RANGE;
	if (err == 0)
		return 0;
	return diag_set(d, err, 0, "%s holds no API key: %s", text ? "GATEWAY_API_KEY" : path,
			err == ERR_RANGE ? "it is empty or too long" : err_text(err));
}
