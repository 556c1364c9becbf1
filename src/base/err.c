/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <string.h>

const char *err_text(int err)
{
	const char *text = NULL;

	switch (err) {
	case 0:
		return "success";
	case ERR_FORMAT:
		return "malformed input";
	case ERR_AUTH:
		return "authentication failed";
	case ERR_REPLAY:
		return "seen before";
	case ERR_KEY:
		return "unusable key";
	case ERR_LIMIT:
		return "limit exceeded";
	case ERR_UNKNOWN:
		return "not found";
	case ERR_EXISTS:
		return "already exists";
	case ERR_EXHAUSTED:
		return "nothing free";
	case ERR_EXPIRED:
		return "expired";
	case ERR_RANGE:
		return "out of range";
	case ERR_CORRUPT:
		return "stored state is corrupt";
	case ERR_VERSION:
		return "unknown version";
	case ERR_UNABLE:
		return "not possible on this kind of interface";
	default:
		break;
	}
	if (err < 0 && err > -1000)
		text = strerrordesc_np(-err);
	return text ? text : "unknown error";
}

int diag_set(struct diag *d, int err, unsigned int line, const char *format, ...)
{
	va_list args;

	if (!d)
		return err;
	d->line = line;
	va_start(args, format);
	/* The compiler's name for it: formatting is pure, <stdio.h> is not. */
	__builtin_vsnprintf(d->text, sizeof(d->text), format, args);
	va_end(args);
	return err;
}
