/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are captured through a pipe put in the place of standard error. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

static char captured[8192];

static int capture_begin(int *ret_saved)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	*ret_saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	return ends[0];
}

static const char *capture_end(int fd, int saved)
{
	ssize_t n;

	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(fd, captured, sizeof(captured) - 1); /* EOF: the last write end is gone */
	captured[n > 0 ? n : 0] = '\0';
	close(fd);
	return captured;
}

#define CAPTURE(...)                                      \
	(__extension__({                                  \
		int saved_, fd_ = capture_begin(&saved_); \
		__VA_ARGS__;                              \
		capture_end(fd_, saved_);                 \
	}))

static void writes_one_line_with_its_name(void)
{
	log_init("device wg0", LOG_LEVEL_INFO, false);
	CHECK(strcmp(CAPTURE(log_info("%d peers", 3)), "culvert[device wg0]: 3 peers\n") == 0);
}

static void keeps_quiet_below_its_level(void)
{
	log_init("x", LOG_LEVEL_WARNING, false);
	CHECK(strcmp(CAPTURE(log_info("no"); log_warning("yes")), "culvert[x]: yes\n") == 0);
	log_set_level(LOG_LEVEL_SILENT);
	CHECK(strcmp(CAPTURE(log_error("no")), "") == 0);
}

static void a_foreign_string_cannot_forge_a_line_or_talk_to_the_terminal(void)
{
	log_init("x", LOG_LEVEL_INFO, false);
	CHECK(strcmp(CAPTURE(log_info("a\nculvert[x]: b\x1b[2J\x7f")),
		     "culvert[x]: a?culvert[x]: b?[2J?\n") == 0);
	/* C1 control as UTF-8, overlong newline, lone octets, a surrogate, a line separator */
	CHECK(strcmp(CAPTURE(log_info("\xc2\x9b \xc0\x8a \xff\x80 \xed\xa0\x80 \xe2\x80\xa8.")),
		     "culvert[x]: ?? ?? ?? ??? ???.\n") == 0);
	/* A newline in three and four octets, a number above U+10FFFF, one cut short */
	CHECK(strcmp(CAPTURE(log_info(
			     "\xe0\x80\x8a \xf0\x80\x80\x8a \xf4\x90\x80\x80 \xe6\xbc")),
		     "culvert[x]: ??? ???? ???? ??\n") == 0);
}

static void keeps_letters_of_every_language(void)
{
	log_init("x", LOG_LEVEL_INFO, false);
	CHECK(strcmp(CAPTURE(log_info("Zo\xc3\xab \xe6\xbc\xa2 \xf0\x9f\x9a\x80")),
		     "culvert[x]: Zo\xc3\xab \xe6\xbc\xa2 \xf0\x9f\x9a\x80\n") == 0);
}

static void the_name_is_tamed_too(void)
{
	log_init("a\nb", LOG_LEVEL_INFO, false);
	CHECK(strcmp(CAPTURE(log_info("t")), "culvert[a?b]: t\n") == 0);
}

static void json_escapes_quotes_and_backslashes(void)
{
	const char *line;

	log_init("x", LOG_LEVEL_INFO, true);
	line = CAPTURE(log_error("say \"hi\" \\ \n"));
	CHECK(strncmp(line, "{\"time_ns\":", 11) == 0);
	CHECK(strstr(
		line,
		"\"level\":\"error\",\"name\":\"x\",\"text\":\"say \\\"hi\\\" \\\\ ?\"}\n"));
}

static void cuts_a_text_that_is_too_long(void)
{
	static char text[5000];
	const char *line;

	memset(text, 'a', sizeof(text) - 1);
	log_init("x", LOG_LEVEL_INFO, false);
	line = CAPTURE(log_info("%s", text));
	CHECK(strlen(line) < 1100);
	CHECK(strlen(line) > 1000);
	CHECK(line[strlen(line) - 1] == '\n');
}

static void the_journal_gets_priorities_only_when_it_reads_us(void)
{
	char stream[64];
	struct stat st;
	int saved, fd;

	setenv("JOURNAL_STREAM", "1:2", 1);
	log_init("x", LOG_LEVEL_INFO, false);
	CHECK(strcmp(CAPTURE(log_error("t")), "culvert[x]: t\n") == 0);
	fd = capture_begin(&saved);
	CHECK(fstat(STDERR_FILENO, &st) == 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("x", LOG_LEVEL_INFO, false);
	log_error("t");
	CHECK(strcmp(capture_end(fd, saved), "<3>culvert[x]: t\n") == 0);
	unsetenv("JOURNAL_STREAM");
	log_init("", LOG_LEVEL_INFO, false);
}

static void the_boot_clock_does_not_go_back(void)
{
	uint64_t last = clock_boot_ns();

	for (int i = 0; i < 10000; i++) {
		uint64_t now = clock_boot_ns();

		CHECK(now >= last);
		last = now;
	}
}

static void the_wall_clock_counts_from_1970(void)
{
	CHECK(clock_wall_ns() > UINT64_C(1700000000) * UINT64_C(1000000000)); /* 2023 */
	CHECK(clock_wall_ns() < UINT64_C(7000000000) * UINT64_C(1000000000)); /* 2191 */
}

static void random_octets_fill_all_of_a_large_buffer(void)
{
	static unsigned char buffer[1 << 16];
	unsigned int counts[256] = { 0 };
	size_t tail_zeroes = 0;

	random_fill(buffer, sizeof(buffer));
	for (size_t i = 0; i < sizeof(buffer); i++)
		counts[buffer[i]]++;
	for (int i = 0; i < 256; i++) /* expected 256 each, deviation 16: twelve of them */
		CHECK(counts[i] > 64 && counts[i] < 448);
	for (size_t i = sizeof(buffer) - 64; i < sizeof(buffer); i++)
		tail_zeroes += buffer[i] == 0;
	CHECK(tail_zeroes < 16);
}

int main(void)
{
	RUN(writes_one_line_with_its_name);
	RUN(keeps_quiet_below_its_level);
	RUN(a_foreign_string_cannot_forge_a_line_or_talk_to_the_terminal);
	RUN(keeps_letters_of_every_language);
	RUN(the_name_is_tamed_too);
	RUN(json_escapes_quotes_and_backslashes);
	RUN(cuts_a_text_that_is_too_long);
	RUN(the_journal_gets_priorities_only_when_it_reads_us);
	RUN(the_boot_clock_does_not_go_back);
	RUN(the_wall_clock_counts_from_1970);
	RUN(random_octets_fill_all_of_a_large_buffer);
	return DONE();
}
