/* SPDX-License-Identifier: Apache-2.0 */
/**
 * doctor_host.h - What is wrong with the host around a tunnel
 *
 * Looks at settings, devices, programs, the clock, resolvers and the gateway's socket, and
 * changes nothing. Every finding is a sentence that says what to do.
 *
 * Threads: none here; waits a second at most for each resolver, and for the API.
 */
#pragma once

#include <stdint.h>

/**
 * struct doctor_host - What to look at
 * @interface:	Of a tunnel that should forward; NULL: the host as a whole
 * @port:	UDP, to be free, or served where @interface exists; 0: none
 * @api:	ADDRESS:PORT that should take connections; NULL: none
 * @state:	Directory of a gateway, whose socket should answer where there is one
 */
struct doctor_host {
	const char *interface;
	const char *api;
	const char *state;
	uint16_t port;
};

/* @about is a word: "forwarding", "clock", "dns" … */
typedef void (*doctor_finding)(void *context, const char *about, const char *sentence);

void doctor_host_look(const struct doctor_host *h, doctor_finding find, void *context);
