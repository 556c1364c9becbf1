/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of ours stands where the service manager's would. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "../test.h"
#include "host/credentials.h"
#include "sys/file.h"

static char base[] = "/tmp/culvert-test-XXXXXX";

static void put(const char *name, const char *text, size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	unlink(path);
	if (text)
		CHECK(file_write(AT_FDCWD, path, text, len, FILE_MODE(0400)) == 0);
}

static void each_becomes_the_variable_that_the_gateway_reads(void)
{
	struct credentials c;
	struct diag d = { 0 };

	put("api.key", "secret of the api\n", 18);
	put("master.key", "base64=", 7);
	put("database.password", "of the database", 15);
	CHECK(credentials_read(&c, &d) == 0);
	CHECK(c.sets[0] && strcmp(c.sets[0], "GATEWAY_API_KEY=secret of the api") == 0);
	CHECK(c.sets[1] && strcmp(c.sets[1], "CULVERT_MASTER_KEY=base64=") == 0);
	CHECK(c.sets[2] && strcmp(c.sets[2], "PGPASSWORD=of the database") == 0);
	CHECK(!c.sets[3]);
	credentials_done(&c);
	put("database.password", NULL, 0);
	CHECK(!c.sets[0] && c.texts[0][0] == '\0' && c.texts[1][20] == '\0');
}

static void one_alone_and_none_are_as_good(void)
{
	struct credentials c;
	struct diag d = { 0 };

	put("api.key", NULL, 0);
	CHECK(credentials_read(&c, &d) == 0);
	CHECK(c.sets[0] && strcmp(c.sets[0], "CULVERT_MASTER_KEY=base64=") == 0 && !c.sets[1]);
	put("master.key", NULL, 0);
	CHECK(credentials_read(&c, &d) == 0 && !c.sets[0]);
	unsetenv("CREDENTIALS_DIRECTORY");
	CHECK(credentials_read(&c, &d) == 0 && !c.sets[0]);
	setenv("CREDENTIALS_DIRECTORY", base, 1);
}

static void a_variable_comes_before_its_file(void)
{
	struct credentials c;
	struct diag d = { 0 };

	put("api.key", "file", 4);
	setenv("GATEWAY_API_KEY", "variable", 1);
	CHECK(credentials_read(&c, &d) == 0 && !c.sets[0]);
	unsetenv("GATEWAY_API_KEY");
}

static void what_cannot_be_used_is_refused_by_name(void)
{
	char long_text[CREDENTIAL_TEXT_MAX];
	struct credentials c;
	struct diag d = { 0 };

	memset(long_text, 'a', sizeof(long_text));
	put("api.key", "\n", 1);
	CHECK(credentials_read(&c, &d) == ERR_FORMAT && strstr(d.text, "/api.key cannot"));
	put("api.key", "a\0b", 3);
	CHECK(credentials_read(&c, &d) == ERR_FORMAT);
	put("api.key", long_text, sizeof(long_text));
	CHECK(credentials_read(&c, &d) == ERR_LIMIT && c.texts[0][20] == '\0');
	put("api.key", long_text, CREDENTIAL_TEXT_MAX - strlen("GATEWAY_API_KEY=") - 1);
	CHECK(credentials_read(&c, &d) == 0);
	CHECK(strlen(c.texts[0]) == CREDENTIAL_TEXT_MAX - 1);
	setenv("CREDENTIALS_DIRECTORY", "/nonexistent", 1);
	CHECK(credentials_read(&c, &d) == -ENOENT && strstr(d.text, "/nonexistent"));
}

int main(void)
{
	if (!mkdtemp(base))
		return 1;
	setenv("CREDENTIALS_DIRECTORY", base, 1);
	RUN(each_becomes_the_variable_that_the_gateway_reads);
	RUN(one_alone_and_none_are_as_good);
	RUN(a_variable_comes_before_its_file);
	RUN(what_cannot_be_used_is_refused_by_name);
	put("api.key", NULL, 0);
	rmdir(base);
	return DONE();
}
