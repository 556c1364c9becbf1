/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "sys/log.h"

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

int gateway_users_store(const struct options *o, const char *state,
			char out[GATEWAY_USERS_STORE_MAX], struct diag *d)
{
	const char *given = options_get(o, "params"), *prefix = variable("SSM_PREFIX");
	int n;

	if (given && strncmp(given, "dir:/", 5) != 0 && strncmp(given, "ssm:/", 5) != 0)
		return diag_set(d, ERR_FORMAT, 0,
				"%s: \"%.80s\" is not dir:/PATH or ssm:/PREFIX",
				options_origin(o, "params"), given);
	if (given)
		n = snprintf(out, GATEWAY_USERS_STORE_MAX, "%s", given);
	else if (prefix)
		n = snprintf(out, GATEWAY_USERS_STORE_MAX, "ssm:%s", prefix);
	else
		n = snprintf(out, GATEWAY_USERS_STORE_MAX, "dir:%s/params", state);
	if (n >= GATEWAY_USERS_STORE_MAX)
		return diag_set(d, ERR_RANGE, 0, "the name of the users' tree is too long");
	return 0;
}

static int count_user(void *context, const struct store_record *record)
{
	*(size_t *)context += record->kind == STORE_USER;
	return 0;
}

/* A tree without a master key where users are known is another one than it was, or not there just now. */
static void tell(const struct gateway_users *gu, size_t n_users, const struct diag *d)
{
	const char *tree = gu->directory[0] ? gu->directory : gu->store;

	if (!gu->master.is_known)
		log_error("the users' tree %s is not reached, it is tried again: %s", tree,
			  d->text);
	else if (gu->master.is_made)
		log_info("the users' master key was made: %s/master-api-key", tree);
	else if (!gu->master.is_there)
		log_error(
			"the users' tree %s has no master-api-key, although %zu users are known:"
			" is it the right one?",
			tree, n_users);
}

static void set_endpoint(struct api *api)
{
	const char *name = variable("DNS_NAME");

	if (!name)
		name = variable("VPN_PUBLIC_IP");
	if (name && !api->endpoint[0])
		snprintf(api->endpoint, sizeof(api->endpoint), "%s", name);
}

int gateway_users_open(struct gateway_users *gu, const struct options *o,
		       const struct serving *serving, const char *state,
		       const uint8_t public_key[32], struct store *store, struct api *api,
		       struct diag *d)
{
	size_t n_users = 0;
	int err;

	if (serving->place[SERVING_USERS].scheme == SERVING_OFF)
		return 0;
	gu->config.lists_all = serving->lists_all_users;
	gu->config.forgets_private_keys = serving->forgets_private_keys;
	err = gateway_users_store(o, state, gu->store, d);
	if (err == 0)
		err = store_load_records(store, count_user, &n_users);
	if (err == 0)
		err = users_tree_open(gu->store, public_key, n_users == 0, &gu->master, d);
	if (err != 0)
		return err;
	if (strncmp(gu->store, "dir:", 4) == 0)
		memcpy(gu->directory, gu->store + 4, strlen(gu->store + 4) + 1);
	gu->config.store = gu->store;
	gu->is_served = true;
	tell(gu, n_users, d);
	set_endpoint(api);
	if (d)
		d->text[0] = '\0';
	return 0;
}

int gateway_users_list_keys(struct gateway_users *gu, const char *state, struct diag *d)
{
	char directory[GATEWAY_USERS_STORE_MAX];

	snprintf(directory, sizeof(directory), "%s/proxy", state);
	return key_list_new(directory, &gu->keys, d);
}

/* Names are resolved and certificates checked with files below /etc, where this user may read what anybody
 * may; they are replaced now and then, so that naming each would not last. */
void gateway_users_paths(const struct gateway_users *gu, const char *rw[], size_t *n_rw,
			 const char *ro[], size_t *n_ro)
{
	const char *const files[] = { "/etc", "/usr/share/ca-certificates",
				      "/run/systemd/resolve", variable("AWS_CA_BUNDLE"),
				      variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") };

	*n_rw = *n_ro = 0;
	if (gu->directory[0]) {
		rw[(*n_rw)++] = gu->directory;
		return;
	}
	for (size_t i = 0; gu->is_served && i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i])
			ro[(*n_ro)++] = files[i];
	}
}

int gateway_users_start(struct gateway_users *gu, struct api *api, struct diag *d)
{
	int err;

	if (!gu->is_served)
		return 0;
	err = users_new(&gu->config, api->gateway, &gu->master, &api->users, d);
	if (err == 0)
		gateway_listen(api->gateway, users_note, api->users);
	return err;
}
