/* SPDX-License-Identifier: Apache-2.0 */
/**
 * places.h - Which surfaces of the API are served where, with their sockets and certificate
 *
 * Surfaces that name one address share its listener. The local socket comes last.
 *
 * Threads: one.
 */
#pragma once

#include "cmd/listen.h"
#include "cmd/serving.h"
#include "http/certificate.h"
#include "http/server.h"

struct api;
struct options;

/**
 * struct places - Set @api, @state, @socket_path and @shelf; the rest is zero
 * @api:	Borrowed; its listeners are filled in
 * @state:	Where a certificate is made when none is named
 * @shelf:	The ends of the shelf (cmd/shelf.h), where sockets are found and left; -1: there is none
 * @http:	Its listeners, for http_server_new(): who calls that takes their sockets over
 * @certificate: Lives as long as the server; places_done() ends it
 * @shown:	URL of the REST API, with its real port
 */
struct places {
	struct api *api;
	const char *state;
	const char *socket_path;
	int shelf[2];
	struct serving serving;
	struct http_server_config http;
	struct certificate certificate;
	char shown[LISTEN_SHOWN_MAX];
};

/**
 * places_open() - Read what [listen] and [tls] say, make the certificate if need be, listen
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE or -errno, with what to do in @d. Sockets that were opened stay
 *	   in @http: the process is about to end.
 */
int places_open(struct places *s, const struct options *o, struct diag *d);
void places_done(struct places *s);

/* For people, behind the ready line, which programs read. */
void places_say_first_steps(const struct places *s);
