/* SPDX-License-Identifier: Apache-2.0 */
/* A set request, line by line: what is taken comes back the same, what is refused says why and
 * changes nothing. */
#include <stdbool.h>
#include <string.h>

#include "conf/uapi.h"
#include "fuzz.h"

static uint32_t zone_index(const char *name)
{
	return strcmp(name, "eth0") == 0 ? 42 : 0;
}

static void add_checked(struct uapi_set *set, const char *line, size_t len, int *ret_code)
{
	struct uapi_set before = *set;
	struct uapi_set_peer last = { 0 };
	struct diag d = { 0 };

	if (set->n_peers)
		last = set->peers[set->n_peers - 1];
	*ret_code = uapi_set_line(set, line, len, &d);
	if (*ret_code == 0)
		return;
	HOLDS(*ret_code == UAPI_EPROTO || *ret_code == UAPI_EINVAL || *ret_code == UAPI_EOTHER);
	HOLDS(d.text[0]);
	HOLDS(memcmp(set, &before, sizeof(before)) == 0);
	HOLDS(!set->n_peers || memcmp(&set->peers[set->n_peers - 1], &last, sizeof(last)) == 0);
}

/* Feed the lines of @text up to the empty one or the first refusal. */
static void read_request(struct uapi_set *set, const char *text, size_t size)
{
	int code = 0;

	while (size && !code) {
		const char *end = memchr(text, '\n', size);
		size_t len = end ? (size_t)(end - text) : size;

		if (len == 0)
			return;
		add_checked(set, text, len, &code);
		size -= end ? len + 1 : len;
		text += end ? len + 1 : len;
	}
}

static bool same_peer(const struct uapi_set_peer *a, const struct uapi_set_peer *b)
{
	return memcmp(a->public_key, b->public_key, 32) == 0 &&
	       memcmp(&a->preshared_key, &b->preshared_key, 32) == 0 &&
	       memcmp(&a->endpoint, &b->endpoint, sizeof(a->endpoint)) == 0 &&
	       memcmp(a->greatest_timestamp, b->greatest_timestamp, 12) == 0 &&
	       a->budget_bytes == b->budget_bytes && a->rate_bps == b->rate_bps &&
	       a->keepalive.lo == b->keepalive.lo && a->keepalive.hi == b->keepalive.hi &&
	       a->n_allowed_ips == b->n_allowed_ips &&
	       a->first_allowed_ip == b->first_allowed_ip && a->remove == b->remove &&
	       a->update_only == b->update_only &&
	       a->replace_allowed_ips == b->replace_allowed_ips &&
	       a->has_preshared_key == b->has_preshared_key &&
	       a->has_endpoint == b->has_endpoint && a->has_keepalive == b->has_keepalive &&
	       a->has_budget == b->has_budget && a->has_rate == b->has_rate &&
	       a->has_greatest_timestamp == b->has_greatest_timestamp;
}

static void check_same(const struct uapi_set *a, const struct uapi_set *b)
{
	HOLDS(memcmp(&a->private_key, &b->private_key, 32) == 0);
	HOLDS(a->has_private_key == b->has_private_key && a->replace_peers == b->replace_peers);
	HOLDS(a->has_listen_port == b->has_listen_port && a->listen_port == b->listen_port);
	HOLDS(a->has_fwmark == b->has_fwmark && a->fwmark == b->fwmark);
	HOLDS(a->n_peers == b->n_peers && a->n_allowed_ips == b->n_allowed_ips);
	for (size_t i = 0; i < a->n_peers; i++)
		HOLDS(same_peer(&a->peers[i], &b->peers[i]));
	for (size_t i = 0; i < a->n_allowed_ips; i++) {
		HOLDS(a->allowed_ips[i].remove == b->allowed_ips[i].remove);
		HOLDS(memcmp(&a->allowed_ips[i].prefix, &b->allowed_ips[i].prefix,
			     sizeof(struct ip_prefix)) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uapi_set set = { .zone_index = zone_index }, again = { 0 };
	struct text first = { 0 }, second = { 0 };

	read_request(&set, (const char *)data, size);
	uapi_write_set(&first, &set);
	HOLDS(first.err == 0 && memcmp(first.data, "set=1\n", 6) == 0);
	read_request(&again, first.data + 6, first.len - 6);
	check_same(&set, &again);
	uapi_write_set(&second, &again);
	HOLDS(second.len == first.len && memcmp(first.data, second.data, first.len) == 0);

	text_done(&first);
	text_done(&second);
	uapi_set_done(&set);
	uapi_set_done(&again);
	return 0;
}
