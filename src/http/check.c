/* SPDX-License-Identifier: Apache-2.0 */
#include "http/check.h"

#include <string.h>

#include <strings.h>

#include "base/codec.h"
#include "http/server.h"

/* Fields that may stand once; @why when one comes again. */
static const struct {
	const char *name;
	const char *why;
} once[] = {
	{ "Content-Length", "RFC 9112 section 6.3: two Content-Length fields" },
	{ "Transfer-Encoding", "RFC 9112 section 6.1: two Transfer-Encoding fields" },
	{ "Host", "RFC 9112 section 3.2: two Host fields" },
	{ "Content-Type", "RFC 9110 section 8.3: two Content-Type fields" },
	{ "signature", "two signature fields" },
	{ "timestamp", "two timestamp fields" },
	{ "X-Nonce", "two X-Nonce fields" },
	{ "X-Signature-Version", "two X-Signature-Version fields" },
};

enum {
	CONTENT_LENGTH = 0,
	TRANSFER_ENCODING = 1,
	ONCE = sizeof(once) / sizeof(once[0]),
	BAD_REQUEST = 400,
	CONTENT_TOO_LARGE = 413,
	FIELDS_TOO_LARGE = 431,
	NOT_IMPLEMENTED = 501,
};

static void refuse(struct http_check *c, unsigned int status, const char *why)
{
	if (c->status == 0) {
		c->status = status;
		c->why = why;
	}
}

static void judge_once(struct http_check *c, const char *name)
{
	for (unsigned int i = 0; i < ONCE; i++) {
		if (strcasecmp(name, once[i].name) != 0)
			continue;
		if (c->seen & 1U << i)
			refuse(c, BAD_REQUEST, once[i].why);
		c->seen |= 1U << i;
	}
}

static void judge_framing(struct http_check *c, const char *name, const char *value, size_t len)
{
	if (strcasecmp(name, once[CONTENT_LENGTH].name) == 0) {
		if (decimal_parse(value, len, INT64_MAX, &c->length) != 0)
			refuse(c, BAD_REQUEST,
			       "RFC 9110 section 8.6: Content-Length is not a number");
		else if (c->length > HTTP_BODY_MAX)
			refuse(c, CONTENT_TOO_LARGE, "the body is larger than 1 MiB");
	}
	if (strcasecmp(name, once[TRANSFER_ENCODING].name) == 0 &&
	    strcasecmp(value, "chunked") != 0)
		refuse(c, NOT_IMPLEMENTED,
		       "RFC 9112 section 6.1: a transfer coding other than chunked");
}

void http_check_field(struct http_check *c, const char *name, size_t name_len,
		      const char *value, size_t value_len)
{
	if (memchr(name, '\0', name_len) || memchr(value, '\0', value_len)) {
		refuse(c, BAD_REQUEST, "RFC 9110 section 5.5: a NUL in a header field");
		return;
	}
	c->n_fields++;
	c->octets += name_len + value_len + 4; /* ": " and the line's end */
	if (c->n_fields > HTTP_FIELDS_MAX || c->octets > HTTP_HEADERS_MAX)
		refuse(c, FIELDS_TOO_LARGE,
		       "the header is larger than 16 KiB or has over 64 fields");
	judge_once(c, name);
	judge_framing(c, name, value, value_len);
}

void http_check_end(struct http_check *c)
{
	const unsigned int both = 1U << CONTENT_LENGTH | 1U << TRANSFER_ENCODING;

	if ((c->seen & both) == both)
		refuse(c, BAD_REQUEST,
		       "RFC 9112 section 6.1: both Content-Length and Transfer-Encoding");
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool http_check_target(const char *target)
{
	if (target[0] != '/')
		return false;
	for (const char *p = target; *p; p++) {
		if (*p <= ' ' || *p > '~' || *p == '#')
			return false;
		if (*p != '%')
			continue;
		if (!is_hex(p[1]) || !is_hex(p[2]))
			return false;
		if (p[1] == '0' && p[2] == '0')
			return false;
	}
	return true;
}
