/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/request.h"

#include <string.h>

#include <strings.h>

#include "base/codec.h"
#include "carrier/connect_udp.h"
#include "crypto/secret.h"

enum {
	PORT_DIGITS_MAX = 5,
	BASIC_MAX = 1024, /* octets of "user:password" */
	METHOD_MAX = 32,
};

/* struct slice - Part of the head */
struct slice {
	const char *at;
	size_t len;
};

/* Fields that may stand there once. */
struct seen {
	bool authorization;
	bool host;
	bool length;
};

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_';
}

static bool all(struct slice s, bool (*is)(char c))
{
	for (size_t i = 0; i < s.len; i++)
		if (!is(s.at[i]))
			return false;
	return s.len > 0;
}

static bool is_value_char(char c)
{
	return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

static bool same(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

/* Up to @c, which is taken away too. false: there is none. */
static bool cut(struct slice *from, char c, struct slice *ret)
{
	const char *end = memchr(from->at, c, from->len);

	if (!end)
		return false;
	*ret = (struct slice){ from->at, (size_t)(end - from->at) };
	from->len -= ret->len + 1;
	from->at = end + 1;
	return true;
}

static struct slice trim(struct slice s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* --- The target --- */

static int read_port(struct slice s, struct request *ret, struct diag *d)
{
	uint64_t port = 0;

	if (s.len > PORT_DIGITS_MAX || decimal_parse(s.at, s.len, 65535, &port) < 0 ||
	    port == 0)
		return diag_set(d, 400, 0,
				"the port of the target is a number from 1 to 65535");
	ret->port = (uint16_t)port;
	return 0;
}

static int read_bracketed(struct slice s, struct request *ret, struct diag *d)
{
	struct slice address;

	s.at++;
	s.len--;
	if (!cut(&s, ']', &address) || s.len == 0 || s.at[0] != ':')
		return diag_set(d, 400, 0, "the target is HOST:PORT or [IPV6]:PORT");
	if (address.len >= ADDR_TEXT_MAX || memchr(address.at, '\0', address.len))
		return diag_set(d, 400, 0, "in brackets stands an IPv6 address");
	memcpy(ret->host, address.at, address.len);
	ret->host[address.len] = '\0';
	if (!strchr(ret->host, ':') || ip_addr_parse(ret->host, &ret->ip) < 0)
		return diag_set(d, 400, 0, "in brackets stands an IPv6 address");
	return read_port((struct slice){ s.at + 1, s.len - 1 }, ret, d);
}

static int read_target(struct slice s, struct request *ret, struct diag *d)
{
	struct slice host;

	if (s.len > 0 && s.at[0] == '[')
		return read_bracketed(s, ret, d);
	if (!cut(&s, ':', &host))
		return diag_set(d, 400, 0, "the target is HOST:PORT or [IPV6]:PORT");
	if (host.len > REQUEST_HOST_MAX || !all(host, is_host_char))
		return diag_set(d, 400, 0,
				"the host of the target is a name, or an address; an IPv6 "
				"address stands in brackets");
	memcpy(ret->host, host.at, host.len);
	ret->host[host.len] = '\0';
	if (ip_addr_parse(ret->host, &ret->ip) < 0)
		ret->ip = (struct ip_addr){ .family = ADDR_NONE };
	return read_port(s, ret, d);
}

/* The target in a path, as a name or an address. */
static int read_path(struct slice s, struct request *ret, struct diag *d)
{
	struct connect_udp_template template;
	struct connect_udp_target target;
	int err = connect_udp_template_read(CONNECT_UDP_DEFAULT_PATH, &template, d);

	if (err == 0)
		err = connect_udp_match(&template, (struct http_span){ s.at, s.len }, &target,
					d);
	if (err == ERR_UNKNOWN)
		return diag_set(d, 405, 0, "this proxy knows CONNECT and connect-udp only");
	if (err < 0)
		return 400;
	if (ip_addr_parse(target.host, &ret->ip) < 0) {
		const struct slice name = { target.host, strlen(target.host) };

		if (name.len > REQUEST_HOST_MAX || !all(name, is_host_char))
			return diag_set(d, 400, 0, "the target is no name and no address");
		ret->ip = (struct ip_addr){ .family = ADDR_NONE };
	}
	memcpy(ret->host, target.host, strlen(target.host) + 1);
	ret->port = target.port;
	ret->is_udp = true;
	return 0;
}

static int read_version(struct slice s, struct diag *d)
{
	if (s.len == 8 &&
	    (memcmp(s.at, "HTTP/1.1", 8) == 0 || memcmp(s.at, "HTTP/1.0", 8) == 0))
		return 0;
	if (s.len == 8 && memcmp(s.at, "HTTP/", 5) == 0)
		return diag_set(d, 505, 0, "the version is HTTP/1.1");
	return diag_set(d, 400, 0, "RFC 9112 section 3: METHOD TARGET HTTP/1.1");
}

static int read_line(struct slice line, struct request *ret, struct diag *d)
{
	struct slice method, target;
	int status;

	if (!cut(&line, ' ', &method) || !cut(&line, ' ', &target) || target.len == 0 ||
	    method.len > METHOD_MAX || !all(method, is_token_char))
		return diag_set(d, 400, 0, "RFC 9112 section 3: METHOD TARGET HTTP/1.1");
	status = read_version(line, d);
	if (status != 0)
		return status;
	/* Methods are case-sensitive. */
	if (method.len == 3 && memcmp(method.at, "GET", 3) == 0)
		return read_path(target, ret, d);
	if (method.len != 7 || memcmp(method.at, "CONNECT", 7) != 0)
		return diag_set(d, 405, 0, "this proxy knows CONNECT and connect-udp only");
	return read_target(target, ret, d);
}

/* --- Fields --- */

static void read_basic(struct slice coded, struct request *ret)
{
	char plain[BASIC_MAX];
	long len = base64_decode(coded.at, coded.len, plain, sizeof(plain));
	const char *colon = len > 0 ? memchr(plain, ':', (size_t)len) : NULL;

	if (colon) {
		size_t key_len = (size_t)(plain + len - (colon + 1));

		if (key_len <= REQUEST_KEY_MAX) {
			memcpy(ret->key, colon + 1, key_len);
			ret->key_len = key_len;
		}
	}
	secret_wipe(plain, sizeof(plain));
}

/* What cannot be used is as good as none: the answer is 407 either way. */
static void read_authorization(struct slice value, struct request *ret)
{
	struct slice scheme;

	if (!cut(&value, ' ', &scheme))
		return;
	value = trim(value);
	if (same(scheme, "Basic"))
		read_basic(value, ret);
	if (!same(scheme, "Bearer") || value.len > REQUEST_KEY_MAX)
		return;
	memcpy(ret->key, value.at, value.len);
	ret->key_len = value.len;
}

static int note_once(bool *seen, const char *name, struct diag *d)
{
	if (*seen)
		return diag_set(d, 400, 0, "there are two fields %s", name);
	*seen = true;
	return 0;
}

static int read_length(struct slice value, struct seen *seen, struct diag *d)
{
	if (value.len != 1 || value.at[0] != '0')
		return diag_set(d, 400, 0, "RFC 9110 section 9.3.6: CONNECT has no content");
	return note_once(&seen->length, "Content-Length", d);
}

static int read_field(struct slice line, struct request *ret, struct seen *seen, struct diag *d)
{
	struct slice name, value;
	int status = 0;

	if (!cut(&line, ':', &name) || !all(name, is_token_char))
		return diag_set(d, 400, 0, "RFC 9112 section 5: a field is NAME: VALUE");
	value = trim(line);
	if (value.len > 0 && !all(value, is_value_char))
		return diag_set(d, 400, 0,
				"RFC 9110 section 5.5: a control character in a field");
	if (same(name, "Proxy-Authorization")) {
		status = note_once(&seen->authorization, "Proxy-Authorization", d);
		if (status == 0)
			read_authorization(value, ret);
	} else if (same(name, "Host")) {
		status = note_once(&seen->host, "Host", d);
	} else if (same(name, "Content-Length")) {
		status = read_length(value, seen, d);
	} else if (same(name, "Transfer-Encoding")) {
		status = diag_set(d, 400, 0, "RFC 9110 section 9.3.6: CONNECT has no content");
	}
	return status;
}

/* --- Lines --- */

/* The next line without its end. Return: as request_parse(). */
static int take_line(struct slice *rest, struct slice *ret, struct diag *d)
{
	if (!cut(rest, '\n', ret))
		return REQUEST_IS_PARTIAL;
	if (ret->len == 0 || ret->at[ret->len - 1] != '\r')
		return diag_set(d, 400, 0, "RFC 9112 section 2.2: a line ends with CR LF");
	ret->len--;
	if (memchr(ret->at, '\r', ret->len) || memchr(ret->at, '\0', ret->len))
		return diag_set(d, 400, 0,
				"RFC 9112 section 2.2: a carriage return or NUL in a line");
	return 0;
}

static int read_head(struct slice *rest, struct request *ret, struct diag *d)
{
	struct seen seen = { false };
	struct slice line;
	int status = take_line(rest, &line, d);

	if (status == 0)
		status = read_line(line, ret, d);
	for (int i = 0; status == 0; i++) {
		status = take_line(rest, &line, d);
		if (status == 0 && line.len == 0)
			return REQUEST_IS_WHOLE;
		if (status == 0 && i == REQUEST_FIELDS_MAX)
			status = diag_set(d, 431, 0, "more than %d fields",
					  (int)REQUEST_FIELDS_MAX);
		if (status == 0)
			status = read_field(line, ret, &seen, d);
	}
	return status;
}

/* That it is the upgrade to connect-udp, and no other GET. */
static int check_upgrade(const char *head, size_t len, struct diag *d)
{
	struct http_head h;
	int err = http_head_read_request(head, len, &h, d);

	if (err == 0)
		err = connect_udp_check_request(&h, d);
	return err == 0 ? 0 : 400;
}

int request_parse(const char *head, size_t len, struct request *ret, struct diag *d)
{
	struct slice rest = { head, len < REQUEST_HEAD_MAX ? len : REQUEST_HEAD_MAX };
	struct request r = { .key_len = 0 };
	int status = read_head(&rest, &r, d);

	r.head_len = (size_t)(rest.at - head);
	if (status == REQUEST_IS_PARTIAL && len >= REQUEST_HEAD_MAX)
		status = diag_set(d, 431, 0, "the head of the request is longer than %d octets",
				  (int)REQUEST_HEAD_MAX);
	if (status == REQUEST_IS_WHOLE && r.is_udp)
		status = check_upgrade(head, r.head_len, d);
	if (status == REQUEST_IS_WHOLE)
		*ret = r;
	request_done(&r);
	return status;
}

void request_done(struct request *r)
{
	secret_wipe(r->key, sizeof(r->key));
	r->key_len = 0;
}
