/* SPDX-License-Identifier: Apache-2.0 */
/**
 * params.h - A tree of small named values: a directory, or AWS Systems Manager's Parameter Store
 *
 * No transactions: each value is replaced alone, and survives a power cut once params_put() returned 0.
 * A name is relative to the tree's root: 1 to PARAMS_DEPTH_MAX parts of A-Z a-z 0-9 . _ - joined by
 * '/', none beginning with '.'.
 *
 * Calls block, over a network for seconds. Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

enum {
	PARAMS_NAME_MAX = 256,
	PARAMS_VALUE_MAX = 4096,
	PARAMS_DEPTH_MAX = 6,
	PARAMS_LIST_MAX = 1000000, /* names one list may visit */
	PARAMS_TRIES = 4,
};

enum params_type {
	PARAMS_STRING,
	PARAMS_SECURE, /* the Parameter Store encrypts it */
};

/* @version: Another one whenever the value may be another; 0: nobody knows. Return: 0 to go on, or a code
 * that ends the list and is returned. */
typedef int (*params_visitor)(void *context, const char *name, uint64_t version);

struct params;

struct params_ops {
	int (*get)(struct params *p, const char *name, struct text *ret, struct diag *d);
	int (*put)(struct params *p, const char *name, const char *value, enum params_type type,
		   bool overwrite, struct diag *d);
	int (*list)(struct params *p, const char *prefix, params_visitor visit, void *context,
		    struct diag *d);
	int (*remove)(struct params *p, const char *name, struct diag *d);
	void (*free)(struct params *p);
};

/* What every kind of tree begins with. */
struct params {
	const struct params_ops *ops;
};

/**
 * params_open_dir() - The directory @path, made with mode 0700 where it is missing
 *
 * Files have mode 0600; one that others may read is refused, and so is every symbolic link below @path.
 *
 * Return: 0; -EPERM when others may write into @path; -errno.
 */
int params_open_dir(const char *path, struct params **ret, struct diag *d);

/**
 * params_open_ssm() - The Parameter Store of AWS, below @prefix, which begins with '/'
 *
 * The region is AWS_REGION, AWS_DEFAULT_REGION or us-east-1; another endpoint is named by
 * AWS_ENDPOINT_URL_SSM or AWS_ENDPOINT_URL (https; http on the loopback only), another set of
 * authorities by AWS_CA_BUNDLE. Credentials: see aws_credentials.h. Nothing is asked here yet.
 *
 * Later calls also return ERR_AUTH (credentials are missing or were not accepted) and -EAGAIN (throttled,
 * or not reached, PARAMS_TRIES times). After an uncertain end the service may have done what was
 * asked, so a repeated params_put() without overwriting may say ERR_EXISTS.
 *
 * Return: 0; ERR_RANGE (prefix, region, endpoint); -ENOMEM.
 */
int params_open_ssm(const char *prefix, struct params **ret, struct diag *d);

/** params_open() - "dir:PATH" or "ssm:PREFIX". Return: as the two above; ERR_FORMAT */
int params_open(const char *store, struct params **ret, struct diag *d);

/** params_name_ok() - Is @name one of the grammar above? */
bool params_name_ok(const char *name);

/**
 * params_get() - Read one value into the empty @ret; text_done() wipes it
 *
 * Return: 0; ERR_UNKNOWN (no such name); ERR_RANGE (no name); ERR_LIMIT (too long a value);
 *	   -EACCES, -errno.
 */
int params_get(struct params *p, const char *name, struct text *ret, struct diag *d);

/**
 * params_put() - Write one value of 1 to PARAMS_VALUE_MAX octets
 * @overwrite:	false: ERR_EXISTS when the name is taken, and the old value stands
 *
 * Return: 0; ERR_EXISTS; ERR_RANGE (no name, no value); -EACCES, -errno.
 */
int params_put(struct params *p, const char *name, const char *value, enum params_type type,
	       bool overwrite, struct diag *d);

/**
 * params_list() - Visit the names below @prefix, "" or a name and '/', in no order
 *
 * Return: 0, also when there are none; ERR_RANGE, ERR_LIMIT, -errno, or what the visitor said.
 */
int params_list(struct params *p, const char *prefix, params_visitor visit, void *context,
		struct diag *d);

/** params_remove() - Return: 0; ERR_UNKNOWN; ERR_RANGE; -EACCES, -errno */
int params_remove(struct params *p, const char *name, struct diag *d);

struct params *params_free(struct params *p); /* takes NULL, returns NULL */
