/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "gateway/event_names.h"

static void what_was_done_becomes_what_happened(void)
{
	static const char *const pairs[][2] = {
		{ "peer.create", "peer.created" },
		{ "peer.update", "peer.updated" },
		{ "peer.delete", "peer.deleted" },
		{ "peer.suspend", "peer.suspended" },
		{ "peer.resume", "peer.resumed" },
		{ "peer.rotate", "peer.rotated" },
		{ "peer.expire", "peer.expired" },
		{ "peer.quota", "peer.quota_exhausted" },
		{ "peer.block", "peer.blocked" },
		{ "peer.unblock", "peer.unblocked" },
		{ "peer.level", "peer.level_changed" },
		{ "level.rotate", "level.rotated" },
		{ "profile.drop", "profile.dropped" },
		{ "webhook.disable", "webhook.disabled" },
		{ "account.create", "account.created" },
		{ "key.delete", "key.deleted" },
	};
	char name[EVENT_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		CHECK(strcmp(event_name(pairs[i][0], name), pairs[i][1]) == 0);
		CHECK(event_pattern_is_known(pairs[i][1]));
	}
}

static void a_pattern_is_a_name_a_noun_or_everything(void)
{
	CHECK(event_matches("*", "peer.created"));
	CHECK(event_matches("peer.*", "peer.created") &&
	      event_matches("peer.*", "peer.shared"));
	CHECK(!event_matches("peer.*", "peerage.created") &&
	      !event_matches("peer.*", "key.created"));
	CHECK(event_matches("peer.created", "peer.created"));
	CHECK(!event_matches("peer.create", "peer.created"));
	CHECK(!event_matches("peer.created", "peer.create"));
	CHECK(!event_matches(".*", "peer.created") && !event_matches("", "peer.created"));
	CHECK(!event_matches("peer*", "peer.created") && !event_matches("p.*", "peer.created"));
}

static void a_pattern_that_nothing_matches_is_noticed(void)
{
	CHECK(event_pattern_is_known("*") && event_pattern_is_known("key.*"));
	CHECK(!event_pattern_is_known("peer.conected") && !event_pattern_is_known("peers.*"));
	CHECK(!event_pattern_is_known("") && !event_pattern_is_known("**"));
}

int main(void)
{
	RUN(what_was_done_becomes_what_happened);
	RUN(a_pattern_is_a_name_a_noun_or_everything);
	RUN(a_pattern_that_nothing_matches_is_noticed);
	return DONE();
}
