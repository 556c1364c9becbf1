/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request to the proxy: what is taken has a host of harmless characters, and less of it is
 * never taken for something else. */
#include <string.h>

#include "fuzz.h"
#include "proxy/request.h"

static void check_whole(const char *head, const struct request *r, size_t size)
{
	HOLDS(r->head_len <= size && r->head_len >= strlen("CONNECT a:1 HTTP/1.1\r\n\r\n"));
	HOLDS(memcmp(head, r->is_udp ? "GET " : "CONNECT ", r->is_udp ? 4 : 8) == 0);
	HOLDS(memcmp(head + r->head_len - 4, "\r\n\r\n", 4) == 0);
	HOLDS(r->port > 0 && strlen(r->host) > 0 && strlen(r->host) <= REQUEST_HOST_MAX);
	HOLDS(!strpbrk(r->host, "@/%?# \t\r\n[]"));
	HOLDS(r->key_len <= REQUEST_KEY_MAX);
}

/* An answer does not change with what comes behind; before that, it was waited for. */
static void check_prefixes(const char *head, size_t size, int status)
{
	struct request r;
	struct diag d;

	for (size_t n = 0; n < size; n += 1 + size / 64) {
		int before = request_parse(head, n, &r, &d);

		HOLDS(before == REQUEST_IS_PARTIAL || before == status);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *head = malloc(size + 1);
	struct request r = { .port = 0 };
	struct diag d = { .text = "" };
	int status;

	HOLDS(head);
	memcpy(head, data, size);
	status = request_parse(head, size, &r, &d);
	if (status == REQUEST_IS_WHOLE)
		check_whole(head, &r, size);
	else
		HOLDS(status == REQUEST_IS_PARTIAL || (d.text[0] && r.port == 0));
	if (size < 2 * REQUEST_HEAD_MAX)
		check_prefixes(head, size, status);
	request_done(&r);
	free(head);
	return 0;
}
