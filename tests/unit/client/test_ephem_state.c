/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "client/ephem_state.h"

static char base[] = "/tmp/culvert-ephem-XXXXXX";

static struct ephem_state open_state(const char *name)
{
	struct ephem_state s = { .dir = -1 };
	struct diag d = { .text = "" };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	CHECK(ephem_state_open(path, true, &s, &d) == 0);
	return s;
}

static void put(const struct ephem_state *s, const char *name, const char *text)
{
	int fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void names_are_fit_for_paths(void)
{
	static const char *const good[] = { "a", "user1", "A.b-c_9", "a..b", "_", "-x" };
	static const char *const bad[] = {
		"", ".", "..", ".a", "a/b", "a b", "a\n", "\xc3\xa4"
	};
	char longest[EPHEM_ID_MAX + 2];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(ephem_id_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!ephem_id_ok(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[EPHEM_ID_MAX + 1] = '\0';
	CHECK(!ephem_id_ok(longest));
	longest[EPHEM_ID_MAX] = '\0';
	CHECK(ephem_id_ok(longest));
}

static void a_setup_comes_back_as_it_was_written(void)
{
	struct ephem_state s = open_state("setup");
	struct ephem_setup in = { .url = "https://vpn.example.com:8000/", .key = "abc" }, out;
	struct diag d = { .text = "" };
	char text[512] = "";
	int fd;

	CHECK(ephem_state_read_setup(&s, &out, &d) == -ENOENT);
	CHECK(ephem_state_write_setup(&s, &in, &d) == 0);
	fd = openat(s.dir, "setup.json", O_RDONLY | O_CLOEXEC);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	CHECK(strcmp(text, "{\n  \"api_url\": \"https://vpn.example.com:8000/\",\n"
			   "  \"master_key\": \"abc\"\n}") == 0);
	CHECK(ephem_state_read_setup(&s, &out, &d) == 0);
	CHECK(memcmp(&in, &out, sizeof(in)) == 0);
	in.is_user = in.is_insecure = true;
	snprintf(in.id, sizeof(in.id), "alice");
	snprintf(in.ca_file, sizeof(in.ca_file), "/etc/ssl/mine.pem");
	CHECK(ephem_state_write_setup(&s, &in, &d) == 0);
	CHECK(ephem_state_read_setup(&s, &out, &d) == 0);
	CHECK(memcmp(&in, &out, sizeof(in)) == 0);
	ephem_state_close(&s);
}

static void a_setup_of_others_is_understood_or_refused(void)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"api_url\": \"https://a\"}",
		"{\"api_url\": 1, \"master_key\": \"k\"}",
		"{\"api_url\": \"https://a\", \"master_key\": \"two words\"}",
		"{\"api_url\": \"https://a\", \"master_key\": \"\"}",
		"{\"api_url\": \"https://a\", \"user_key\": \"k\"}",
		"{\"api_url\": \"https://a\", \"user_key\": \"k\", \"client_id\": \"../x\"}",
		"{\"api_url\": \"https://a\", \"master_key\": \"k\", \"ca_file\": 3}",
	};
	struct ephem_state s = open_state("others");
	struct ephem_setup out;
	struct diag d = { .text = "" };

	put(&s, "setup.json",
	    "{\"master_key\":\"k\",\"api_url\":\"https://a\",\"more\":[1]}\n");
	CHECK(ephem_state_read_setup(&s, &out, &d) == 0);
	CHECK(strcmp(out.url, "https://a") == 0 && strcmp(out.key, "k") == 0 && !out.is_user);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(&s, "setup.json", bad[i]);
		CHECK(ephem_state_read_setup(&s, &out, &d) == ERR_FORMAT);
	}
	ephem_state_close(&s);
}

static void only_configurations_are_listed_in_order(void)
{
	struct ephem_state s = open_state("names");
	struct diag d = { .text = "" };
	char path[PATH_MAX], **names = NULL;
	size_t n = 0;

	CHECK(ephem_state_names(&s, &names, &n, &d) == 0 && n == 0);
	free(names);
	put(&s, "setup.json", "x");
	put(&s, ".conf", "x");
	put(&s, "a b.conf", "x");
	CHECK(ephem_state_save(&s, "bob", "conf", "1", 1, path, &d) == 0);
	CHECK(ephem_state_save(&s, "alice", "conf", "2", 1, path, &d) == 0);
	CHECK(ephem_state_save(&s, "alice", "key", "3", 1, path, &d) == 0);
	CHECK(ephem_state_save(&s, "../alice", "key", "3", 1, path, &d) == ERR_RANGE);
	CHECK(ephem_state_has(&s, "alice", "key", path) &&
	      !ephem_state_has(&s, "bob", "key", path));
	CHECK(ephem_state_names(&s, &names, &n, &d) == 0 && n == 2);
	CHECK(n == 2 && strcmp(names[0], "alice") == 0 && strcmp(names[1], "bob") == 0);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	ephem_state_close(&s);
}

static void a_directory_that_is_open_to_others_is_closed_and_a_link_is_none(void)
{
	struct ephem_state s = open_state("mine"), t = { .dir = -1 };
	struct diag d = { .text = "" };
	char link_path[PATH_MAX];
	struct stat st;

	CHECK(fchmod(s.dir, 0755) == 0);
	CHECK(ephem_state_open(s.path, false, &t, &d) == 0);
	CHECK(fstat(t.dir, &st) == 0 && (st.st_mode & 0777) == 0700);
	ephem_state_close(&t);
	snprintf(link_path, sizeof(link_path), "%s/link", base);
	CHECK(symlink(s.path, link_path) == 0);
	CHECK(ephem_state_open(link_path, true, &t, &d) < 0 && t.dir == -1);
	ephem_state_close(&s);
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	(void)st, (void)kind, (void)walk;
	return remove(path);
}

int main(void)
{
	if (!mkdtemp(base))
		return 1;
	RUN(names_are_fit_for_paths);
	RUN(a_setup_comes_back_as_it_was_written);
	RUN(a_setup_of_others_is_understood_or_refused);
	RUN(only_configurations_are_listed_in_order);
	RUN(a_directory_that_is_open_to_others_is_closed_and_a_link_is_none);
	nftw(base, drop, 8, FTW_DEPTH | FTW_PHYS);
	return DONE();
}
