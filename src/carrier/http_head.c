/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/http_head.h"

#include <string.h>

#include <strings.h>

bool http_span_is(struct http_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

bool http_span_is_any(struct http_span s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.data, text, s.len) == 0;
}

long http_head_end(const void *data, size_t len, size_t *seen)
{
	const char *text = data;
	size_t most = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;

	for (size_t i = *seen; i < most; i++) {
		if (text[i] == '\0')
			return ERR_FORMAT;
		if (text[i] != '\n')
			continue;
		if (i == 0 || text[i - 1] != '\r')
			return ERR_FORMAT;
		if (i == 1 || (i >= 3 && text[i - 2] == '\n')) {
			*seen = i + 1;
			return (long)(i + 1);
		}
	}
	*seen = most;
	return len >= HTTP_HEAD_MAX ? ERR_LIMIT : 0;
}

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct http_span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is_token_char(s.data[i]))
			return false;
	}
	return s.len > 0;
}

/* A span of octets without spaces and controls: what a target is made of. */
static bool is_visible(struct http_span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] <= ' ' || s.data[i] > '~')
			return false;
	}
	return s.len > 0;
}

/* Text of a field: controls other than the tab are never right. */
static bool is_text(struct http_span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static struct http_span trim(struct http_span s)
{
	while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
		s.data++, s.len--;
	while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* The next line of @rest, without its CR LF; false: there is none. */
static bool next_line(struct http_span *rest, struct http_span *ret)
{
	const char *lf = memchr(rest->data, '\n', rest->len);

	if (!lf || lf == rest->data || lf[-1] != '\r')
		return false;
	*ret = (struct http_span){ rest->data, (size_t)(lf - rest->data) - 1 };
	rest->len -= ret->len + 2;
	rest->data = lf + 1;
	return true;
}

/* What stands before the next space, which is taken away with it. */
static struct http_span next_word(struct http_span *line)
{
	const char *space = memchr(line->data, ' ', line->len);
	struct http_span word = { line->data,
				  space ? (size_t)(space - line->data) : line->len };

	line->data += word.len + (space != NULL);
	line->len -= word.len + (space != NULL);
	return word;
}

static bool read_version(struct http_span s, unsigned int *ret_minor)
{
	if (!http_span_is(s, "HTTP/1.1") && !http_span_is(s, "HTTP/1.0"))
		return false;
	*ret_minor = (unsigned int)(s.data[7] - '0');
	return true;
}

static int read_field(struct http_span line, unsigned int number, struct http_field *ret,
		      struct diag *d)
{
	const char *colon = memchr(line.data, ':', line.len);

	if (!colon)
		return diag_set(d, ERR_FORMAT, number,
				"RFC 9112 section 5: a field without a colon");
	ret->name = (struct http_span){ line.data, (size_t)(colon - line.data) };
	ret->value = trim((struct http_span){ colon + 1, line.len - ret->name.len - 1 });
	if (!is_token(ret->name)) /* also a folded line, and white space before the colon */
		return diag_set(d, ERR_FORMAT, number,
				"RFC 9112 section 5: the name of a field is no token");
	if (!is_text(ret->value))
		return diag_set(d, ERR_FORMAT, number,
				"RFC 9110 section 5.5: a control octet in a field");
	return 0;
}

static int read_fields(struct http_span rest, struct http_head *h, struct diag *d)
{
	struct http_span line;
	unsigned int number = 1;
	int err;

	while (next_line(&rest, &line)) {
		number++;
		if (line.len == 0)
			return rest.len == 0 ? 0
					     : diag_set(d, ERR_FORMAT, number,
							"RFC 9112 section 2.1: octets "
							"behind the empty line");
		if (h->n == HTTP_HEAD_FIELDS_MAX)
			return diag_set(d, ERR_LIMIT, number, "more than %d fields",
					HTTP_HEAD_FIELDS_MAX);
		err = read_field(line, number, &h->fields[h->n], d);
		if (err != 0)
			return err;
		h->n++;
	}
	return diag_set(d, ERR_FORMAT, number, "RFC 9112 section 2.1: the head has no end");
}

/* The first line to @ret_line, the rest to @ret_rest. */
static int begin(const char *data, size_t len, struct http_span *ret_line,
		 struct http_span *ret_rest, struct diag *d)
{
	*ret_rest = (struct http_span){ data, len };
	if (len > HTTP_HEAD_MAX)
		return diag_set(d, ERR_LIMIT, 0, "a head of more than %d octets",
				HTTP_HEAD_MAX);
	if (!next_line(ret_rest, ret_line))
		return diag_set(d, ERR_FORMAT, 1, "RFC 9112 section 2.2: a line without CR LF");
	return 0;
}

int http_head_read_request(const char *data, size_t len, struct http_head *ret, struct diag *d)
{
	struct http_head h = { .n = 0 };
	struct http_span line = { "", 0 }, rest = line;
	int err = begin(data, len, &line, &rest, d);

	if (err != 0)
		return err;
	h.method = next_word(&line);
	h.target = next_word(&line);
	if (!is_token(h.method) || !is_visible(h.target) || !read_version(line, &h.minor))
		return diag_set(d, ERR_FORMAT, 1,
				"RFC 9112 section 3: not 'METHOD target HTTP/1.1'");
	err = read_fields(rest, &h, d);
	if (err == 0)
		*ret = h;
	return err;
}

int http_head_read_answer(const char *data, size_t len, struct http_head *ret, struct diag *d)
{
	struct http_head h = { .n = 0 };
	struct http_span line = { "", 0 }, rest = line, code;
	int err = begin(data, len, &line, &rest, d);
	bool is_right;

	if (err != 0)
		return err;
	is_right = read_version(next_word(&line), &h.minor);
	code = next_word(&line);
	is_right = is_right && code.len == 3 && is_text(line);
	for (size_t i = 0; i < code.len && is_right; i++) {
		is_right = code.data[i] >= '0' && code.data[i] <= '9';
		h.status = h.status * 10 + (unsigned int)(code.data[i] - '0');
	}
	if (!is_right || h.status < 100 || h.status > 599)
		return diag_set(d, ERR_FORMAT, 1,
				"RFC 9112 section 4: not 'HTTP/1.1 code reason'");
	err = read_fields(rest, &h, d);
	if (err == 0)
		*ret = h;
	return err;
}

const struct http_field *http_head_find(const struct http_head *h, const char *name,
					unsigned int *ret_count)
{
	const struct http_field *first = NULL;
	unsigned int count = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (!http_span_is_any(h->fields[i].name, name))
			continue;
		if (count++ == 0)
			first = &h->fields[i];
	}
	if (ret_count)
		*ret_count = count;
	return first;
}

static bool list_has(struct http_span list, const char *token)
{
	while (list.len > 0) {
		const char *comma = memchr(list.data, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.data) : list.len;

		if (http_span_is_any(trim((struct http_span){ list.data, len }), token))
			return true;
		list.data += len + (comma != NULL);
		list.len -= len + (comma != NULL);
	}
	return false;
}

bool http_head_lists(const struct http_head *h, const char *name, const char *token)
{
	for (size_t i = 0; i < h->n; i++) {
		if (http_span_is_any(h->fields[i].name, name) &&
		    list_has(h->fields[i].value, token))
			return true;
	}
	return false;
}
