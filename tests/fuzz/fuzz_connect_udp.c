/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of requests and answers, and templates. A head's end does not depend on how it came; a
 * target that was found expands to a path in which it is found again. */
#include <string.h>

#include "carrier/connect_udp.h"
#include "fuzz.h"

static void check_match(const struct connect_udp_template *t, struct http_span asked)
{
	struct connect_udp_target target = { .port = 0 }, again = { .port = 0 };
	char path[CONNECT_UDP_PATH_MAX];
	struct diag d;
	long len;

	if (connect_udp_match(t, asked, &target, &d) != 0)
		return;
	HOLDS(target.port > 0 && target.host[0]);
	HOLDS(!strpbrk(target.host, "/@[]% \r\n"));
	len = connect_udp_expand(t, &target, path);
	if (len < 0)
		return;
	HOLDS(connect_udp_match(t, (struct http_span){ path, (size_t)len }, &again, &d) == 0);
	HOLDS(strcmp(target.host, again.host) == 0 && target.port == again.port);
}

static void check_template(const char *text)
{
	struct connect_udp_target target = { "2001:db8::1", 51820 }, again = { .port = 0 };
	struct connect_udp_template t;
	char path[CONNECT_UDP_PATH_MAX];
	struct diag d;
	long len;

	if (connect_udp_template_read(text, &t, &d) != 0)
		return;
	len = connect_udp_expand(&t, &target, path);
	HOLDS(len > 0); /* 1023 octets at most, and what is put in */
	HOLDS(connect_udp_match(&t, (struct http_span){ path, (size_t)len }, &again, &d) == 0);
	HOLDS(strcmp(again.host, target.host) == 0 && again.port == target.port);
}

static void check_end(const char *data, size_t size, long end)
{
	size_t seen = 0;
	long slow = 0;

	for (size_t i = 0; i <= size && slow == 0; i++)
		slow = http_head_end(data, i, &seen);
	HOLDS(slow == end);
}

static void check_head(const char *data, size_t size)
{
	struct connect_udp_template t;
	struct http_head h;
	struct diag d;
	size_t seen = 0;
	long end = http_head_end(data, size, &seen);

	check_end(data, size, end);
	if (end <= 0)
		return;
	HOLDS(end <= HTTP_HEAD_MAX && (size_t)end <= size);
	HOLDS(connect_udp_template_read(CONNECT_UDP_DEFAULT_PATH, &t, &d) == 0);
	if (http_head_read_request(data, (size_t)end, &h, &d) == 0) {
		HOLDS(h.n <= HTTP_HEAD_FIELDS_MAX);
		if (connect_udp_check_request(&h, &d) == 0)
			HOLDS(connect_udp_is_asked(&h));
		check_match(&t, h.target);
	}
	if (http_head_read_answer(data, (size_t)end, &h, &d) == 0) {
		HOLDS(h.status >= 100 && h.status < 600);
		if (connect_udp_check_answer(&h, &d) == 0)
			HOLDS(h.status == 101);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	HOLDS(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_head(text, size);
	check_template(text);
	free(text);
	return 0;
}
