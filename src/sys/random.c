/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/random.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <sys/random.h>
#include <unistd.h>

_Noreturn static void give_up(void)
{
	static const char text[] = "culvert: the kernel gives no random numbers; stopping\n";
	ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

	(void)ignored; /* nothing is left to do about it */
	_exit(1);
}

void random_fill(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			give_up();
		p += n;
		len -= (size_t)n;
	}
}
