/* SPDX-License-Identifier: Apache-2.0 */
/**
 * conf_show.h - A wg-quick file for a reader: a person or a script
 *
 * Secrets are never shown: not the private key, not preshared keys, and not the value of
 * a key we do not know when that value has the shape of a key. Comments are left out, but
 * for the names of peers: an old key may stand in one.
 */
#pragma once

#include "base/text.h"
#include "conf/wgconf.h"

/**
 * conf_show_text() - Like `wg show`; @public_key is the interface's, NULL without one
 */
void conf_show_text(struct text *out, const struct wgconf *c, const uint8_t *public_key);

/** conf_show_json() - One object and a newline */
void conf_show_json(struct text *out, const struct wgconf *c, const uint8_t *public_key);
