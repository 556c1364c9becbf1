/* SPDX-License-Identifier: Apache-2.0 */
/**
 * aws_http.h - One HTTP request to a service of AWS, signed or not
 *
 * No redirects, bounded replies, bounded time. TLS is verified. Threads: any, one call each.
 *
 * Source: AWS Signature Version 4, made by libcurl.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/text.h"

enum { AWS_HTTP_HEADERS_MAX = 6, AWS_HTTP_ANSWER_MAX = 1 << 20 };

/* struct aws_session - All zeroes: no connection is kept yet. One request at a time; aws_session_done() */
struct aws_session {
	void *handle;
};

/**
 * struct aws_request - What is asked
 * @session:	Keeps the connection for the next one; NULL: it is closed
 * @headers:	Lines, NULL where there are no more
 * @body:	NULL: none
 * @signature:	"aws:amz:REGION:SERVICE" with @user and @password; NULL: not signed
 * @is_direct:	Past any proxy: a link-local or loopback address
 */
struct aws_request {
	struct aws_session *session;
	const char *method;
	const char *url;
	const char *headers[AWS_HTTP_HEADERS_MAX];
	const char *body;
	const char *signature;
	const char *user;
	const char *password;
	long timeout_ms;
	bool is_direct;
};

/**
 * aws_http() - Ask and wait
 *
 * Return: 0 with any HTTP status in @ret_status and the reply in the empty @answer; ERR_LIMIT (too
 *	   long a reply); ERR_AUTH (the certificate); -ENOMEM; -EAGAIN (not reached, or no answer).
 */
int aws_http(const struct aws_request *r, long *ret_status, struct text *answer,
	     struct diag *d);

void aws_session_done(struct aws_session *s);

/** aws_http_host_is_near() - Is the host of @url on the loopback? "localhost" is */
bool aws_http_host_is_near(const char *url);
