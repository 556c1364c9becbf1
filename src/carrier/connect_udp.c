/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers; templates are in connect_udp_template.c. */
#include "carrier/connect_udp.h"

#include <errno.h>
#include <string.h>

const char connect_udp_accepted[] = "HTTP/1.1 101 Switching Protocols\r\n"
				    "Connection: Upgrade\r\n"
				    "Upgrade: connect-udp\r\n"
				    "Capsule-Protocol: ?1\r\n"
				    "\r\n";

void connect_udp_put_request(struct text *out, const char *host, const char *path,
			     const char *authorization)
{
	text_printf(out, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, host);
	if (authorization)
		text_printf(out, "Authorization: %s\r\n", authorization);
	text_puts(out, "Connection: Upgrade\r\n"
		       "Upgrade: connect-udp\r\n"
		       "Capsule-Protocol: ?1\r\n"
		       "\r\n");
}

bool connect_udp_is_asked(const struct http_head *h)
{
	return http_head_lists(h, "Upgrade", "connect-udp");
}

/* RFC 9297 section 3.2: a message whose connection carries capsules has no content of its own. */
static int check_no_content(const struct http_head *h, struct diag *d)
{
	static const char *const fields[] = { "Content-Length", "Content-Type",
					      "Transfer-Encoding" };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (http_head_find(h, fields[i], NULL))
			return diag_set(d, ERR_FORMAT, 0,
					"RFC 9297 section 3.2: %s does not go with capsules",
					fields[i]);
	}
	return 0;
}

int connect_udp_check_request(const struct http_head *h, struct diag *d)
{
	unsigned int hosts = 0, upgrades = 0;

	if (!http_span_is(h->method, "GET") || h->minor != 1)
		return diag_set(d, ERR_FORMAT, 1,
				"RFC 9298 section 3.2: the request is not a GET of HTTP/1.1");
	http_head_find(h, "Host", &hosts);
	if (hosts != 1)
		return diag_set(d, ERR_FORMAT, 0, "RFC 9298 section 3.2: not exactly one Host");
	if (!http_head_lists(h, "Connection", "upgrade"))
		return diag_set(d, ERR_FORMAT, 0,
				"RFC 9298 section 3.2: Connection does not say Upgrade");
	http_head_find(h, "Upgrade", &upgrades);
	if (upgrades != 1 || !connect_udp_is_asked(h))
		return diag_set(d, ERR_FORMAT, 0,
				"RFC 9298 section 3.2: Upgrade does not say connect-udp");
	return check_no_content(h, d);
}

int connect_udp_check_answer(const struct http_head *h, struct diag *d)
{
	const struct http_field *upgrade;
	unsigned int upgrades = 0, connections = 0;

	if (h->status == 401 || h->status == 407)
		return diag_set(d, ERR_AUTH, 0, "the other side does not take the key (%u)",
				h->status);
	if (h->status != 101)
		return diag_set(d, -ECONNREFUSED, 0, "the other side answers %u, not 101",
				h->status);
	http_head_find(h, "Connection", &connections);
	upgrade = http_head_find(h, "Upgrade", &upgrades);
	if (connections != 1 || !http_head_lists(h, "Connection", "upgrade"))
		return diag_set(d, ERR_FORMAT, 0,
				"RFC 9298 section 3.3: Connection does not say Upgrade");
	if (upgrades != 1 || !http_span_is_any(upgrade->value, "connect-udp"))
		return diag_set(d, ERR_FORMAT, 0,
				"RFC 9298 section 3.3: Upgrade does not say connect-udp");
	return check_no_content(h, d);
}
