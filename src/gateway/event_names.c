/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/event_names.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Where "d" or "ed" behind the action is not what happened. */
static const struct {
	const char *action;
	const char *name;
} irregular[] = {
	{ "peer.level", "peer.level_changed" },
	{ "peer.quota", "peer.quota_exhausted" },
	{ "profile.drop", "profile.dropped" },
};

static const char *const names[] = {
	"peer.created",	      "peer.updated",	      "peer.deleted",
	"peer.suspended",     "peer.resumed",	      "peer.rotated",
	"peer.level_changed", "peer.expired",	      "peer.blocked",
	"peer.unblocked",     "peer.quota_exhausted", "peer.connected",
	"peer.disconnected",  "peer.shared",	      "peer.endpoint_changed",
	"account.created",    "account.updated",      "account.deleted",
	"key.created",	      "key.deleted",	      "access.created",
	"access.updated",     "access.deleted",	      "user.created",
	"user.deleted",	      "link.created",	      "link.used",
	"link.deleted",	      "webhook.created",      "webhook.updated",
	"webhook.deleted",    "webhook.disabled",     "level.rotated",
	"profile.dropped",    "gateway.started",      "enrolment.created",
	"enrolment.used",     "enrolment.deleted",
};

char *event_name(const char *action, char out[EVENT_NAME_MAX + 1])
{
	size_t len = strlen(action);

	for (size_t i = 0; i < sizeof(irregular) / sizeof(irregular[0]); i++) {
		if (strcmp(action, irregular[i].action) == 0) {
			snprintf(out, EVENT_NAME_MAX + 1, "%s", irregular[i].name);
			return out;
		}
	}
	snprintf(out, EVENT_NAME_MAX + 1, "%s%s", action,
		 len > 0 && action[len - 1] == 'e' ? "d" : "ed");
	return out;
}

bool event_matches(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);

	if (strcmp(pattern, "*") == 0 || strcmp(pattern, name) == 0)
		return true;
	return len > 2 && strcmp(pattern + len - 2, ".*") == 0 &&
	       strncmp(pattern, name, len - 1) == 0;
}

bool event_pattern_is_known(const char *pattern)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (event_matches(pattern, names[i]))
			return true;
	}
	return false;
}
