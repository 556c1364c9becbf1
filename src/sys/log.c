/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/clock.h"

enum {
	TEXT_MAX = 1024, /* longer texts are cut: one event, one bounded write */
	NAME_MAX_LEN = 64,
};

static struct {
	char name[NAME_MAX_LEN];
	bool is_json;
	bool is_journal;
	atomic_int level;
} sink = { .level = LOG_LEVEL_INFO };

static const char *const level_names[] = {
	[LOG_LEVEL_SILENT] = "silent",	 [LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

/* Priorities of syslog(3), which the journal reads from "<N>" in front of a line. */
static const int level_priority[] = {
	[LOG_LEVEL_SILENT] = 7, [LOG_LEVEL_ERROR] = 3, [LOG_LEVEL_WARNING] = 4,
	[LOG_LEVEL_INFO] = 6,	[LOG_LEVEL_DEBUG] = 7,
};

/* JOURNAL_STREAM names the socket; standard error may have been sent elsewhere since. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&sink.level, (int)level, memory_order_relaxed);
}

bool log_level_find(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) != 0)
			continue;
		*ret = (enum log_level)i;
		return true;
	}
	return false;
}

/* Octets of the well-formed UTF-8 character at @p (RFC 3629 section 4), 0 if there is none. */
static size_t character_len(const unsigned char *p, size_t left)
{
	uint32_t code, least;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2, least = 0x80, code = p[0] & 0x1fU;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3, least = 0x800, code = p[0] & 0x0fU;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4, least = 0x10000, code = p[0] & 0x07U;
	else
		return 0;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return code < 0xa0 || code == 0x2028 || code == 0x2029 ? 0
							       : n; /* C1, line separators */
}

/* Write '?' over everything that could end the line or talk to the terminal. */
static void tame(char *text, size_t len)
{
	unsigned char *p = (unsigned char *)text;

	for (size_t i = 0; i < len;) {
		size_t n = character_len(p + i, len - i);

		if (n == 0 || p[i] < 0x20 || p[i] == 0x7f) {
			p[i] = '?';
			n = 1;
		}
		i += n;
	}
}

void log_init(const char *name, enum log_level level, bool json)
{
	snprintf(sink.name, sizeof(sink.name), "%s", name);
	tame(sink.name, strlen(sink.name));
	sink.is_json = json;
	sink.is_journal = stderr_is_journal();
	log_set_level(level);
}

/* @text has no control octets any more: quotes and backslashes are all that is left. */
static size_t put_escaped(char *out, size_t max, const char *text)
{
	size_t n = 0;

	for (; *text && n + 2 < max; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n] = '\0';
	return n;
}

static int format_json(char *out, size_t max, enum log_level level, const char *text)
{
	char escaped[2 * TEXT_MAX];
	char name[2 * NAME_MAX_LEN];

	put_escaped(escaped, sizeof(escaped), text);
	put_escaped(name, sizeof(name), sink.name);
	return snprintf(out, max,
			"{\"time_ns\":%" PRIu64
			",\"level\":\"%s\",\"name\":\"%s\",\"text\":\"%s\"}\n",
			clock_wall_ns(), level_names[level], name, escaped);
}

static int format_plain(char *out, size_t max, enum log_level level, const char *text)
{
	char priority[8] = "";

	if (sink.is_journal)
		snprintf(priority, sizeof(priority), "<%d>", level_priority[level]);
	return snprintf(out, max, "%sculvert%s%s%s: %s\n", priority, sink.name[0] ? "[" : "",
			sink.name, sink.name[0] ? "]" : "", text);
}

void log_write(enum log_level level, const char *format, ...)
{
	char text[TEXT_MAX];
	char line[3 * TEXT_MAX];
	int saved = errno;
	ssize_t ignored;
	va_list args;
	int len;

	if ((int)level > atomic_load_explicit(&sink.level, memory_order_relaxed))
		return;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		return;
	tame(text, strlen(text));
	len = sink.is_json ? format_json(line, sizeof(line), level, text)
			   : format_plain(line, sizeof(line), level, text);
	ignored = write(STDERR_FILENO, line, (size_t)len);
	(void)ignored; /* a log that cannot be written is not worth stopping for */
	errno = saved;
}
