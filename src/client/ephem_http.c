/* SPDX-License-Identifier: Apache-2.0 */
#include "client/ephem_http.h"

#include <errno.h>
#include <string.h>

#include <arpa/inet.h>
#include <curl/curl.h>

enum { CONNECT_TIMEOUT_MS = 10000, TIMEOUT_MS = 60000, HOST_MAX = 256 };

/* --- Where to --- */

/* struct place - @host as in the URL, IPv6 in brackets */
struct place {
	bool is_plain;
	bool is_near;
	char host[HOST_MAX];
};

static bool is_near(const char *host)
{
	struct in_addr a;

	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       (inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool is_there = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return is_there;
}

static int read_place(CURLU *u, struct place *ret)
{
	char *scheme = NULL, *host = NULL;
	int err = ERR_FORMAT;

	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
	    strlen(host) < sizeof(ret->host)) {
		ret->is_plain = strcmp(scheme, "http") == 0;
		ret->is_near = is_near(host);
		memcpy(ret->host, host, strlen(host) + 1);
		err = 0;
	}
	curl_free(scheme);
	curl_free(host);
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD) ||
	    has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
		return ERR_FORMAT;
	return err;
}

static int find_place(const char *url, struct place *ret, struct diag *d)
{
	CURLU *u = curl_url();
	int err = u ? ERR_FORMAT : -ENOMEM;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
		err = read_place(u, ret);
	curl_url_cleanup(u);
	if (err)
		diag_set(d, err, 0,
			 "the gateway's URL looks like https://vpn.example.com:8000");
	return err;
}

static int judge(const struct place *place, bool is_insecure, struct diag *d)
{
	if (!place->is_plain || place->is_near || is_insecure)
		return 0;
	return diag_set(d, ERR_RANGE, 0,
			"http://%.100s would send the key unencrypted over the network: use "
			"https, or say --insecure",
			place->host);
}

int ephem_url_check(const char *url, bool is_insecure, struct diag *d)
{
	struct place place = { .host = "" };
	int err = find_place(url, &place, d);

	return err ? err : judge(&place, is_insecure, d);
}

/* --- The request --- */

static size_t take(char *data, size_t size, size_t n, void *context)
{
	struct text *answer = context;

	text_add(answer, data, size * n);
	return answer->err ? 0 : size * n;
}

static void put_url(const struct ephem_request *r, struct text *url)
{
	size_t len = strlen(r->base);

	while (len > 0 && r->base[len - 1] == '/')
		len--;
	text_add(url, r->base, len);
	text_puts(url, r->path);
}

static bool add_line(struct curl_slist **lines, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*lines, line);

	if (longer)
		*lines = longer;
	return longer != NULL;
}

static struct curl_slist *make_lines(const struct ephem_request *r)
{
	struct text key = { .data = NULL };
	struct curl_slist *lines = NULL;
	bool is_well = add_line(&lines, "Accept: application/json");

	if (is_well && r->body)
		is_well = add_line(&lines, "Content-Type: application/json");
	if (is_well && r->key) {
		text_printf(&key, "Authorization: Bearer %s", r->key);
		is_well = key.err == 0 && add_line(&lines, key.data);
	}
	text_done(&key);
	if (is_well)
		return lines;
	curl_slist_free_all(lines);
	return NULL;
}

static void prepare(CURL *curl, const struct ephem_request *r, const struct place *place,
		    struct text *answer)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, place->is_plain ? "http" : "https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (place->is_near) /* not by way of a proxy, which would be another machine */
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	if (r->ca_file && *r->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, r->ca_file);
	if (r->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(r->body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body);
	}
}

static int code_of(CURLcode rc, const char *url, const char *why, const struct text *answer,
		   struct diag *d)
{
	int err = -EIO;

	if (rc == CURLE_OK)
		return 0;
	if (answer->err == ERR_LIMIT)
		return diag_set(d, ERR_LIMIT, 0, "%.120s: the answer is too long", url);
	if (rc == CURLE_PEER_FAILED_VERIFICATION)
		err = ERR_AUTH;
	else if (rc == CURLE_OUT_OF_MEMORY || answer->err)
		err = -ENOMEM;
	return diag_set(d, err, 0, "%.100s: %.140s", url, *why ? why : curl_easy_strerror(rc));
}

static int perform(const struct ephem_request *r, const struct place *place, long *ret_status,
		   struct text *answer, struct diag *d)
{
	char why[CURL_ERROR_SIZE] = "";
	struct text url = { .data = NULL };
	struct curl_slist *lines = make_lines(r);
	CURL *curl = curl_easy_init();
	int err = lines && curl ? 0 : -ENOMEM;

	put_url(r, &url);
	if (!err)
		err = url.err;
	if (!err) {
		prepare(curl, r, place, answer);
		curl_easy_setopt(curl, CURLOPT_URL, url.data);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
		curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
		err = code_of(curl_easy_perform(curl), url.data, why, answer, d);
	} else {
		diag_set(d, err, 0, "out of memory");
	}
	if (!err)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(lines);
	text_done(&url);
	return err;
}

int ephem_ask(const struct ephem_request *r, long *ret_status, struct text *answer,
	      struct diag *d)
{
	struct place place = { .host = "" };
	int err = find_place(r->base, &place, d);

	answer->max = EPHEM_ANSWER_MAX;
	if (!err)
		err = judge(&place, r->is_insecure, d);
	return err ? err : perform(r, &place, ret_status, answer, d);
}
