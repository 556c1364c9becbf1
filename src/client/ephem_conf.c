/* SPDX-License-Identifier: Apache-2.0 */
#include "client/ephem_conf.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/ephem_state.h"
#include "conf/wgconf.h"

static bool is_command(enum wgconf_key key)
{
	return key == WGCONF_PRE_UP || key == WGCONF_POST_UP || key == WGCONF_PRE_DOWN ||
	       key == WGCONF_POST_DOWN || key == WGCONF_SAVE_CONFIG;
}

static int judge(const struct wgconf *c, struct diag *d)
{
	for (size_t i = 0; i < c->n_lines; i++) {
		if (is_command(c->lines[i].key))
			return diag_set(d, ERR_RANGE, (unsigned int)i + 1,
					"the gateway's configuration has a line %s, which "
					"would run programs here: it is not saved",
					wgconf_line_key(&c->lines[i]));
	}
	if (!c->interface.has_private_key || c->n_peers == 0)
		return diag_set(d, ERR_FORMAT, 0,
				"the gateway's configuration has no private key or no peer");
	return 0;
}

int ephem_conf_check(const char *text, size_t len, struct diag *d)
{
	struct wgconf c = { .text = NULL };
	struct diag why = { .text = "" };
	int err;

	if (len > EPHEM_CONF_MAX || memchr(text, '\0', len))
		return diag_set(d, ERR_LIMIT, 0,
				"the gateway's configuration is too long, or no text");
	err = wgconf_parse(text, len, &c, &why);
	if (err)
		diag_set(d, err, why.line, "the gateway's configuration, line %u: %.180s",
			 why.line, why.text);
	else
		err = judge(&c, d);
	wgconf_done(&c);
	return err;
}
