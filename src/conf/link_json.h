/* SPDX-License-Identifier: Apache-2.0 */
/**
 * link_json.h - What is inside a link: the JSON of AmneziaVPN around a wg-quick file
 *
 * The inner half of link.h.
 */
#pragma once

#include "conf/wgconf.h"

/** link_json_put() - As link_make(), the JSON alone */
int link_json_put(const struct wgconf *c, const char *description, struct text *out,
		  struct diag *d);

/** link_json_take() - As link_read(), of the JSON alone */
int link_json_take(const char *text, size_t len, struct text *out, struct diag *d);
