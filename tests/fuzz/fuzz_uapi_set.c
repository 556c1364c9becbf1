/* SPDX-License-Identifier: Apache-2.0 */
/* A set request, line by line: what is taken comes back the same, what is refused says why and
 * changes nothing. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uapi_set set = { .zone_index = zone_index }, again = { 0 };
	struct text first = { 0 }, second = { 0 };

	read_request(&set, (const char *)data, size);
	uapi_write_set(&first, &set);
	HOLDS(first.err == 0 && memcmp(first.data, "set=1\n", 6) == 0);
	read_request(&again, first.data + 6, first.len - 6);
	HOLDS(again.n_peers == set.n_peers && again.n_allowed_ips == set.n_allowed_ips);
	uapi_write_set(&second, &again);
	HOLDS(second.len == first.len && memcmp(first.data, second.data, first.len) == 0);

	text_done(&first);
	text_done(&second);
	uapi_set_done(&set);
	uapi_set_done(&again);
	return 0;
}
