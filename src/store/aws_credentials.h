/* SPDX-License-Identifier: Apache-2.0 */
/**
 * aws_credentials.h - Who we are to AWS
 *
 * The first that there is of: the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 * AWS_SESSION_TOKEN); the container's endpoint (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, or
 * AWS_CONTAINER_CREDENTIALS_FULL_URI with AWS_CONTAINER_AUTHORIZATION_TOKEN or ..._TOKEN_FILE); the
 * metadata of the instance, version 2 only (AWS_EC2_METADATA_SERVICE_ENDPOINT,
 * AWS_EC2_METADATA_DISABLED). A full URI is https, or http to the loopback or to the addresses that ECS
 * and EKS use: a token goes nowhere else in clear text.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	AWS_KEY_MAX = 128,
	AWS_TOKEN_MAX = 4096,
	AWS_REFRESH_S = 300, /* so long before their end they are asked for again */
};

/**
 * struct aws_credentials - All zeroes: not known yet. aws_credentials_done() wipes
 * @token:	"" when there is none
 * @end_s:	Unix time they are valid until; 0: no end
 */
struct aws_credentials {
	char id[AWS_KEY_MAX + 1];
	char secret[AWS_KEY_MAX + 1];
	char token[AWS_TOKEN_MAX + 1];
	int64_t end_s;
};

/**
 * aws_credentials_get() - Fill in @c, or renew it when its end is near
 *
 * When renewing fails and they have not ended yet, they stay.
 *
 * Return: 0; ERR_AUTH when there are none, with the reason in @d; ERR_RANGE for an address that is not
 *	   allowed; ERR_FORMAT, -EAGAIN, -ENOMEM.
 */
int aws_credentials_get(struct aws_credentials *c, int64_t now_s, struct diag *d);
void aws_credentials_done(struct aws_credentials *c);

/** aws_credentials_read() - The JSON of container and instance. Return: 0, ERR_FORMAT, -ENOMEM */
int aws_credentials_read(const char *text, size_t len, struct aws_credentials *ret,
			 struct diag *d);

/** aws_credentials_uri_ok() - May a full URI of a container be asked? */
bool aws_credentials_uri_ok(const char *uri);
