/* SPDX-License-Identifier: Apache-2.0 */
/* What a host process is told by the program before: what is taken is written again octet by octet. */
#include <limits.h>
#include <string.h>

#include "fuzz.h"
#include "host/upgrade_state.h"
#include "host/view.h"

static void check(const struct upgrade_state *s)
{
	size_t n = 0;

	/* What becomes a signal's target, a user or a descriptor. */
	HOLDS(s->numbers[UPGRADE_GATEWAY_PID] > 1 && s->numbers[UPGRADE_DEVICE_PID] <= INT_MAX);
	HOLDS(s->numbers[UPGRADE_UID] < UINT32_MAX && s->numbers[UPGRADE_GID] < UINT32_MAX);
	for (int i = UPGRADE_FD_FIRST; i < UPGRADE_NUMBERS; i++)
		HOLDS((s->numbers[i] > 2 && s->numbers[i] <= INT_MAX) ||
		      (i == UPGRADE_FD_CONTROL && s->numbers[i] == 0));
	HOLDS(strlen(s->program) < PATH_MAX && strlen(s->view_state) < VIEW_PATH_MAX);
	while (s->options[n])
		n++;
	HOLDS(n % 2 == 0 && n <= 2 * UPGRADE_OPTIONS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upgrade_state s;
	struct text again = { 0 };
	struct diag d = { 0 };
	int err = upgrade_state_read(&s, data, size, &d);

	HOLDS(err == 0 || err == ERR_FORMAT || err == ERR_RANGE || err == ERR_VERSION);
	HOLDS(err == 0 || d.text[0]);
	if (err == 0) {
		check(&s);
		upgrade_state_write(&s, &again);
		HOLDS(again.len == size && memcmp(again.data, data, size) == 0);
	}
	text_done(&again);
	return 0;
}
