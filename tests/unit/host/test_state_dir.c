/* SPDX-License-Identifier: Apache-2.0 */
/* Below a directory of its own. What needs another user is in tests/system. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "host/state_dir.h"
#include "sys/file.h"

static char base[] = "/tmp/culvert-test-XXXXXX";
static char path[128];

static int open_as_ourselves(struct state_dir *s, struct diag *d)
{
	return state_dir_open(s, path, geteuid(), getegid(), d);
}

static mode_t mode_of(const char *name)
{
	char whole[256];
	struct stat st = { 0 };

	snprintf(whole, sizeof(whole), "%s/%s", path, name);
	CHECK(lstat(whole, &st) == 0);
	return st.st_mode & 07777;
}

static void put(const char *name, const char *text, mode_t mode)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", path, name);
	CHECK(file_write(AT_FDCWD, whole, text, strlen(text), FILE_MODE(mode)) == 0);
}

static void drop(const char *name)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", path, name);
	unlink(whole);
}

static void makes_what_is_missing_whatever_the_umask_is(void)
{
	struct state_dir s;
	struct diag d = { 0 };

	umask(0);
	CHECK(open_as_ourselves(&s, &d) == 0);
	CHECK(mode_of("") == 0700 && mode_of("server.key") == 0600);
	CHECK(mode_of("api.key") == 0600 && mode_of("lock") == 0600);
	state_dir_close(&s);
	umask(022);
}

static void the_key_is_clamped_and_stays_the_same(void)
{
	struct secret_key one = { 0 }, two = { 0 };
	struct state_dir s;
	struct diag d = { 0 };

	CHECK(open_as_ourselves(&s, &d) == 0 && state_dir_private_key(&s, &one) == 0);
	CHECK((one.b[0] & 7) == 0 && (one.b[31] & 0xc0) == 0x40);
	CHECK(state_dir_private_key(&s, &two) == 0 && memcmp(&one, &two, sizeof(one)) == 0);
	state_dir_close(&s);
	CHECK(open_as_ourselves(&s, &d) == 0 && state_dir_private_key(&s, &two) == 0);
	CHECK(memcmp(&one, &two, sizeof(one)) == 0);
	state_dir_close(&s);
}

static void only_one_has_it_at_a_time(void)
{
	struct state_dir one, two;
	struct diag d = { 0 };

	CHECK(open_as_ourselves(&one, &d) == 0);
	CHECK(open_as_ourselves(&two, &d) == -EBUSY && two.fd == -1);
	CHECK(strstr(d.text, "another gateway"));
	state_dir_close(&one);
	CHECK(open_as_ourselves(&two, &d) == 0);
	state_dir_close(&two);
}

static void a_wide_open_directory_is_closed(void)
{
	struct state_dir s;
	struct diag d = { 0 };

	CHECK(chmod(path, 0777) == 0);
	CHECK(open_as_ourselves(&s, &d) == 0 && mode_of("") == 0700);
	state_dir_close(&s);
}

static void reads_keys_with_and_without_newline_and_nothing_else(void)
{
	static const char good[] = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
	struct secret_key key;
	char text[128];
	struct state_dir s;
	struct diag d = { 0 };

	put("server.key", good, 0400);
	CHECK(open_as_ourselves(&s, &d) == 0 && state_dir_private_key(&s, &key) == 0);
	CHECK(key.b[0] == 0xc8 && key.b[31] == 0x69);
	state_dir_close(&s);
	snprintf(text, sizeof(text), "%s ", good);
	put("server.key", text, 0600);
	CHECK(open_as_ourselves(&s, &d) == ERR_CORRUPT && strstr(d.text, "culvert keys gen"));
	CHECK(!strstr(d.text, "yAnz"));
	drop("server.key");
}

static void a_path_must_leave_room_for_the_socket(void)
{
	struct state_dir s;
	struct diag d = { 0 };
	char longer[200];

	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[95] = '\0';
	CHECK(state_dir_open(&s, longer, 0, 0, &d) == ERR_RANGE && strstr(d.text, "1 to 94"));
	CHECK(state_dir_open(&s, "", 0, 0, &d) == ERR_RANGE);
	CHECK(s.fd == -1);
}

static void removes_the_socket_a_dead_gateway_left(void)
{
	struct state_dir s;
	struct diag d = { 0 };
	char whole[256];

	CHECK(open_as_ourselves(&s, &d) == 0);
	put("gateway.sock", "", 0600);
	snprintf(whole, sizeof(whole), "%s/gateway.sock", path);
	state_dir_remove_socket(&s);
	CHECK(access(whole, F_OK) < 0 && errno == ENOENT);
	state_dir_remove_socket(&s); /* none: no harm */
	state_dir_close(&s);
}

/* $CREDENTIALS_DIRECTORY with one file in it, as the service manager makes it. */
static void give_credential(char directory[64], const char *text, mode_t mode)
{
	char whole[96];

	snprintf(directory, 64, "%s/credentials", base);
	CHECK(mkdir(directory, 0700) == 0 || errno == EEXIST);
	snprintf(whole, sizeof(whole), "%s/server.key", directory);
	unlink(whole);
	if (text)
		CHECK(file_write(AT_FDCWD, whole, text, strlen(text), FILE_MODE(mode)) == 0);
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
}

static void a_key_among_the_credentials_comes_before_the_one_here(void)
{
	static const char here[] = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
	static const char given[] = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAUE=";
	char directory[64], whole[192];
	struct secret_key key = { 0 };
	struct state_dir s;
	struct diag d = { 0 };

	drop("server.key");
	put("server.key", here, 0600);
	give_credential(directory, given, 0400);
	CHECK(open_as_ourselves(&s, &d) == 0 && state_dir_private_key(&s, &key) == 0);
	CHECK(key.b[0] == 1 && key.b[31] == 0x41);
	state_dir_close(&s);

	drop("server.key"); /* and none is made where one was given */
	CHECK(open_as_ourselves(&s, &d) == 0);
	state_dir_close(&s);
	snprintf(whole, sizeof(whole), "%s/server.key", path);
	CHECK(access(whole, F_OK) < 0 && errno == ENOENT);

	put("server.key", here, 0600);
	give_credential(directory, NULL, 0); /* other credentials, not this one */
	CHECK(open_as_ourselves(&s, &d) == 0 && state_dir_private_key(&s, &key) == 0);
	CHECK(key.b[0] == 0xc8);
	state_dir_close(&s);
	unsetenv("CREDENTIALS_DIRECTORY");
	rmdir(directory);
}

static void a_bad_key_among_the_credentials_is_refused_not_passed_over(void)
{
	static const char given[] = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAUE=";
	char directory[64];
	struct state_dir s;
	struct diag d = { 0 };

	give_credential(directory, "nonsense", 0400);
	CHECK(open_as_ourselves(&s, &d) == ERR_CORRUPT);
	CHECK(strstr(d.text, "/credentials/server.key must hold one key"));
	CHECK(s.key_fd == -1);
	give_credential(directory, given, 0444);
	CHECK(open_as_ourselves(&s, &d) == ERR_CORRUPT);
	CHECK(strstr(d.text, "/credentials/server.key must be a plain file"));
	give_credential(directory, NULL, 0);
	unsetenv("CREDENTIALS_DIRECTORY");
	rmdir(directory);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!mkdtemp(base))
		return 1;
	snprintf(path, sizeof(path), "%s/state", base);
	RUN(makes_what_is_missing_whatever_the_umask_is);
	RUN(the_key_is_clamped_and_stays_the_same);
	RUN(only_one_has_it_at_a_time);
	RUN(a_wide_open_directory_is_closed);
	RUN(reads_keys_with_and_without_newline_and_nothing_else);
	RUN(a_key_among_the_credentials_comes_before_the_one_here);
	RUN(a_bad_key_among_the_credentials_is_refused_not_passed_over);
	RUN(a_path_must_leave_room_for_the_socket);
	RUN(removes_the_socket_a_dead_gateway_left);
	drop("server.key");
	drop("api.key");
	drop("lock");
	rmdir(path);
	CHECK(rmdir(base) == 0);
	return DONE();
}
