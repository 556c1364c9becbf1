/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a client: what is taken is written again as it was read. */
#include <string.h>

#include "client/undo_journal.h"
#include "fuzz.h"

static void check_step(const struct undo_step *s)
{
	HOLDS(s->content_len <= sizeof(s->content));
	if (s->kind == UNDO_RULE)
		HOLDS(s->rule.to.ip.family == ADDR_NONE ||
		      s->rule.to.ip.family == s->rule.family);
	if (s->kind == UNDO_ROUTE)
		HOLDS(s->route.destination.ip.family != ADDR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct undo_journal j = { .dir_fd = -1, .lock_fd = -1 }, again = j;
	struct text first = { 0 }, second = { 0 };
	struct diag d = { 0 };
	int err = undo_journal_parse(&j, (const char *)data, size, &d);

	HOLDS(err == 0 || (err == ERR_CORRUPT && d.line > 0) || err == ERR_LIMIT);
	for (size_t i = 0; i < j.n_steps; i++)
		check_step(&j.steps[i]);
	if (err == 0 && size > 0) {
		undo_journal_format(&j, &first);
		HOLDS(undo_journal_parse(&again, first.data, first.len, &d) == 0);
		HOLDS(again.n_steps == j.n_steps && again.n_pins == j.n_pins);
		undo_journal_format(&again, &second);
		HOLDS(first.len == second.len &&
		      memcmp(first.data, second.data, first.len) == 0);
	}
	undo_journal_close(&j);
	undo_journal_close(&again);
	text_done(&first);
	text_done(&second);
	return 0;
}
