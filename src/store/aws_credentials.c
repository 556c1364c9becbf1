/* SPDX-License-Identifier: Apache-2.0 */
#include "store/aws_credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <fcntl.h>

#include "crypto/secret.h"
#include "http/json.h"
#include "store/aws_http.h"
#include "sys/file.h"

enum { TIMEOUT_MS = 2000, URL_MAX = 512, LINE_MAX_LEN = AWS_TOKEN_MAX + 64, ROLE_MAX = 128 };

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

void aws_credentials_done(struct aws_credentials *c)
{
	secret_wipe(c, sizeof(*c));
}

/* Visible characters only: they go into header lines. */
static bool copy(char *out, size_t max, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!text || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	memcpy(out, text, len + 1);
	return true;
}

static int read_environment(struct aws_credentials *c, struct diag *d)
{
	const char *token = variable("AWS_SESSION_TOKEN");

	if (copy(c->id, AWS_KEY_MAX, variable("AWS_ACCESS_KEY_ID")) &&
	    copy(c->secret, AWS_KEY_MAX, variable("AWS_SECRET_ACCESS_KEY")) &&
	    copy(c->token, AWS_TOKEN_MAX, token ? token : ""))
		return 0;
	return diag_set(d, ERR_AUTH, 0,
			"AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is missing or one"
			" of the two cannot be a key");
}

static bool read_end(const char *text, int64_t *ret)
{
	struct tm tm = { .tm_year = 0 };
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!text) {
		*ret = 0;
		return true;
	}
	if (!rest || strcmp(rest, "Z") != 0)
		return false;
	*ret = timegm(&tm);
	return *ret > 0;
}

int aws_credentials_read(const char *text, size_t len, struct aws_credentials *ret,
			 struct diag *d)
{
	struct aws_credentials c = { .id = "" };
	json_t *json = NULL;
	const char *token, *end;
	int err = json_parse(text, len, &json, d);

	if (err)
		return err;
	token = json_string_value(json_object_get(json, "Token"));
	end = json_string_value(json_object_get(json, "Expiration"));
	if (!copy(c.id, AWS_KEY_MAX, json_string_value(json_object_get(json, "AccessKeyId"))) ||
	    !copy(c.secret, AWS_KEY_MAX,
		  json_string_value(json_object_get(json, "SecretAccessKey"))) ||
	    !copy(c.token, AWS_TOKEN_MAX, token ? token : "") || !c.id[0] || !c.secret[0] ||
	    !read_end(end, &c.end_s))
		err = diag_set(d, ERR_FORMAT, 0, "the endpoint's answer holds no credentials");
	else
		*ret = c;
	json_decref(json);
	aws_credentials_done(&c);
	return err;
}

/* GET, or what @r says; anything but 200 is an error. */
static int ask(struct aws_request *r, struct text *answer, struct diag *d)
{
	long status = 0;
	int err;

	r->timeout_ms = TIMEOUT_MS;
	if (!r->method)
		r->method = "GET";
	err = aws_http(r, &status, answer, d);
	if (!err && (status != 200 || !answer->data))
		err = diag_set(d, ERR_AUTH, 0, "%s answers with HTTP status %ld", r->url,
			       status);
	return err;
}

bool aws_credentials_uri_ok(const char *uri)
{
	static const char *const hosts[] = { "169.254.170.2", "169.254.170.23",
					     "[fd00:ec2::23]" };
	CURLU *u = curl_url();
	char *host = NULL, *scheme = NULL, *user = NULL;
	bool is_ok = false;

	if (u && curl_url_set(u, CURLUPART_URL, uri, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER) {
		is_ok = strcmp(scheme, "https") == 0 ||
			(strcmp(scheme, "http") == 0 && aws_http_host_is_near(uri));
		for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
			is_ok = is_ok ||
				(strcmp(scheme, "http") == 0 && strcmp(host, hosts[i]) == 0);
	}
	curl_free(host);
	curl_free(scheme);
	curl_free(user);
	curl_url_cleanup(u);
	return is_ok;
}

/* "Authorization: TOKEN", or "" when there is none. A token file is read each time: it changes. */
static int authorization(char line[LINE_MAX_LEN], struct diag *d)
{
	const char *path = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *given = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	char token[AWS_TOKEN_MAX + 1] = "";
	size_t len = 0;
	int err = 0;

	line[0] = '\0';
	if (path)
		err = file_read_named(path, token, AWS_TOKEN_MAX, &len);
	else if (given)
		len = (size_t)snprintf(token, sizeof(token), "%s", given);
	if (err)
		return diag_set(d, err, 0, "%s: %s", path, err_text(err));
	while (len > 0 && len <= AWS_TOKEN_MAX &&
	       (token[len - 1] == '\n' || token[len - 1] == '\r'))
		len--;
	if (len > AWS_TOKEN_MAX)
		return diag_set(d, ERR_LIMIT, 0, "the container's token is too long");
	token[len] = '\0';
	if (strpbrk(token, "\r\n"))
		err = diag_set(d, ERR_FORMAT, 0,
			       "the container's token has more than one line");
	else if (len > 0)
		snprintf(line, LINE_MAX_LEN, "Authorization: %s", token);
	secret_wipe(token, sizeof(token));
	return err;
}

static int ask_container(const char *url, struct aws_credentials *c, struct diag *d)
{
	char line[LINE_MAX_LEN];
	struct text answer = { 0 };
	struct aws_request r = { .url = url, .is_direct = strncmp(url, "http:", 5) == 0 };
	int err = authorization(line, d);

	if (line[0])
		r.headers[0] = line;
	if (!err)
		err = ask(&r, &answer, d);
	if (!err)
		err = aws_credentials_read(answer.data, answer.len, c, d);
	secret_wipe(line, sizeof(line));
	text_done(&answer);
	return err;
}

static int read_container(struct aws_credentials *c, struct diag *d)
{
	const char *relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char url[URL_MAX];

	if (snprintf(url, sizeof(url), "%s%s", relative ? "http://169.254.170.2" : "",
		     relative ? relative : full) >= (int)sizeof(url) ||
	    (relative && relative[0] != '/') || !aws_credentials_uri_ok(url))
		return diag_set(d, ERR_RANGE, 0,
				"the container's credentials: https, or http to the loopback,"
				" 169.254.170.2 or 169.254.170.23 only");
	return ask_container(url, c, d);
}

/* Without the token, which only a PUT from the instance itself gets, nothing is asked. */
static int instance_token(const char *base, char line[LINE_MAX_LEN], struct diag *d)
{
	char url[URL_MAX], token[AWS_TOKEN_MAX + 1] = "";
	struct text answer = { 0 };
	struct aws_request r = {
		.method = "PUT",
		.url = url,
		.headers = { "X-aws-ec2-metadata-token-ttl-seconds: 21600" },
		.is_direct = true,
	};
	int err;

	snprintf(url, sizeof(url), "%s/latest/api/token", base);
	err = ask(&r, &answer, d);
	if (!err && !copy(token, AWS_TOKEN_MAX, answer.data))
		err = diag_set(d, ERR_FORMAT, 0, "%s: no token", url);
	snprintf(line, LINE_MAX_LEN, "X-aws-ec2-metadata-token: %s", token);
	secret_wipe(token, sizeof(token));
	text_done(&answer);
	return err;
}

static int instance_get(const char *base, const char *role, const char *line,
			struct text *answer, struct diag *d)
{
	char url[URL_MAX];
	struct aws_request r = { .url = url, .headers = { line }, .is_direct = true };

	if (snprintf(url, sizeof(url), "%s/latest/meta-data/iam/security-credentials/%s", base,
		     role) >= (int)sizeof(url))
		return diag_set(d, ERR_LIMIT, 0, "the metadata's address is too long");
	return ask(&r, answer, d);
}

static int read_instance(struct aws_credentials *c, struct diag *d)
{
	const char *base = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	char line[LINE_MAX_LEN] = "", role[ROLE_MAX + 1] = "";
	struct text name = { 0 }, answer = { 0 };
	int err;

	base = base ? base : "http://169.254.169.254";
	if (strlen(base) > URL_MAX / 2)
		return diag_set(d, ERR_LIMIT, 0,
				"AWS_EC2_METADATA_SERVICE_ENDPOINT is too long");
	err = instance_token(base, line, d);
	if (!err)
		err = instance_get(base, "", line, &name, d);
	if (!err && !name.data) {
		err = diag_set(d, ERR_FORMAT, 0, "the instance has no role");
	} else if (!err) {
		name.data[strcspn(name.data, "\r\n")] = '\0'; /* the first role */
		if (!copy(role, ROLE_MAX, name.data) || strpbrk(role, "/?#%"))
			err = diag_set(d, ERR_FORMAT, 0, "the instance has no usable role");
	}
	if (!err)
		err = instance_get(base, role, line, &answer, d);
	if (!err)
		err = aws_credentials_read(answer.data, answer.len, c, d);
	secret_wipe(line, sizeof(line));
	text_done(&name);
	text_done(&answer);
	return err;
}

static int find(struct aws_credentials *c, struct diag *d)
{
	const char *off = variable("AWS_EC2_METADATA_DISABLED");

	if (variable("AWS_ACCESS_KEY_ID"))
		return read_environment(c, d);
	if (variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
	    variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
		return read_container(c, d);
	if (off && strcasecmp(off, "true") == 0)
		return diag_set(d, ERR_AUTH, 0,
				"there are no AWS credentials: set AWS_ACCESS_KEY_ID and"
				" AWS_SECRET_ACCESS_KEY");
	return read_instance(c, d);
}

int aws_credentials_get(struct aws_credentials *c, int64_t now_s, struct diag *d)
{
	struct aws_credentials other = { .id = "" };
	int err;

	if (c->id[0] && (c->end_s == 0 || c->end_s - AWS_REFRESH_S > now_s))
		return 0;
	err = find(&other, d);
	if (!err)
		*c = other;
	else if (c->id[0] && c->end_s > now_s)
		err = 0;
	aws_credentials_done(&other);
	return err;
}
