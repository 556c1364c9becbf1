/* SPDX-License-Identifier: Apache-2.0 */
#include "client/endpoint_list.h"

#include <string.h>

#include "base/codec.h"
#include "conf/wgconf_values.h"

/* Letters, digits and what addresses and names have besides. */
static bool is_host(const char *host)
{
	static const char others[] = ".-_:%";

	for (const char *p = host; *p; p++) {
		bool is_letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

		if (!is_letter && !(*p >= '0' && *p <= '9') && !strchr(others, *p))
			return false;
	}
	return host[0] != '\0';
}

static int read_name(struct wgconf_span word, struct endpoint_name *ret)
{
	struct wgconf_span host = word;
	struct endpoint_name name;
	uint64_t port = 0;
	size_t colon = word.len;

	while (colon > 0 && word.at[colon - 1] != ':')
		colon--;
	if (colon < 2 ||
	    decimal_parse(word.at + colon, word.len - colon, UINT16_MAX, &port) < 0 ||
	    port == 0)
		return ERR_FORMAT;
	host.len = colon - 1;
	if (host.at[0] == '[' && host.len > 2 && host.at[host.len - 1] == ']')
		host = (struct wgconf_span){ host.at + 1, host.len - 2 };
	else if (memchr(host.at, ':', host.len))
		return ERR_FORMAT; /* which colon would begin the port? */
	if (host.len >= sizeof(name.host))
		return ERR_FORMAT;
	memcpy(name.host, host.at, host.len);
	name.host[host.len] = '\0';
	name.port = (uint16_t)port;
	if (strlen(name.host) != host.len || !is_host(name.host))
		return ERR_FORMAT;
	*ret = name;
	return 1;
}

int endpoint_list_next(struct wgconf_span *list, struct endpoint_name *ret)
{
	struct wgconf_span rest = wgconf_trim(*list);
	struct wgconf_span word = wgconf_trim(wgconf_before(rest, ','));
	size_t taken = wgconf_before(rest, ',').len;

	if (rest.len == 0) {
		*list = rest;
		return 0;
	}
	*list = wgconf_after(rest, taken < rest.len ? taken + 1 : taken);
	return read_name(word, ret);
}

/* "# Endpoints = LIST" Return: LIST; empty: it is another comment. */
static struct wgconf_span read_comment(struct wgconf_span line)
{
	const struct wgconf_span none = { line.at, 0 };
	struct wgconf_span text = wgconf_trim(line), name;

	if (text.len == 0 || text.at[0] != '#')
		return none;
	text = wgconf_trim(wgconf_after(text, 1));
	name = wgconf_trim(wgconf_before(text, '='));
	if (!wgconf_span_is(name, "Endpoints") || wgconf_before(text, '=').len == text.len)
		return none;
	return wgconf_trim(wgconf_after(text, wgconf_before(text, '=').len + 1));
}

struct wgconf_span endpoint_list_find(const struct wgconf *c, size_t index)
{
	struct wgconf_span found = { "", 0 };
	size_t peer = 0;

	for (size_t i = 0; i < c->n_lines && peer <= index + 1; i++) {
		const struct wgconf_line *line = &c->lines[i];
		struct wgconf_span head = wgconf_trim(line->whole), list;

		if (line->section != WGCONF_PEER)
			continue;
		if (line->key == WGCONF_NO_KEY && head.len && head.at[0] == '[')
			peer++;
		list = read_comment(line->whole);
		if (peer == index + 1 && list.len)
			found = list;
	}
	return found;
}
