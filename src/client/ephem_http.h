/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ephem_http.h - One request of a client to the users' API of a gateway
 *
 * HTTPS is verified. Plain HTTP is spoken to this very machine, to another one only if that was
 * asked for: the key would be anybody's on the way. No redirects, bounded time and length.
 *
 * Threads: any, one call each.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/text.h"

enum { EPHEM_ANSWER_MAX = 4 << 20 };

/**
 * struct ephem_request - What is asked; everything borrowed
 * @base:	As ephem_url_check() allows it, with or without a '/' at its end
 * @path:	"/users"
 * @key:	Behind "Authorization: Bearer"; NULL: none
 * @body:	JSON; NULL: none
 * @ca_file:	PEM file of who is trusted; "": the system's
 */
struct ephem_request {
	const char *method;
	const char *base;
	const char *path;
	const char *key;
	const char *body;
	const char *ca_file;
	bool is_insecure;
};

/**
 * ephem_url_check() - May a key be sent there?
 *
 * Return: 0; ERR_RANGE: plain HTTP to another machine without @is_insecure; ERR_FORMAT: no URL of
 *	   http or https, or one with more than host, port and path; with a sentence in @d.
 */
int ephem_url_check(const char *url, bool is_insecure, struct diag *d);

/**
 * ephem_ask() - Ask and wait
 * @answer:	Empty before; text_done() in any case: there may be a key in it
 *
 * Return: 0 with any HTTP status in @ret_status; as ephem_url_check(); ERR_AUTH: the certificate;
 *	   ERR_LIMIT: too long an answer; -ENOMEM; -EIO: not reached, or no answer; with a sentence in @d.
 */
int ephem_ask(const struct ephem_request *r, long *ret_status, struct text *answer,
	      struct diag *d);
