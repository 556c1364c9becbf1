/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/answer.h"

#include <stdio.h>
#include <string.h>

enum { WHY_MAX = 300 };

static const struct row {
	int status;
	enum proxy_count count;
	const char *reason;
	const char *fields;
} rows[] = {
	{ 400, PROXY_BAD_REQUEST, "Bad Request", "" },
	{ 403, PROXY_DENIED, "Forbidden", "" },
	{ 405, PROXY_BAD_METHOD, "Method Not Allowed", "Allow: CONNECT\r\n" },
	{ 407, PROXY_NO_KEY, "Proxy Authentication Required",
	  "Proxy-Authenticate: Bearer\r\n"
	  "Proxy-Authenticate: Basic realm=\"culvert\", charset=\"UTF-8\"\r\n" },
	{ 408, PROXY_SLOW, "Request Timeout", "" },
	{ 429, PROXY_BUSY, "Too Many Requests", "Retry-After: 1\r\n" },
	{ 431, PROXY_BAD_REQUEST, "Request Header Fields Too Large", "" },
	{ 502, PROXY_UNREACHED, "Bad Gateway", "" },
	{ 503, PROXY_BUSY, "Service Unavailable", "Retry-After: 1\r\n" },
	{ 504, PROXY_TIMED_OUT, "Gateway Timeout", "" },
	{ 505, PROXY_BAD_REQUEST, "HTTP Version Not Supported", "" },
};

static const struct row *find(int status)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return &rows[i];
	return &rows[0];
}

size_t answer_write(int status, const char *why, char out[ANSWER_MAX])
{
	const struct row *row = find(status);
	size_t len = strnlen(why, WHY_MAX);

	return (size_t)snprintf(
		out, ANSWER_MAX,
		"HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n%.*s\n",
		row->status, row->reason, row->fields, len + 1, (int)len, why);
}

enum proxy_count answer_count(int status)
{
	return find(status)->count;
}
