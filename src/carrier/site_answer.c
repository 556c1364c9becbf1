/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered to whoever does not show a key, as any small web server would. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "carrier/site.h"

static const char not_found[] = "<!doctype html>\n<html lang=\"en\">\n<head><meta "
				"charset=\"utf-8\"><title>404 Not Found</title></head>\n"
				"<body><h1>404 Not Found</h1></body>\n</html>\n";
static const char not_allowed[] = "<!doctype html>\n<html lang=\"en\">\n<head><meta "
				  "charset=\"utf-8\"><title>405 Not Allowed</title></head>\n"
				  "<body><h1>405 Not Allowed</h1></body>\n</html>\n";
static const char bad_request[] = "<!doctype html>\n<html lang=\"en\">\n<head><meta "
				  "charset=\"utf-8\"><title>400 Bad Request</title></head>\n"
				  "<body><h1>400 Bad Request</h1></body>\n</html>\n";

/* One kind of answer. */
struct reply {
	const char *status;
	const char *type;
	const char *body;
	size_t len;
	const struct site_file *file;
};

static struct reply page(const char *status, const char *body, size_t len)
{
	return (struct reply){ status, "text/html; charset=utf-8", body, len, NULL };
}

static struct reply choose(const struct site *s, const struct http_head *h)
{
	const struct site_file *f;
	unsigned int hosts = 0;

	if (h)
		http_head_find(h, "Host", &hosts);
	if (!h || hosts > 1 || (hosts == 0 && h->minor == 1)) /* RFC 9112 section 3.2 */
		return page("400 Bad Request", bad_request, sizeof(bad_request) - 1);
	if (!http_span_is(h->method, "GET") && !http_span_is(h->method, "HEAD"))
		return page("405 Not Allowed", not_allowed, sizeof(not_allowed) - 1);
	f = site_find(s, h->target);
	if (!f)
		return page("404 Not Found", not_found, sizeof(not_found) - 1);
	return (struct reply){ "200 OK", f->type, f->data, f->len, f };
}

/* RFC 9110 section 5.6.7, in English whatever the locale is. */
static void put_date(struct text *out, const char *name, uint64_t s)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t at = (time_t)s;
	struct tm t;

	if (gmtime_r(&at, &t))
		text_printf(out, "%s: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", name,
			    days[t.tm_wday], t.tm_mday, months[t.tm_mon], t.tm_year + 1900,
			    t.tm_hour, t.tm_min, t.tm_sec);
}

/* A message with a body is not read on behind: where the body ends is not looked for. */
static bool has_body(const struct http_head *h)
{
	const struct http_field *length = http_head_find(h, "Content-Length", NULL);

	return (length && !http_span_is(length->value, "0")) ||
	       http_head_find(h, "Transfer-Encoding", NULL);
}

static bool must_end(const struct http_head *h)
{
	if (!h || has_body(h) || http_head_lists(h, "Connection", "close"))
		return true;
	return h->minor == 0 && !http_head_lists(h, "Connection", "keep-alive");
}

struct site_answer site_answer(const struct site *s, const struct http_head *h, uint64_t wall_s,
			       struct text *head)
{
	struct reply r = choose(s, h);
	bool ends = must_end(h) || strncmp(r.status, "400", 3) == 0;
	bool is_head = h && http_span_is(h->method, "HEAD");

	text_clear(head);
	text_printf(head, "HTTP/1.1 %s\r\n", r.status);
	put_date(head, "Date", wall_s);
	text_printf(head, "Content-Type: %s\r\nContent-Length: %zu\r\n", r.type, r.len);
	if (strncmp(r.status, "405", 3) == 0)
		text_puts(head, "Allow: GET, HEAD\r\n");
	if (r.file) {
		put_date(head, "Last-Modified", r.file->changed_s);
		text_printf(head, "ETag: \"%" PRIx64 "-%zx\"\r\n", r.file->changed_s,
			    r.file->len);
	}
	text_printf(head, "Connection: %s\r\n\r\n", ends ? "close" : "keep-alive");
	return (struct site_answer){ is_head ? NULL : r.body, is_head ? 0 : r.len, ends };
}
