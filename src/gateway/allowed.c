/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/allowed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_host_of(const struct ip_prefix *subnet, const struct ip_prefix *p)
{
	return p->bits == ip_addr_bits(&p->ip) && ip_prefix_contains(subnet, &p->ip);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int join(char texts[ALLOWED_MAX][ADDR_TEXT_MAX], size_t n, char *out)
{
	size_t len = 0;

	if (n > 0)
		qsort(texts, n, sizeof(texts[0]), by_text);
	out[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		int more = snprintf(out + len, STORE_ROUTES_MAX + 1 - len, "%s%s",
				    len ? "," : "", texts[i]);

		len += (size_t)more;
		if (len > STORE_ROUTES_MAX)
			return ERR_LIMIT;
	}
	return 0;
}

int allowed_sort_out(const struct ip_prefix *subnet4, const struct ip_prefix *subnet6,
		     const struct ip_prefix *prefixes, size_t n, struct allowed *ret)
{
	char texts[ALLOWED_MAX][ADDR_TEXT_MAX];
	size_t n_texts = 0;

	*ret = (struct allowed){ .routes = "" };
	for (size_t i = 0; i < n; i++) {
		const struct ip_prefix *p = &prefixes[i];
		bool is_v4 = p->ip.family == ADDR_V4;
		struct ip_addr *slot = is_v4 ? &ret->v4 : &ret->v6;

		if (is_host_of(is_v4 ? subnet4 : subnet6, p) && slot->family == ADDR_NONE) {
			*slot = p->ip;
			continue;
		}
		if (n_texts == ALLOWED_MAX)
			return ERR_LIMIT;
		ip_prefix_format(p, texts[n_texts++]);
	}
	return join(texts, n_texts, ret->routes);
}
