/* SPDX-License-Identifier: Apache-2.0 */
#include "store/aws_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <curl/curl.h>

enum { CONNECT_TIMEOUT_MS = 5000 };

static size_t take(char *data, size_t size, size_t n, void *context)
{
	struct text *answer = context;

	text_add(answer, data, size * n);
	return answer->err ? 0 : size * n;
}

/* libcurl signs the host without the port that it sends, unless it is given the line. */
static char *host_line(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL, *line = NULL;
	struct text t = { 0 };

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		curl_url_get(u, CURLUPART_PORT, &port, 0);
		text_printf(&t, "Host: %s%s%s", host, port ? ":" : "", port ? port : "");
		line = t.err || !t.data ? NULL : strdup(t.data);
	}
	text_done(&t);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return line;
}

bool aws_http_host_is_near(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL;
	struct in_addr a;
	bool is_near = false;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		is_near = strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
			  (inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
	curl_free(host);
	curl_url_cleanup(u);
	return is_near;
}

static bool add_line(struct curl_slist **lines, const char *line)
{
	struct curl_slist *longer = line ? curl_slist_append(*lines, line) : NULL;

	if (longer)
		*lines = longer;
	return longer != NULL;
}

static struct curl_slist *lines_of(const struct aws_request *r)
{
	struct curl_slist *lines = NULL;
	char *host = host_line(r->url);
	bool is_well = add_line(&lines, host);

	free(host);
	for (size_t i = 0; is_well && i < AWS_HTTP_HEADERS_MAX && r->headers[i]; i++)
		is_well = add_line(&lines, r->headers[i]);
	if (is_well)
		return lines;
	curl_slist_free_all(lines);
	return NULL;
}

static void prepare(CURL *curl, const struct aws_request *r, struct curl_slist *lines,
		    struct text *answer)
{
	const char *authorities = getenv("AWS_CA_BUNDLE");

	curl_easy_setopt(curl, CURLOPT_URL, r->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, r->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (r->is_direct)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	if (authorities && *authorities)
		curl_easy_setopt(curl, CURLOPT_CAINFO, authorities);
	if (r->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(r->body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body);
	}
	if (r->signature) {
		curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, r->signature);
		curl_easy_setopt(curl, CURLOPT_USERNAME, r->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, r->password);
	}
}

static int code_of(CURLcode rc, const struct aws_request *r, const struct text *answer,
		   struct diag *d)
{
	int err = -EAGAIN;

	if (rc == CURLE_OK)
		return 0;
	if (answer->err == ERR_LIMIT)
		return diag_set(d, ERR_LIMIT, 0, "%s: the reply is too long", r->url);
	if (rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE)
		err = ERR_AUTH;
	else if (rc == CURLE_OUT_OF_MEMORY || answer->err)
		err = -ENOMEM;
	return diag_set(d, err, 0, "%s: %s", r->url, curl_easy_strerror(rc));
}

void aws_session_done(struct aws_session *s)
{
	curl_easy_cleanup(s->handle);
	s->handle = NULL;
}

/* What a handle was told is forgotten, its connections stay. */
static CURL *take_handle(const struct aws_request *r)
{
	CURL *curl = r->session ? r->session->handle : NULL;

	if (curl)
		r->session->handle = NULL;
	return curl ? curl : curl_easy_init();
}

static void give_handle(const struct aws_request *r, CURL *curl)
{
	if (r->session && curl) {
		curl_easy_reset(curl);
		r->session->handle = curl;
	} else {
		curl_easy_cleanup(curl);
	}
}

int aws_http(const struct aws_request *r, long *ret_status, struct text *answer, struct diag *d)
{
	struct curl_slist *lines = lines_of(r);
	CURL *curl = take_handle(r);
	int err = lines && curl ? 0 : -ENOMEM;

	answer->max = AWS_HTTP_ANSWER_MAX;
	if (!err) {
		prepare(curl, r, lines, answer);
		err = code_of(curl_easy_perform(curl), r, answer, d);
	}
	if (!err)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	give_handle(r, curl);
	curl_slist_free_all(lines);
	return err;
}
