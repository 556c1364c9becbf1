/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway process that was taken over may send: read, judged, and taken for items of nftables. */
#include <string.h>

#include "fuzz.h"
#include "host/messages.h"

static void look_at_list(const struct host_access *body)
{
	HOLDS(body->list != 0 && body->n <= ACCESS_RULES_MAX);
	for (size_t i = 0; i < body->n; i++) {
		struct access_rule r = host_access_read_rule(&body->rules[i]);
		struct host_access_rule again;

		HOLDS(access_is_possible(&r));
		host_access_write_rule(&r, &again);
		HOLDS(memcmp(&again, &body->rules[i], sizeof(again)) == 0);
	}
}

static void look_at_members(const struct host_access *body)
{
	HOLDS(body->n > 0 && body->n <= ACCESS_CHANGES_MAX);
	for (size_t i = 0; i < body->n; i++) {
		struct nft_element e = host_access_read_change(&body->changes[i]);
		struct host_access_change again;

		HOLDS(e.key.family == ADDR_V4 || e.key.family == ADDR_V6);
		host_access_write_change(&e, &again);
		HOLDS(memcmp(&again, &body->changes[i], sizeof(again)) == 0);
	}
}

/* What follows the input is zero: a short one is a message as well. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_message m;
	struct host_dialogue d = { 0 };
	size_t len = size < sizeof(m) ? size : sizeof(m);

	memset(&m, 0, sizeof(m));
	memcpy(&m, data, len);
	if (host_access_has_body(m.type))
		len = sizeof(m);
	if (host_message_read(&m, len) != 0 || host_dialogue_judge(&d, &m, false, 1))
		return 0;
	HOLDS(m.error == 0);
	if (m.type == HOST_ACCESS_MEMBERS)
		look_at_members(&m.access);
	else if (host_access_has_body(m.type))
		look_at_list(&m.access);
	return 0;
}
