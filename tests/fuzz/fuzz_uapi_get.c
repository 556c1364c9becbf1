/* SPDX-License-Identifier: Apache-2.0 */
/* A reply to get=1, line by line: what was understood is written, read and written again. */
#include <string.h>

#include "conf/uapi.h"
#include "fuzz.h"

static void write_back(void *context, const struct uapi_get_peer *peer)
{
	HOLDS(peer->n_allowed_ips <= UAPI_ALLOWED_IPS_MAX);
	uapi_write_peer(context, UAPI_AMNEZIA, peer);
}

static void read_reply(const char *text, size_t size, struct text *out)
{
	struct text peers = { 0 };
	struct uapi_get_reader r = { .peer = write_back, .context = &peers };
	struct diag d = { 0 };
	int err = 0;

	while (size && !err && !r.is_done) {
		const char *end = memchr(text, '\n', size);
		size_t len = end ? (size_t)(end - text) : size;

		err = uapi_get_line(&r, text, len, &d);
		HOLDS(!err || (d.text[0] && (err == ERR_FORMAT || err == ERR_LIMIT)));
		size -= end ? len + 1 : len;
		text += end ? len + 1 : len;
	}
	HOLDS(r.uapi_errno >= 0);
	uapi_write_device(out, &r.device);
	text_add(out, peers.data, peers.len);
	uapi_write_errno(out, 0,
			 true); /* so that the second reading takes the last peer, too */
	HOLDS(out->err == 0);
	text_done(&peers);
	uapi_get_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text first = { 0 }, second = { 0 };

	read_reply((const char *)data, size, &first);
	read_reply(first.data, first.len, &second);
	HOLDS(second.len == first.len && memcmp(first.data, second.data, first.len) == 0);
	text_done(&first);
	text_done(&second);
	return 0;
}
