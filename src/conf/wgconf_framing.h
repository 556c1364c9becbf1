/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wgconf_framing.h - The same file with other parameters of AmneziaWG
 *
 * Threads: none here.
 */
#pragma once

#include "conf/wgconf.h"

/* "Jc = 4" and so on: every parameter that is not at its default, in the order of the table.
 * @eol ends each line. */
void wgconf_put_framing(struct text *out, const struct frame_parameters *p, const char *eol);

/** wgconf_fault_line() - The line to be changed, from 1; 0 where no line says either value */
unsigned int wgconf_fault_line(const struct wgconf *c, struct frame_fault fault);

/**
 * wgconf_advise_mtu() - The tunnel's MTU for a file, when the route's is @path_mtu
 *
 * Endpoints that are names may be IPv6, and so may be whoever calls a file without endpoints.
 */
uint32_t wgconf_advise_mtu(const struct wgconf *c, uint32_t path_mtu,
			   const struct frame_parameters *p);

/**
 * wgconf_reframe() - Write a file with the parameters of AmneziaWG replaced by @p
 * @mtu:	0, or the greatest MTU that the file may have: a line that says more is
 *		changed, and one is added where there is none
 *
 * Every other octet stays: comments, hooks, unknown keys, line ends, CulvertProfile. The new
 * lines stand where the first old one was, else behind the last key of the first [Interface];
 * a file without [Interface] gets one at its end.
 */
void wgconf_reframe(struct text *out, const struct wgconf *c, const struct frame_parameters *p,
		    uint32_t mtu);
