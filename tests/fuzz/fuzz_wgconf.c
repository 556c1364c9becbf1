/* SPDX-License-Identifier: Apache-2.0 */
/* A wg-quick file: taken, it is written back octet for octet, and what is stripped of it is a
 * file again; refused, line and reason are there and nothing is kept. */
#include <string.h>

#include "conf/wgconf.h"
#include "fuzz.h"

static unsigned int count_lines(const uint8_t *data, size_t size)
{
	unsigned int n = size && data[size - 1] != '\n';

	for (size_t i = 0; i < size; i++)
		n += data[i] == '\n';
	return n;
}

static void check_refusal(const struct wgconf *c, const struct diag *d, int err,
			  unsigned int lines)
{
	static const struct wgconf empty;

	HOLDS(err == ERR_FORMAT);
	HOLDS(d->text[0] && d->line >= 1 && d->line <= lines);
	HOLDS(memcmp(c, &empty, sizeof(empty)) == 0);
}

/* Stripping twice adds nothing but the newline that each run adds at the end. */
static void check_strip(const struct wgconf *c)
{
	struct text once = { 0 }, twice = { 0 };
	struct wgconf stripped = { 0 };
	struct diag d;

	wgconf_strip(&once, c);
	HOLDS(once.err == 0 && wgconf_parse(once.data, once.len, &stripped, &d) == 0);
	HOLDS(stripped.n_peers == c->n_peers && stripped.n_allowed_ips == c->n_allowed_ips);
	HOLDS(stripped.n_addresses == 0 && stripped.n_dns == 0 && stripped.interface.mtu == 0);
	wgconf_strip(&twice, &stripped);
	HOLDS(twice.len == once.len + 1 && memcmp(once.data, twice.data, once.len) == 0);
	text_done(&once);
	text_done(&twice);
	wgconf_done(&stripped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wgconf c = { 0 };
	struct text out = { 0 };
	struct diag d = { 0 };
	int err = wgconf_parse((const char *)data, size, &c, &d);

	if (err) {
		check_refusal(&c, &d, err, count_lines(data, size));
		return 0;
	}
	HOLDS(c.n_lines == count_lines(data, size));
	wgconf_write(&out, &c);
	HOLDS(out.len == size && (!size || memcmp(out.data, data, size) == 0));
	check_strip(&c);
	text_done(&out);
	wgconf_done(&c);
	return 0;
}
