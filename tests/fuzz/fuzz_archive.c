/* SPDX-License-Identifier: Apache-2.0 */
/* Backups: what is taken stays below its directory, and is the same octets when written again. */
#include <string.h>

#include "base/err.h"
#include "conf/archive.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *begin = (const char *)data, *at = begin, *end = begin + size;
	struct text out = { 0 };
	struct archive_file f;

	while (at < end) {
		const char *before = at;

		if (archive_next(&at, end, &f) != 0) {
			HOLDS(at == before);
			break;
		}
		HOLDS(at > before && at <= end && f.data + f.len < at);
		HOLDS(f.path[0] != '/' && f.path[0] != '.' && !strstr(f.path, "/."));
		text_clear(&out);
		HOLDS(archive_put(&out, &f) == 0);
		/* A size with leading zeroes is the only other way to write it. */
		HOLDS(out.len <= (size_t)(at - before));
		if (out.len == (size_t)(at - before))
			HOLDS(memcmp(out.data, before, out.len) == 0);
	}
	text_done(&out);
	return 0;
}
