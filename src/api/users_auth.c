/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <strings.h>

#include "api/call.h"
#include "api/users.h"
#include "gateway/users.h"
#include "sys/clock.h"

static bool refuse(struct call *call, unsigned int status, const char *text)
{
	call_refuse(call, status, text);
	return false;
}

/* One that is not a user's either was guessed. */
static bool refuse_key(struct call *call, const char *text, bool is_guess)
{
	if (is_guess)
		penalty_failed(call->api->failures, &http_exchange_request(call->x)->remote,
			       clock_boot_ns());
	return refuse(call, 401, text);
}

/* What stands behind "Bearer"; NULL: the call has been answered. */
static const char *read_bearer(struct call *call)
{
	static const char scheme[] = "Bearer";
	const char *value = http_exchange_header(call->x, "Authorization");
	const char *space = value ? strchr(value, ' ') : NULL;
	const char *key = space ? space + strspn(space, " ") : "";

	if (!*key || space == value) {
		refuse(call, 401, "Not authenticated");
		return NULL;
	}
	if ((size_t)(space - value) != sizeof(scheme) - 1 ||
	    strncasecmp(value, scheme, sizeof(scheme) - 1) != 0) {
		refuse(call, 401, "Invalid authentication credentials");
		return NULL;
	}
	return key;
}

static bool be_master(struct call *call)
{
	call->who.kind = PRINCIPAL_MASTER;
	call->who.role = ROLE_ADMIN;
	snprintf(call->who.name, sizeof(call->who.name), "users:master");
	return true;
}

/* "user:ID"; of an ID that is too long "user:#N " and as much as there is place for: two users are never
 * one in the audit trail, and no ID begins so. */
static bool be_user(struct call *call, const struct user *user)
{
	size_t size = sizeof(call->who.name);
	int n = snprintf(call->who.name, size, "user:%s", user->id);

	call->who.kind = PRINCIPAL_USER;
	call->who.key_id = user->record_id;
	if (n >= (int)size)
		snprintf(call->who.name, size, "user:#%" PRId64 " %.30s", user->record_id,
			 user->id);
	return true;
}

bool users_authenticate(struct call *call, bool needs_master)
{
	const struct users *users = call->api->users;
	enum users_master_state master = users_master_state(users);
	const char *key = read_bearer(call);
	const struct user *user;

	if (!key)
		return false;
	if (users_is_master(users, key))
		return be_master(call);
	user = users_find_key(users, key);
	if (user && !needs_master)
		return be_user(call, user);
	if (master == USERS_MASTER_IS_UNKNOWN)
		return refuse(call, 503, "The parameter store has not been reached yet");
	if (needs_master && master == USERS_MASTER_IS_MISSING)
		return refuse(call, 500, "Master API key not configured");
	return refuse_key(call, needs_master ? "Invalid master API key" : "Invalid API key",
			  !user);
}
