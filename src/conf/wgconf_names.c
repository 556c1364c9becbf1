/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/wgconf_names.h"

#include <string.h>

#include <strings.h>

#include "conf/wgconf_values.h"

enum { BARE_MAX = 64 }; /* octets: what is longer is a sentence */

/* Does @s begin with @word and a blank behind it? Then @ret is what follows. */
static bool follows(struct wgconf_span s, const char *word, struct wgconf_span *ret)
{
	size_t len = strlen(word);

	if (s.len <= len || strncasecmp(s.at, word, len) != 0 || !wgconf_is_space(s.at[len]))
		return false;
	*ret = wgconf_trim(wgconf_after(s, len));
	return true;
}

/* "WORD: NAME", or with @sign "=" "WORD = NAME". */
static bool follows_sign(struct wgconf_span s, const char *word, char sign,
			 struct wgconf_span *ret)
{
	struct wgconf_span before = wgconf_before(s, sign);

	if (before.len == s.len || !wgconf_span_is(wgconf_trim(before), word))
		return false;
	*ret = wgconf_trim(wgconf_after(s, before.len + 1));
	return true;
}

/* "NAME ###" without its end. */
static struct wgconf_span cut_hashes(struct wgconf_span s)
{
	while (s.len && s.at[s.len - 1] == '#')
		s.len--;
	return wgconf_trim(s);
}

/* "NAME (ID)" without the last parenthesis; a name that is nothing else stays. */
static struct wgconf_span cut_id(struct wgconf_span s)
{
	struct wgconf_span name = s;

	if (!s.len || s.at[s.len - 1] != ')')
		return s;
	while (name.len && name.at[name.len - 1] != '(')
		name.len--;
	if (name.len)
		name.len--;
	name = wgconf_trim(name);
	return name.len ? name : s;
}

/* Settings that were commented out, heads, and other programs' "Key: value" are no names. */
static bool is_bare_name(struct wgconf_span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr("=:[]#{}<>\"", s.at[i]) || s.at[i] == '\0')
			return false;
	return s.len > 0 && s.len <= BARE_MAX;
}

static bool is_marked(struct wgconf_span s, size_t hashes, struct wgconf_span *ret)
{
	if (hashes == 3 && follows(s, "begin", ret)) {
		*ret = cut_hashes(*ret);
		return true;
	}
	if (follows_sign(s, "Client", ':', ret)) {
		*ret = cut_id(*ret);
		return true;
	}
	return (hashes == 3 && follows(s, "Client", ret)) || follows(s, "BEGIN_PEER", ret) ||
	       follows_sign(s, "Name", ':', ret) || follows_sign(s, "Name", '=', ret);
}

enum wgconf_name_rank wgconf_name_read(struct wgconf_span comment, struct wgconf_span *ret)
{
	enum wgconf_name_rank rank = WGCONF_NAME_NONE;
	struct wgconf_span s = comment, name = { .len = 0 };
	size_t hashes = 0;

	while (hashes < s.len && s.at[hashes] == '#')
		hashes++;
	s = wgconf_trim(wgconf_after(s, hashes));
	if (follows_sign(s, "friendly_name", '=', &name)) {
		rank = WGCONF_NAME_FRIENDLY;
	} else if (is_marked(s, hashes, &name)) {
		rank = WGCONF_NAME_MARKED;
	} else if (!follows(s, "END_PEER", &name) && hashes == 1 && is_bare_name(s)) {
		rank = WGCONF_NAME_BARE;
		name = s;
	}
	if (rank == WGCONF_NAME_NONE || name.len == 0)
		return WGCONF_NAME_NONE;
	*ret = name;
	return rank;
}
