/* SPDX-License-Identifier: Apache-2.0 */
/**
 * conf_warn.h - What a person should know about a file that is no error
 *
 * Shared by who judges files: culvert conf check, culvert doctor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "conf/wgconf.h"

/**
 * struct conf_listener - Who is told
 * @say:	@line counts from 1; 0: the sentence is about the whole file
 */
struct conf_listener {
	void (*say)(void *context, size_t line, const char *sentence);
	void *context;
};

/** conf_warn_of_keys() - Unknown, old and repeated keys, and what is missing */
void conf_warn_of_keys(const struct wgconf *c, const struct conf_listener *to);

/**
 * conf_warn_of_framing() - Parameters that are valid and unwise, of every profile
 * @knows_mtu:	What awg-quick would choose as MTU does not matter
 */
void conf_warn_of_framing(const struct wgconf *c, bool knows_mtu,
			  const struct conf_listener *to);
