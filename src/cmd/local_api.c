/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/local_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/command.h"
#include "crypto/secret.h"
#include "http/json.h"

enum {
	ANSWER_MAX = 16 << 20,
	TIMEOUT_S = 30,
	SOCKET_PATH_MAX = 108, /* with its NUL */
};

void local_api_wipe_and_free(void *p)
{
	if (p)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}

static size_t take(char *data, size_t size, size_t n, void *context)
{
	struct text *answer = context;

	text_add(answer, data, size * n);
	return answer->err ? 0 : size * n;
}

/* The library says "couldn't connect" for all of these; people need to know which. */
static int explain_socket(const char *state, const char *path, struct diag *d)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = 0;

	memcpy(to.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	if (err == EACCES || err == EPERM)
		diag_set(
			d, -err, 0,
			"%s may only be used by root and the gateway's own user: try with sudo",
			path);
	else
		diag_set(d, -err, 0,
			 "no gateway is running with the state directory %s; start one with"
			 " 'culvert gateway --state %s'",
			 state, state);
	return err == EACCES || err == EPERM ? EXIT_PRIVILEGE : EXIT_FAILED;
}

static int code_of(long status)
{
	if (status >= 200 && status < 300)
		return EXIT_DONE;
	if (status == 401 || status == 403)
		return EXIT_PRIVILEGE;
	return status < 500 ? EXIT_REFUSED : EXIT_FAILED;
}

/* "member", "create 3", "create 3 addresses". */
static void name_place(const json_t *loc, struct text *out)
{
	for (size_t i = 1; i < json_array_size(loc); i++) {
		const json_t *part = json_array_get(loc, i);

		text_puts(out, i > 1 ? " " : "");
		if (json_is_string(part))
			text_puts(out, json_string_value(part));
		else
			text_put_u64(out, (uint64_t)json_integer_value(part));
	}
}

/* "what is wrong: member: why" of a problem. */
static void read_problem(const json_t *answer, long status, struct diag *d)
{
	const char *detail = json_string_value(json_object_get(answer, "detail"));
	const json_t *first = json_array_get(json_object_get(answer, "errors"), 0);
	const char *msg = json_string_value(json_object_get(first, "msg"));
	struct text place = { .data = NULL };

	name_place(json_object_get(first, "loc"), &place);
	if (msg && place.len > 0)
		diag_set(d, ERR_FORMAT, 0, "%s: %s", place.data, msg);
	else if (detail)
		diag_set(d, ERR_FORMAT, 0, "%s", detail);
	else
		diag_set(d, ERR_FORMAT, 0, "the gateway answers with HTTP status %ld", status);
	text_done(&place);
}

int local_api_judge(const struct text *text, long status, json_t **ret, struct diag *d)
{
	int code = code_of(status);
	json_t *answer = NULL;

	if (json_parse(text->data ? text->data : "", text->len, &answer, NULL) != 0)
		answer = NULL;
	if (code == EXIT_DONE) {
		*ret = answer;
		return code;
	}
	read_problem(answer, status, d);
	json_decref(answer);
	return code;
}

static CURLcode perform(CURL *curl, const char *socket_path, const char *method,
			const char *path, const struct text *body, struct text *answer)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	struct text url = { .data = NULL };
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	text_printf(&url, "http://localhost%s", path);
	if (headers && url.err == 0) {
		curl_easy_setopt(curl, CURLOPT_URL, url.data);
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
		curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
		if (body->data) {
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->data);
			curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body->len);
		}
		rc = curl_easy_perform(curl);
	}
	curl_slist_free_all(headers);
	text_done(&url);
	return rc;
}

static int exchange(const char *state, const char *socket_path, const char *method,
		    const char *path, const struct text *body, struct text *ret,
		    long *ret_status, struct diag *d)
{
	CURL *curl = curl_easy_init();
	int code = EXIT_FAILED;
	CURLcode rc;

	if (!curl) {
		diag_set(d, -ENOMEM, 0, "out of memory");
		return code;
	}
	ret->max = ANSWER_MAX;
	rc = perform(curl, socket_path, method, path, body, ret);
	if (rc == CURLE_COULDNT_CONNECT) {
		code = explain_socket(state, socket_path, d);
	} else if (rc != CURLE_OK) {
		diag_set(d, -EIO, 0, "the gateway does not answer: %s", curl_easy_strerror(rc));
	} else {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
		code = EXIT_DONE;
	}
	curl_easy_cleanup(curl);
	return code;
}

int local_api_send(const char *state, const char *method, const char *path, const json_t *body,
		   struct text *ret, long *ret_status, struct diag *d)
{
	char socket_path[SOCKET_PATH_MAX];
	struct text text = { .data = NULL };
	int code = EXIT_FAILED;

	if (snprintf(socket_path, sizeof(socket_path), "%s/gateway.sock", state) >=
	    (int)sizeof(socket_path)) {
		diag_set(d, -ENAMETOOLONG, 0,
			 "--state %s: a path this long has no room for the gateway's socket",
			 state);
		return EXIT_REFUSED;
	}
	if (body && json_write(body, &text) != 0)
		diag_set(d, -ENOMEM, 0, "out of memory");
	else
		code = exchange(state, socket_path, method, path, &text, ret, ret_status, d);
	text_done(&text);
	return code;
}

int local_api_ask(const char *state, const char *method, const char *path, const json_t *body,
		  json_t **ret, struct diag *d)
{
	struct text answer = { .data = NULL };
	json_t *value = NULL;
	long status = 0;
	int code = local_api_send(state, method, path, body, &answer, &status, d);

	if (code == EXIT_DONE)
		code = local_api_judge(&answer, status, &value, d);
	text_done(&answer);
	if (code == EXIT_DONE && !value) {
		diag_set(d, ERR_FORMAT, 0, "the gateway's answer is not understood");
		return EXIT_FAILED;
	}
	if (code == EXIT_DONE)
		*ret = value;
	return code;
}
