/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of AmneziaWG, "key=value" line by line: what is refused says why and changes nothing;
 * what is taken is written, read and written again the same in both spellings, and judging it
 * gives a reason or none. */
#include <stdbool.h>
#include <string.h>

#include "frame/parameters.h"
#include "fuzz.h"

static void write_all(struct text *out, enum frame_dialect dialect,
		      const struct frame_parameters *p)
{
	text_clear(out);
	for (enum frame_key key = 0; key < FRAME_KEYS; key++) {
		frame_parameters_put(out, dialect, p, key);
		text_puts(out, "\n");
	}
	HOLDS(out->err == 0);
}

static bool same_text(const struct text *a, const struct text *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void set_checked(struct frame_parameters *p, enum frame_dialect dialect,
			enum frame_key key, const char *text, size_t len)
{
	const char *name = frame_key_name(dialect, key);
	struct text before = { 0 }, after = { 0 };
	struct diag d = { 0 };
	int err;

	write_all(&before, FRAME_UAPI, p);
	err = frame_parameters_set(p, dialect, key, text, len, &d);
	if (err) {
		HOLDS(err == ERR_FORMAT || err == ERR_RANGE || err == ERR_LIMIT);
		HOLDS(strncmp(d.text, name, strlen(name)) == 0 && d.text[strlen(name)] == ':');
		write_all(&after, FRAME_UAPI, p);
		HOLDS(same_text(&before, &after));
	}
	text_done(&before);
	text_done(&after);
}

/* Names that the UAPI knows are its own; any other spelling is that of a file. */
static void read_line(struct frame_parameters *p, const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	enum frame_dialect dialect = FRAME_UAPI;
	enum frame_key key;
	size_t name_len;

	if (!equals)
		return;
	name_len = (size_t)(equals - line);
	key = frame_key_find(dialect, line, name_len);
	if (key == FRAME_KEYS) {
		dialect = FRAME_CONF;
		key = frame_key_find(dialect, line, name_len);
	}
	if (key != FRAME_KEYS)
		set_checked(p, dialect, key, equals + 1, len - name_len - 1);
}

static void hear(void *context, struct frame_fault about, const char *sentence)
{
	(void)context;
	(void)about;
	HOLDS(sentence[0] && strlen(sentence) < DIAG_TEXT_MAX - 1);
}

static void judge(const struct frame_parameters *p)
{
	struct diag d = { 0 };
	enum frame_rule rule = frame_parameters_check(p, &d);
	const char *name = frame_rule_name(rule);

	if (rule == FRAME_RULE_NONE)
		HOLDS(!d.text[0]);
	else
		HOLDS(strncmp(d.text, name, strlen(name)) == 0 &&
		      strlen(d.text) > strlen(name));
	frame_parameters_warn(p, hear, NULL);
}

static void check_again(enum frame_dialect dialect, const struct frame_parameters *p)
{
	struct text first = { 0 }, second = { 0 };
	struct frame_parameters again;
	const char *at;

	frame_parameters_init(&again);
	write_all(&first, dialect, p);
	at = first.data;
	for (enum frame_key key = 0; key < FRAME_KEYS; key++) {
		size_t len = strcspn(at, "\n");

		HOLDS(frame_parameters_set(&again, dialect, key, at, len, NULL) == 0);
		HOLDS(frame_key_is_default(p, key) == frame_key_is_default(&again, key));
		at += len + 1;
	}
	HOLDS(frame_parameters_match(p, &again));
	HOLDS(frame_parameters_check(p, NULL) == frame_parameters_check(&again, NULL));
	write_all(&second, dialect, &again);
	HOLDS(same_text(&first, &second));
	frame_parameters_done(&again);
	text_done(&first);
	text_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct frame_parameters p;

	frame_parameters_init(&p);
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t len = end ? (size_t)(end - text) : size;

		read_line(&p, text, len);
		size -= end ? len + 1 : len;
		text += end ? len + 1 : len;
	}
	judge(&p);
	check_again(FRAME_CONF, &p);
	check_again(FRAME_UAPI, &p);
	frame_parameters_done(&p);
	return 0;
}
