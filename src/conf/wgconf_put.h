/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wgconf_put.h - Lines of wg-quick files, for whoever writes one
 *
 * Nothing is written where there is nothing to say: no line for an empty list.
 */
#pragma once

#include "base/addr.h"
#include "base/text.h"
#include "conf/wgconf.h"

/* A word from outside, which must not begin a line of its own: else @out->err is ERR_FORMAT. */
void wgconf_put_word(struct text *out, const char *word);
/* "NAME = KEY" */
void wgconf_put_key(struct text *out, const char *name, const uint8_t key[32]);
/* "NAME = N"; nothing for 0 */
void wgconf_put_number(struct text *out, const char *name, unsigned int value);
void wgconf_put_addresses(struct text *out, const struct wgconf_address *addresses, size_t n);
void wgconf_put_allowed_ips(struct text *out, const struct ip_prefix *prefixes, size_t n);
