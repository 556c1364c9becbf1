/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of host changes: what is taken is written again as it was read, and holds its rules. */
#include <string.h>

#include "fuzz.h"
#include "host/journal.h"

static void check_entry(const struct journal_entry *e)
{
	if (e->kind == JOURNAL_SETTING) /* it becomes a path that root writes to */
		HOLDS(strncmp(e->name, "net/", 4) == 0 && !strstr(e->name, ".."));
	else
		HOLDS(e->pid > 0);
	HOLDS(memchr(e->name, '\0', sizeof(e->name)) &&
	      memchr(e->value, '\0', sizeof(e->value)));
	HOLDS(!strpbrk(e->name, " \n") && !strpbrk(e->value, " \n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal j = { .dir_fd = -1, .lock_fd = -1 }, again = j;
	struct text first = { 0 }, second = { 0 };
	struct diag d = { 0 };
	int err = journal_parse(&j, (const char *)data, size, &d);

	HOLDS(err == 0 || (err == ERR_CORRUPT && d.line > 0) || err == ERR_LIMIT);
	for (size_t i = 0; i < j.n; i++)
		check_entry(&j.entries[i]);
	if (err == 0 && size > 0) {
		journal_format(&j, &first);
		HOLDS(journal_parse(&again, first.data, first.len, &d) == 0 && again.n == j.n);
		journal_format(&again, &second);
		HOLDS(first.len == second.len &&
		      memcmp(first.data, second.data, first.len) == 0);
	}
	journal_close(&j);
	journal_close(&again);
	text_done(&first);
	text_done(&second);
	return 0;
}
