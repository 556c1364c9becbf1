/* SPDX-License-Identifier: Apache-2.0 */
/* "NAME key=value key=value ...": a framing profile on one line, read and written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "conf/uapi.h"

struct word {
	const char *at;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cut the next word off @rest. Blanks within <...> belong to it. false: there is none. */
static bool next_word(struct word *rest, struct word *ret)
{
	bool in_tag = false;
	size_t n = 0;

	while (rest->len && is_blank(rest->at[0])) {
		rest->at++;
		rest->len--;
	}
	for (; n < rest->len && (in_tag || !is_blank(rest->at[n])); n++)
		in_tag = rest->at[n] == '<' || (in_tag && rest->at[n] != '>');
	*ret = (struct word){ rest->at, n };
	rest->at += n;
	rest->len -= n;
	return n > 0;
}

static bool is_word(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.at, text, w.len) == 0;
}

static int take_value(struct uapi_profile *p, struct word name, struct word value,
		      struct diag *d)
{
	enum frame_key key = frame_key_find(FRAME_UAPI, name.at, name.len);

	if (key != FRAME_KEYS)
		return frame_parameters_set(&p->parameters, FRAME_UAPI, key, value.at,
					    value.len, d);
	if (!is_word(name, "until"))
		return diag_set(
			d, ERR_FORMAT, 0,
			"culvert_profile: a word that is neither a parameter nor until=");
	if (decimal_parse(value.at, value.len, UINT64_MAX, &p->until_s) < 0)
		return diag_set(d, ERR_FORMAT, 0,
				"culvert_profile: until= is a number of seconds since 1970");
	return 0;
}

static int take_word(struct uapi_profile *p, struct word w, struct diag *d)
{
	const char *equals = memchr(w.at, '=', w.len);
	struct word name = { w.at, equals ? (size_t)(equals - w.at) : 0 };

	if (is_word(w, "remove")) {
		p->remove = true;
		return 0;
	}
	if (!equals)
		return diag_set(d, ERR_FORMAT, 0,
				"culvert_profile: 'NAME key=value ...' was expected");
	return take_value(p, name, (struct word){ equals + 1, w.len - name.len - 1 }, d);
}

int uapi_profile_parse(const char *text, size_t len, struct uapi_profile *ret, struct diag *d)
{
	struct word rest = { text, len }, w = { 0 };
	struct uapi_profile p = { .until_s = 0 };
	int err = 0;

	if (!next_word(&rest, &w) || !frame_is_name(w.at, w.len))
		return diag_set(
			d, ERR_FORMAT, 0,
			"culvert_profile: a name was expected: at most %d letters, digits, "
			"'-', '_' and '.'",
			FRAME_NAME_MAX);
	memcpy(p.name, w.at, w.len);
	frame_parameters_init(&p.parameters);
	while (err == 0 && next_word(&rest, &w))
		err = take_word(&p, w, d);
	if (err == 0 && p.remove && (p.until_s || !frame_parameters_are_plain(&p.parameters)))
		err = diag_set(d, ERR_FORMAT, 0, "culvert_profile: remove stands alone");
	if (err == 0 && frame_parameters_check(&p.parameters, d) != FRAME_RULE_NONE)
		err = ERR_RANGE;
	if (err < 0) {
		frame_parameters_done(&p.parameters);
		return err;
	}
	*ret = p;
	secret_key_done(&p.parameters.protection_key);
	return 0;
}

static void put_value(struct text *out, const struct frame_parameters *p, enum frame_key key)
{
	text_puts(out, " ");
	text_puts(out, frame_key_name(FRAME_UAPI, key));
	text_puts(out, "=");
	if (key >= FRAME_I1 && key <= FRAME_I5) {
		const char *text = p->signature[key - FRAME_I1];

		frame_signature_put(out, text, strlen(text));
	} else {
		frame_parameters_put(out, FRAME_UAPI, p, key);
	}
}

void uapi_profile_put(struct text *out, const char *name,
		      const struct frame_parameters *parameters, uint64_t until_s)
{
	text_puts(out, name);
	for (int key = 0; key < FRAME_KEYS; key++)
		if (!frame_key_is_default(parameters, (enum frame_key)key))
			put_value(out, parameters, (enum frame_key)key);
	if (until_s) {
		text_puts(out, " until=");
		text_put_u64(out, until_s);
	}
}
