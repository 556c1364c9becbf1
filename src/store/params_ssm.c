/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: the API reference of AWS Systems Manager: GetParameter, PutParameter, DescribeParameters,
 * DeleteParameter, in JSON 1.1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/secret.h"
#include "http/json.h"
#include "store/aws_credentials.h"
#include "store/aws_http.h"
#include "store/params.h"
#include "sys/clock.h"
#include "sys/random.h"

enum {
	TIMEOUT_MS = 10000,
	BACK_OFF_MS = 100, /* the first; doubled each time, and up to as much again by chance */
	PAGE = 50,	   /* the most that DescribeParameters gives */
	REGION_MAX = 32,
	URL_MAX = 512,
	TYPE_MAX = 64,
};

struct params_ssm {
	struct params base;
	struct aws_session session;
	struct aws_credentials credentials;
	char prefix[PARAMS_NAME_MAX + 1];
	char signature[REGION_MAX + 16];
	char url[URL_MAX];
};

struct meaning {
	const char *type;
	int err;
};

static const struct meaning meanings[] = {
	{ "ParameterNotFound", ERR_UNKNOWN },
	{ "ParameterAlreadyExists", ERR_EXISTS },
	{ "AccessDeniedException", -EACCES },
	{ "UnrecognizedClientException", ERR_AUTH },
	{ "InvalidSignatureException", ERR_AUTH },
	{ "IncompleteSignatureException", ERR_AUTH },
	{ "MissingAuthenticationTokenException", ERR_AUTH },
	{ "InvalidClientTokenId", ERR_AUTH },
	{ "ExpiredTokenException", ERR_AUTH },
	{ "ThrottlingException", -EAGAIN },
	{ "Throttling", -EAGAIN },
	{ "RequestLimitExceeded", -EAGAIN },
	{ "TooManyUpdates", -EAGAIN },
	{ "InternalServerError", -EAGAIN },
};

/* The service's text is not repeated: one about a signature holds what was signed. */
static int judge(const char *call, long status, const json_t *reply, struct diag *d)
{
	const char *type = json_string_value(json_object_get(reply, "__type"));
	const char *hash = type ? strrchr(type, '#') : NULL;
	char name[TYPE_MAX];
	int err = status >= 500 || status == 429 ? -EAGAIN : -EIO;

	snprintf(name, sizeof(name), "%s", hash ? hash + 1 : type ? type : "no type");
	for (char *c = name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcmp(meanings[i].type, name) == 0)
			err = meanings[i].err;
	return diag_set(d, err, 0, "the Parameter Store refuses %s: %s (HTTP %ld)", call, name,
			status);
}

static int try_once(struct params_ssm *p, const char *call, const char *body, json_t **ret,
		    struct diag *d)
{
	char target[64], token[AWS_TOKEN_MAX + 32];
	struct text answer = { 0 };
	struct aws_request r = {
		.session = &p->session,
		.method = "POST",
		.url = p->url,
		.headers = { "Content-Type: application/x-amz-json-1.1", target },
		.body = body,
		.signature = p->signature,
		.user = p->credentials.id,
		.password = p->credentials.secret,
		.timeout_ms = TIMEOUT_MS,
		.is_direct = aws_http_host_is_near(p->url),
	};
	json_t *reply = NULL;
	long status = 0;
	int err;

	snprintf(target, sizeof(target), "X-Amz-Target: AmazonSSM.%s", call);
	snprintf(token, sizeof(token), "X-Amz-Security-Token: %s", p->credentials.token);
	if (p->credentials.token[0])
		r.headers[2] = token;
	err = aws_http(&r, &status, &answer, d);
	if (!err)
		err = json_parse(answer.data ? answer.data : "", answer.len, &reply, d);
	if (err == ERR_FORMAT && status != 200) /* a balancer's page */
		err = 0;
	if (!err && status != 200)
		err = judge(call, status, reply, d);
	if (!err) {
		*ret = reply;
		reply = NULL;
	}
	json_decref(reply);
	secret_wipe(token, sizeof(token));
	text_done(&answer);
	return err;
}

static void back_off(unsigned int tries)
{
	uint32_t chance;
	uint64_t ms = (uint64_t)BACK_OFF_MS << tries;

	random_fill(&chance, sizeof(chance));
	ms += chance % ms;
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(ms / 1000),
				      .tv_nsec = (long)(ms % 1000) * 1000000 },
		  NULL);
}

/* Owns @request. */
static int call(struct params_ssm *p, const char *what, json_t *request, json_t **ret,
		struct diag *d)
{
	struct text body = { 0 };
	int err = request ? json_write(request, &body) : -ENOMEM;

	json_decref(request);
	for (unsigned int i = 0; !err || err == -EAGAIN; i++) {
		err = aws_credentials_get(&p->credentials,
					  (int64_t)(clock_wall_ns() / 1000000000), d);
		if (!err)
			err = try_once(p, what, body.data, ret, d);
		if (err != -EAGAIN || i + 1 == PARAMS_TRIES)
			break;
		back_off(i);
	}
	text_done(&body);
	return err;
}

static const char *full_name(const struct params_ssm *p, const char *name,
			     char out[2 * PARAMS_NAME_MAX + 2])
{
	snprintf(out, 2 * PARAMS_NAME_MAX + 2, "%s/%s", p->prefix, name);
	return out;
}

static int get(struct params *base, const char *name, struct text *ret, struct diag *d)
{
	struct params_ssm *p = (struct params_ssm *)base;
	char full[2 * PARAMS_NAME_MAX + 2];
	json_t *reply = NULL;
	const char *value;
	int err = call(
		p, "GetParameter",
		json_pack("{s:s, s:b}", "Name", full_name(p, name, full), "WithDecryption", 1),
		&reply, d);

	if (err == ERR_UNKNOWN)
		return diag_set(d, err, 0, "there is no parameter %s", full);
	if (err)
		return err;
	value = json_string_value(
		json_object_get(json_object_get(reply, "Parameter"), "Value"));
	if (!value)
		err = diag_set(d, ERR_FORMAT, 0, "parameter %s: the reply has no value", full);
	else if (strlen(value) > PARAMS_VALUE_MAX)
		err = diag_set(d, ERR_LIMIT, 0, "parameter %s is too long", full);
	else
		text_puts(ret, value);
	json_decref(reply);
	return err ? err : ret->err;
}

static int put(struct params *base, const char *name, const char *value, enum params_type type,
	       bool overwrite, struct diag *d)
{
	struct params_ssm *p = (struct params_ssm *)base;
	char full[2 * PARAMS_NAME_MAX + 2];
	json_t *reply = NULL;
	int err = call(p, "PutParameter",
		       json_pack("{s:s, s:s, s:s, s:b}", "Name", full_name(p, name, full),
				 "Value", value, "Type",
				 type == PARAMS_SECURE ? "SecureString" : "String", "Overwrite",
				 (int)overwrite),
		       &reply, d);

	json_decref(reply);
	return err;
}

/* A parameter that was removed and made again begins with 1: the time tells them apart. */
static uint64_t version_of(const json_t *row)
{
	double modified = json_number_value(json_object_get(row, "LastModifiedDate"));
	uint64_t n = (uint64_t)json_integer_value(json_object_get(row, "Version"));
	uint64_t ms = modified > 0 && modified < 1e12 ? (uint64_t)(modified * 1000) : 0;

	return n ? n * UINT64_C(0x9e3779b97f4a7c15) ^ ms : 0;
}

static int visit_page(const struct params_ssm *p, const json_t *names, params_visitor visit,
		      void *context, size_t *n)
{
	size_t own = strlen(p->prefix), i;
	const json_t *row;
	int err = 0;

	json_array_foreach(names, i, row)
	{
		const char *name = json_string_value(json_object_get(row, "Name"));

		if (err || !name || strncmp(name, p->prefix, own) != 0 || name[own] != '/' ||
		    !params_name_ok(name + own + 1))
			continue; /* not one of ours */
		err = ++*n > PARAMS_LIST_MAX ? ERR_LIMIT
					     : visit(context, name + own + 1, version_of(row));
	}
	return err;
}

static json_t *page_request(const char *prefix, const char *token)
{
	json_t *request =
		json_pack("{s:[{s:s, s:s, s:[s]}], s:i}", "ParameterFilters", "Key", "Name",
			  "Option", "BeginsWith", "Values", prefix, "MaxResults", (int)PAGE);

	if (request && token &&
	    json_object_set_new(request, "NextToken", json_string(token)) < 0) {
		json_decref(request);
		return NULL;
	}
	return request;
}

static int list(struct params *base, const char *prefix, params_visitor visit, void *context,
		struct diag *d)
{
	struct params_ssm *p = (struct params_ssm *)base;
	char full[2 * PARAMS_NAME_MAX + 2];
	const char *token = NULL;
	json_t *page = NULL;
	size_t n = 0;
	int err = 0;

	full_name(p, prefix, full);
	/* Pages may be empty and still have one after them. */
	for (unsigned int i = 0; !err && i < PARAMS_LIST_MAX / PAGE; i++) {
		json_t *next = NULL;

		err = call(p, "DescribeParameters", page_request(full, token), &next, d);
		json_decref(page);
		page = next;
		if (!err)
			err = visit_page(p, json_object_get(page, "Parameters"), visit, context,
					 &n);
		token = json_string_value(json_object_get(page, "NextToken"));
		if (!token || !*token)
			break;
	}
	if (!err && token && *token)
		err = diag_set(d, ERR_LIMIT, 0, "there are too many parameters below %s", full);
	json_decref(page);
	return err;
}

static int remove_one(struct params *base, const char *name, struct diag *d)
{
	struct params_ssm *p = (struct params_ssm *)base;
	char full[2 * PARAMS_NAME_MAX + 2];
	json_t *reply = NULL;
	int err = call(p, "DeleteParameter",
		       json_pack("{s:s}", "Name", full_name(p, name, full)), &reply, d);

	json_decref(reply);
	return err;
}

static void free_ssm(struct params *base)
{
	struct params_ssm *p = (struct params_ssm *)base;

	aws_session_done(&p->session);
	aws_credentials_done(&p->credentials);
	free(p);
}

static const struct params_ops ops = { get, put, list, remove_one, free_ssm };

static const char *variable(const char *first, const char *second, const char *def)
{
	const char *value = getenv(first);

	if (!value || !*value)
		value = getenv(second);
	return value && *value ? value : def;
}

static int set_endpoint(struct params_ssm *p, const char *region, struct diag *d)
{
	const char *other = variable("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL", NULL);
	int n;

	if (other && strncmp(other, "https://", 8) != 0 &&
	    (strncmp(other, "http://", 7) != 0 || !aws_http_host_is_near(other)))
		return diag_set(d, ERR_RANGE, 0,
				"an endpoint of the Parameter Store has https, or http on the"
				" loopback only: secrets go there");
	if (other)
		n = snprintf(p->url, sizeof(p->url), "%s%s", other,
			     other[strlen(other) - 1] == '/' ? "" : "/");
	else
		n = snprintf(p->url, sizeof(p->url), "https://ssm.%s.amazonaws.com%s/", region,
			     strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	return n < (int)sizeof(p->url)
		       ? 0
		       : diag_set(d, ERR_RANGE, 0, "the endpoint's address is too long");
}

int params_open_ssm(const char *prefix, struct params **ret, struct diag *d)
{
	const char *region = variable("AWS_REGION", "AWS_DEFAULT_REGION", "us-east-1");
	struct params_ssm *p;
	int err;

	if (prefix[0] != '/' || !params_name_ok(prefix + 1))
		return diag_set(d, ERR_RANGE, 0,
				"a prefix of the Parameter Store looks like /ephem-vpn");
	if (strlen(region) > REGION_MAX ||
	    region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		return diag_set(d, ERR_RANGE, 0, "AWS_REGION is no name of a region");
	p = calloc(1, sizeof(*p));
	if (!p)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	p->base.ops = &ops;
	snprintf(p->prefix, sizeof(p->prefix), "%s", prefix);
	snprintf(p->signature, sizeof(p->signature), "aws:amz:%s:ssm", region);
	err = set_endpoint(p, region, d);
	if (err)
		free(p);
	else
		*ret = &p->base;
	return err;
}
