/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/webhook_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>

#include "base/json_write.h"
#include "net/public_addr.h"

enum { HOST_MAX = 255 };

/* --- The record --- */

static bool take(const json_t *body, const char *name, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(body, name));

	if (!text || strlen(text) >= size)
		return false;
	memcpy(out, text, strlen(text) + 1);
	return true;
}

static bool take_secret(const json_t *body, const char *name, struct webhook_secret *ret)
{
	const char *text = json_string_value(json_object_get(body, name));

	return text && webhook_secret_parse(text, ret) == 0;
}

static bool take_events(const json_t *body, struct webhook_record *w)
{
	const json_t *list = json_object_get(body, "events"), *one;
	size_t i;

	if (json_array_size(list) > WEBHOOK_EVENTS_MAX)
		return false;
	json_array_foreach(list, i, one)
	{
		const char *text = json_string_value(one);

		if (!text || strlen(text) > EVENT_NAME_MAX)
			return false;
		memcpy(w->events[w->n_events++], text, strlen(text) + 1);
	}
	return true;
}

int webhook_record_read(const char *body, struct webhook_record *ret)
{
	json_t *json = json_loads(body, 0, NULL);
	struct webhook_record w = { .n_events = 0 };
	bool is_well = take(json, "url", w.url, sizeof(w.url)) &&
		       take_secret(json, "secret", &w.secret) && take_events(json, &w);

	if (is_well) {
		w.is_enabled = json_is_true(json_object_get(json, "enabled"));
		take(json, "note", w.note, sizeof(w.note));
		if (take_secret(json, "former", &w.former))
			w.former_until_ns = (uint64_t)json_integer_value(
				json_object_get(json, "former_until_ns"));
		*ret = w;
	}
	webhook_record_done(&w);
	json_decref(json);
	return is_well ? 0 : ERR_CORRUPT;
}

static void put_secret(struct text *out, const char *name, const struct webhook_secret *s)
{
	char text[WEBHOOK_SECRET_TEXT_MAX];

	webhook_secret_format(s, text);
	json_put_text(out, name, text);
	secret_wipe(text, sizeof(text));
}

void webhook_record_write(const struct webhook_record *w, struct text *out)
{
	text_puts(out, "{");
	json_put_text(out, "url", w->url);
	json_put_name(out, "events");
	text_puts(out, "[");
	for (unsigned int i = 0; i < w->n_events; i++) {
		json_put_next(out);
		json_put_string(out, w->events[i], strlen(w->events[i]));
	}
	text_puts(out, "]");
	json_put_bool(out, "enabled", w->is_enabled);
	put_secret(out, "secret", &w->secret);
	if (w->former.len > 0) {
		put_secret(out, "former", &w->former);
		json_put_number(out, "former_until_ns", w->former_until_ns);
	}
	json_put_text(out, "note", w->note);
	text_puts(out, "}");
}

void webhook_record_done(struct webhook_record *w)
{
	webhook_secret_done(&w->secret);
	webhook_secret_done(&w->former);
}

bool webhook_record_wants(const struct webhook_record *w, const char *event)
{
	for (unsigned int i = 0; i < w->n_events; i++) {
		if (event_matches(w->events[i], event))
			return true;
	}
	return false;
}

/* --- The URL --- */

/* Addresses in brackets, and every way of writing one that getaddrinfo() would take, come out of
 * libcurl in their usual spelling. */
static bool literal(const char *host, struct ip_addr *ret)
{
	char text[HOST_MAX + 1];
	size_t len = strlen(host);

	if (len > HOST_MAX)
		return false;
	if (len > 2 && host[0] == '[') {
		memcpy(text, host + 1, len - 2);
		text[len - 2] = '\0';
		host = text;
	}
	return ip_addr_parse(host, ret) == 0;
}

static int judge_host(const char *host, bool is_plain, bool allows_private, bool allows_plain,
		      struct diag *d)
{
	struct ip_addr a = { .family = ADDR_NONE };
	bool is_literal = literal(host, &a);
	bool is_near =
		is_literal ? public_addr_is_loopback(&a) : strcmp(host, "localhost") == 0;

	if (is_literal && public_addr_is_never(&a))
		return diag_set(d, ERR_RANGE, 0, "%s is no server's address", host);
	if (((is_literal && !public_addr_is(&a)) || is_near) && !allows_private)
		return diag_set(d, ERR_RANGE, 0,
				"%s is not a public address; the operator allows others with"
				" webhooks-private",
				host);
	if (is_plain && !allows_plain && !(is_near && allows_private))
		return diag_set(d, ERR_RANGE, 0,
				"Messages go over https only; the operator allows http with"
				" webhooks-insecure");
	return 0;
}

static int judge(CURLU *u, bool allows_private, bool allows_plain, struct diag *d)
{
	char *scheme = NULL, *host = NULL, *user = NULL, *fragment = NULL;
	int err = 0;

	curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
	curl_url_get(u, CURLUPART_HOST, &host, 0);
	if (!scheme || !host || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		err = diag_set(d, ERR_FORMAT, 0, "A URL looks like https://example.com/hook");
	else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK)
		err = diag_set(d, ERR_FORMAT, 0, "No user and password may be in the URL");
	else if (curl_url_get(u, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
		err = diag_set(d, ERR_FORMAT, 0, "No # may be in the URL");
	else
		err = judge_host(host, strcmp(scheme, "http") == 0, allows_private,
				 allows_plain, d);
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_free(fragment);
	return err;
}

int webhook_url_check(const char *url, bool allows_private, bool allows_plain, struct diag *d)
{
	CURLU *u = curl_url();
	int err;

	if (!u)
		return diag_set(d, -ENOMEM, 0, "No memory");
	if (strlen(url) > WEBHOOK_URL_MAX || url[strcspn(url, " \t\r\n\\")] != '\0' ||
	    curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
		err = diag_set(d, ERR_FORMAT, 0, "A URL looks like https://example.com/hook");
	else
		err = judge(u, allows_private, allows_plain, d);
	curl_url_cleanup(u);
	return err;
}
