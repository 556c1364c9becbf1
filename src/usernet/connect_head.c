/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/connect_head.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* --- The request --- */

/* Visible ASCII and spaces: a line break would begin a header field of somebody else's. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* Return: 0, or why @credential cannot be sent. */
static int check_credential(const char *credential)
{
	if (!credential)
		return 0;
	if (strlen(credential) >= CONNECT_CREDENTIAL_MAX)
		return ERR_LIMIT;
	return is_plain(credential) ? 0 : ERR_FORMAT;
}

static int end_request(char *out, int len, const char *credential, const char *more)
{
	bool has_credential = credential && *credential;

	return len + snprintf(out + len, (size_t)(CONNECT_REQUEST_MAX - len), "%s%s%s%s\r\n",
			      has_credential ? "Proxy-Authorization: " : "",
			      has_credential ? credential : "", has_credential ? "\r\n" : "",
			      more);
}

int connect_request_write(const struct ip_addr *to, uint16_t port, const char *credential,
			  char out[CONNECT_REQUEST_MAX])
{
	const struct endpoint target = { .ip = *to, .port = port };
	char authority[ADDR_TEXT_MAX];
	int n = check_credential(credential);

	if (n < 0)
		return n;
	endpoint_format(&target, authority);
	n = snprintf(out, CONNECT_REQUEST_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority,
		     authority);
	return end_request(out, n, credential, "");
}

/* RFC 9298 section 3: the colons of an address are percent-encoded. */
static void put_host(const struct ip_addr *to, char out[3 * ADDR_TEXT_MAX])
{
	char address[ADDR_TEXT_MAX];
	size_t n = 0;

	ip_addr_format(to, address);
	for (const char *at = address; *at; at++) {
		if (*at == ':') {
			memcpy(out + n, "%3A", 3);
			n += 3;
		} else {
			out[n++] = *at;
		}
	}
	out[n] = '\0';
}

int connect_request_write_udp(const struct endpoint *proxy, const struct ip_addr *to,
			      uint16_t port, const char *credential,
			      char out[CONNECT_REQUEST_MAX])
{
	char host[3 * ADDR_TEXT_MAX], authority[ADDR_TEXT_MAX];
	int n = check_credential(credential);

	if (n < 0)
		return n;
	put_host(to, host);
	endpoint_format(proxy, authority);
	n = snprintf(out, CONNECT_REQUEST_MAX,
		     "GET /.well-known/masque/udp/%s/%u/ HTTP/1.1\r\nHost: %s\r\n", host, port,
		     authority);
	return end_request(out, n, credential,
			   "Connection: Upgrade\r\n"
			   "Upgrade: connect-udp\r\n"
			   "Capsule-Protocol: ?1\r\n");
}

/* --- The answer --- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 Connection established". The words are for people. */
static bool read_status(struct connect_head *h)
{
	const char *s = h->line;

	if (h->line_len < 12 || memcmp(s, "HTTP/1.", 7) != 0 || !is_digit(s[7]) ||
	    s[8] != ' ' || !is_digit(s[9]) || !is_digit(s[10]) || !is_digit(s[11]) ||
	    (h->line_len > 12 && s[12] != ' ') || s[9] == '0')
		return false;
	h->status = (uint16_t)((s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0'));
	return true;
}

static bool begins(const char *text, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && strncasecmp(text, with, n) == 0;
}

static bool is_token_end(const char *text, size_t len)
{
	return len == 0 || *text == ';' || *text == ',' || *text == ' ' || *text == '\t';
}

/* RFC 9209 section 2.3: the types that say something about a connection. */
static const struct {
	const char *name;
	enum connect_error error;
} errors[] = {
	{ "connection_refused", CONNECT_ERROR_REFUSED },
	{ "connection_timeout", CONNECT_ERROR_TIMEOUT },
	{ "destination_unavailable", CONNECT_ERROR_UNREACHABLE },
	{ "destination_ip_unroutable", CONNECT_ERROR_UNREACHABLE },
	{ "destination_ip_prohibited", CONNECT_ERROR_PROHIBITED },
	{ "http_request_denied", CONNECT_ERROR_PROHIBITED },
};

static void read_error(struct connect_head *h, const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		size_t n = strlen(errors[i].name);

		if (begins(text, len, errors[i].name) && is_token_end(text + n, len - n))
			h->error = errors[i].error;
	}
}

/* "Upgrade: connect-udp" */
static void read_upgrade(struct connect_head *h)
{
	static const char name[] = "Upgrade:", protocol[] = "connect-udp";
	size_t at = sizeof(name) - 1, end = h->line_len;

	while (at < end && (h->line[at] == ' ' || h->line[at] == '\t'))
		at++;
	while (end > at && (h->line[end - 1] == ' ' || h->line[end - 1] == '\t'))
		end--;
	h->is_udp =
		end - at == sizeof(protocol) - 1 && begins(h->line + at, end - at, protocol);
}

/* "Proxy-Status: squid; error=connection_refused". The last proxy's word stands last. */
static void read_field(struct connect_head *h)
{
	static const char name[] = "Proxy-Status:", parameter[] = "error=";

	if (begins(h->line, h->line_len, "Upgrade:"))
		read_upgrade(h);
	if (!begins(h->line, h->line_len, name))
		return;
	for (size_t at = sizeof(name) - 1; at < h->line_len; at++)
		if ((h->line[at - 1] == ';' || h->line[at - 1] == ' ') &&
		    begins(h->line + at, h->line_len - at, parameter))
			read_error(h, h->line + at + sizeof(parameter) - 1,
				   h->line_len - at - (sizeof(parameter) - 1));
}

/* The end of a head: of the last one? */
static void end_head(struct connect_head *h)
{
	if (h->status >= 200 || h->status == 101)
		h->progress = CONNECT_ANSWERED;
	if (h->progress == CONNECT_ANSWERED)
		return;
	h->error = CONNECT_ERROR_UNTOLD;
	h->is_udp = false;
	h->status = 0;
}

static void end_line(struct connect_head *h)
{
	if (h->line_len && h->line_len < CONNECT_LINE_MAX && h->line[h->line_len - 1] == '\r')
		h->line_len--;
	if (h->status == 0) {
		if (!read_status(h))
			h->progress = CONNECT_MALFORMED;
	} else if (h->line_len == 0) {
		end_head(h);
	} else {
		read_field(h);
	}
	h->line_len = 0;
}

static void read_octet(struct connect_head *h, char c)
{
	if (++h->octets > CONNECT_HEAD_MAX || c == '\0')
		h->progress = CONNECT_MALFORMED;
	else if (c == '\n')
		end_line(h);
	else if (h->line_len < CONNECT_LINE_MAX)
		h->line[h->line_len++] = c;
}

size_t connect_head_read(struct connect_head *h, const uint8_t *data, size_t len)
{
	size_t n = 0;

	while (n < len && h->progress == CONNECT_WANTS_MORE)
		read_octet(h, (char)data[n++]);
	return n;
}

/* RFC 9209 speaks for itself; without it the status is all there is. */
static int errno_of_error(enum connect_error error)
{
	switch (error) {
	case CONNECT_ERROR_REFUSED:
		return -ECONNREFUSED;
	case CONNECT_ERROR_UNREACHABLE:
		return -EHOSTUNREACH;
	case CONNECT_ERROR_TIMEOUT:
		return -ETIMEDOUT;
	case CONNECT_ERROR_PROHIBITED:
		return -EACCES;
	case CONNECT_ERROR_UNTOLD:
		break;
	}
	return 0;
}

int connect_head_errno(const struct connect_head *h)
{
	int told = errno_of_error(h->error);

	if (h->progress != CONNECT_ANSWERED || h->status < 200)
		return -EPROTO;
	if (h->status < 300)
		return 0;
	if (told)
		return told;
	if (h->status >= 500)
		return h->status == 504 ? -ETIMEDOUT : -ECONNREFUSED;
	return h->status >= 400 ? -EACCES : -EPROTO;
}

/* Who knows nothing of it says so in many ways; none of them is about the destination. */
static bool knows_no_udp(const struct connect_head *h)
{
	if (h->status < 400)
		return true;
	return h->error == CONNECT_ERROR_UNTOLD &&
	       (h->status == 400 || h->status == 404 || h->status == 405 || h->status == 426 ||
		h->status == 500 || h->status == 501 || h->status == 505);
}

int connect_head_errno_udp(const struct connect_head *h)
{
	if (h->progress != CONNECT_ANSWERED)
		return -EPROTO;
	if (h->status == 101 && h->is_udp)
		return 0;
	return knows_no_udp(h) ? -EOPNOTSUPP : connect_head_errno(h);
}
