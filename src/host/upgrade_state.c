/* SPDX-License-Identifier: Apache-2.0 */
#include "host/upgrade_state.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/wire.h"
#include "host/view.h"

enum {
	PID_MAX = 1 << 22,
	DESCRIPTOR_MIN = 3,
	DESCRIPTOR_MAX = 1 << 20,
};

struct header {
	char magic[8];
	le32 version;
	le32 n_numbers;
};
static_assert(sizeof(struct header) == 16, "no padding");

static const char magic[8] = { 'c', 'u', 'l', 'v', 'e', 'r', 't', 'U' };

static const struct {
	uint64_t min, max;
} ranges[] = {
	[UPGRADE_UID] = { 0, UINT32_MAX - 1 },
	[UPGRADE_GID] = { 0, UINT32_MAX - 1 },
	[UPGRADE_NETNS] = { 0, UINT64_MAX },
	[UPGRADE_STARTED] = { 1, UINT64_MAX },
	[UPGRADE_FILTER] = { 0, UINT64_MAX },
	[UPGRADE_HAS_TABLE] = { 0, 1 },
	[UPGRADE_DEVICE_PID] = { 0, PID_MAX },
	[UPGRADE_DEVICE_BEGUN] = { 0, UINT64_MAX },
	[UPGRADE_DEVICE_FAILURES] = { 0, UINT32_MAX },
	[UPGRADE_DEVICE_INDEX] = { 0, INT32_MAX },
	[UPGRADE_DEVICE_IS_KERNEL] = { 0, 1 },
	[UPGRADE_GATEWAY_PID] = { 2, PID_MAX },
	[UPGRADE_GATEWAY_BEGUN] = { 0, UINT64_MAX },
	[UPGRADE_GATEWAY_FAILURES] = { 0, UINT32_MAX },
	[UPGRADE_FD_STATE] = { DESCRIPTOR_MIN, DESCRIPTOR_MAX },
	[UPGRADE_FD_LOCK] = { DESCRIPTOR_MIN, DESCRIPTOR_MAX },
	[UPGRADE_FD_KEY] = { DESCRIPTOR_MIN, DESCRIPTOR_MAX },
	[UPGRADE_FD_GATEWAY] = { DESCRIPTOR_MIN, DESCRIPTOR_MAX },
	[UPGRADE_FD_SHELF_IN] = { DESCRIPTOR_MIN, DESCRIPTOR_MAX },
	[UPGRADE_FD_SHELF_OUT] = { DESCRIPTOR_MIN, DESCRIPTOR_MAX },
	[UPGRADE_FD_CONTROL] = { 0, DESCRIPTOR_MAX },
};
static_assert(sizeof(ranges) / sizeof(ranges[0]) == UPGRADE_NUMBERS, "one row each");

static void put_text(struct text *out, const char *s)
{
	text_add(out, s, strlen(s) + 1);
}

void upgrade_state_write(const struct upgrade_state *s, struct text *out)
{
	struct header h = { .version = le32_from(UPGRADE_VERSION),
			    .n_numbers = le32_from(UPGRADE_NUMBERS) };

	memcpy(h.magic, magic, sizeof(magic));
	text_add(out, &h, sizeof(h));
	for (int i = 0; i < UPGRADE_NUMBERS; i++) {
		le64 number = le64_from(s->numbers[i]);

		text_add(out, &number, sizeof(number));
	}
	put_text(out, s->program);
	put_text(out, s->view_state);
	put_text(out, s->view_program);
	for (size_t i = 0; s->options[i]; i++)
		put_text(out, s->options[i]);
	put_text(out, "");
}

/* What is left to read. */
struct rest {
	const char *at;
	size_t len;
};

/* NULL: no end within what is left. */
static const char *take_text(struct rest *r)
{
	const char *text = r->at;
	const char *end = memchr(text, '\0', r->len);

	if (!end)
		return NULL;
	r->at = end + 1;
	r->len -= (size_t)(end + 1 - text);
	return text;
}

static int read_header(struct rest *r, struct diag *d)
{
	struct header h;
	uint32_t version;

	if (r->len < sizeof(h) || memcmp(r->at, magic, sizeof(magic)) != 0)
		return diag_set(d, ERR_FORMAT, 0, "this is no state of a running gateway");
	memcpy(&h, r->at, sizeof(h));
	version = le32_value(h.version);
	if (version < UPGRADE_VERSION_OLDEST || version > UPGRADE_VERSION)
		return diag_set(d, ERR_VERSION, 0,
				"the running gateway writes its state in version %u, this "
				"program reads %d to %d: restart instead",
				version, UPGRADE_VERSION_OLDEST, UPGRADE_VERSION);
	if (le32_value(h.n_numbers) != UPGRADE_NUMBERS)
		return diag_set(d, ERR_FORMAT, 0, "version %u has %d numbers, not %u", version,
				UPGRADE_NUMBERS, le32_value(h.n_numbers));
	r->at += sizeof(h);
	r->len -= sizeof(h);
	return 0;
}

static bool is_repeated(const uint64_t *numbers, int i)
{
	for (int k = UPGRADE_FD_FIRST; k < i; k++) {
		if (numbers[k] == numbers[i])
			return true;
	}
	return false;
}

static int read_numbers(struct rest *r, uint64_t numbers[UPGRADE_NUMBERS], struct diag *d)
{
	if (r->len < UPGRADE_NUMBERS * sizeof(le64))
		return diag_set(d, ERR_FORMAT, 0, "its end is missing");
	for (int i = 0; i < UPGRADE_NUMBERS; i++) {
		le64 number;

		memcpy(&number, r->at + (size_t)i * sizeof(number), sizeof(number));
		numbers[i] = le64_value(number);
		if (numbers[i] < ranges[i].min || numbers[i] > ranges[i].max ||
		    is_repeated(numbers, i))
			return diag_set(d, ERR_RANGE, 0, "number %d is out of its range", i);
	}
	if (numbers[UPGRADE_FD_CONTROL] > 0 && numbers[UPGRADE_FD_CONTROL] < DESCRIPTOR_MIN)
		return diag_set(d, ERR_RANGE, 0, "number %d is out of its range",
				UPGRADE_FD_CONTROL);
	r->at += UPGRADE_NUMBERS * sizeof(le64);
	r->len -= UPGRADE_NUMBERS * sizeof(le64);
	return 0;
}

/* Name and value by turns, up to an empty name. */
static int read_options(struct rest *r, struct upgrade_state *s, struct diag *d)
{
	for (size_t n = 0; n <= 2 * (size_t)UPGRADE_OPTIONS_MAX; n++) {
		const char *text = take_text(r);

		if (!text)
			return diag_set(d, ERR_FORMAT, 0, "its end is missing");
		if (n % 2 == 0 && !text[0]) {
			s->options[n] = NULL;
			return 0;
		}
		if (n < 2 * (size_t)UPGRADE_OPTIONS_MAX)
			s->options[n] = text;
	}
	return diag_set(d, ERR_FORMAT, 0, "more than %d options", UPGRADE_OPTIONS_MAX);
}

static bool is_path(const char *text, size_t max)
{
	return text[0] != '\0' && strlen(text) < max;
}

int upgrade_state_read(struct upgrade_state *ret, const void *data, size_t len, struct diag *d)
{
	struct rest r = { data, len };
	struct upgrade_state s = { .program = NULL };
	int err = read_header(&r, d);

	if (err == 0)
		err = read_numbers(&r, s.numbers, d);
	if (err < 0)
		return err;
	s.program = take_text(&r);
	s.view_state = s.program ? take_text(&r) : NULL;
	s.view_program = s.view_state ? take_text(&r) : NULL;
	if (!s.view_program)
		return diag_set(d, ERR_FORMAT, 0, "its end is missing");
	if (!is_path(s.program, PATH_MAX) || !is_path(s.view_state, VIEW_PATH_MAX) ||
	    (s.view_program[0] && !is_path(s.view_program, VIEW_PATH_MAX + VIEW_NAME_MAX)))
		return diag_set(d, ERR_RANGE, 0, "a path is missing or too long");
	err = read_options(&r, &s, d);
	if (err == 0 && r.len > 0)
		err = diag_set(d, ERR_FORMAT, 0, "something follows its end");
	if (err == 0)
		*ret = s;
	return err;
}
