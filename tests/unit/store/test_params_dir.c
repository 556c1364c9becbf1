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
#include "store/params.h"

static char top[] = "/tmp/culvert-params-XXXXXX";
static char root[64];
static struct params *tree;

static int erase(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static void in_tree(const char *name, char out[512])
{
	snprintf(out, 512, "%s/%s", root, name);
}

static bool holds(const char *name, const char *value)
{
	struct text t = { 0 };
	struct diag d = { .text = "" };
	bool equal = params_get(tree, name, &t, &d) == 0 && strcmp(t.data, value) == 0;

	text_done(&t);
	return equal;
}

static int get_code(const char *name)
{
	struct text t = { 0 };
	struct diag d = { .text = "" };
	int err = params_get(tree, name, &t, &d);

	text_done(&t);
	return err;
}

static int put(const char *name, const char *value, bool overwrite)
{
	struct diag d = { .text = "" };

	return params_put(tree, name, value, PARAMS_SECURE, overwrite, &d);
}

static int count(void *context, const char *name, uint64_t version)
{
	size_t *n = context;

	CHECK(params_name_ok(name) && version != 0);
	(*n)++;
	return 0;
}

static size_t n_below(const char *prefix)
{
	struct diag d = { .text = "" };
	size_t n = 0;

	CHECK(params_list(tree, prefix, count, &n, &d) == 0);
	return n;
}

static void a_value_is_read_back_from_a_file_of_mode_0600(void)
{
	char path[512];
	struct stat st;

	CHECK(put("wg/server-private-key", "secret", false) == 0);
	CHECK(holds("wg/server-private-key", "secret"));
	in_tree("wg/server-private-key", path);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	in_tree("wg", path);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700);
}

static void a_name_that_is_taken_is_overwritten_only_when_that_was_said(void)
{
	CHECK(put("taken", "one", false) == 0);
	CHECK(put("taken", "two", false) == ERR_EXISTS);
	CHECK(holds("taken", "one"));
	CHECK(put("taken", "two", true) == 0);
	CHECK(holds("taken", "two"));
	CHECK(n_below("") == 2); /* nothing unfinished was left */
}

static void names_that_lead_elsewhere_are_refused(void)
{
	static const char *const bad[] = {
		"",   "/",    "..",  "../x", "a/../b", "/etc/x",   "a//b",	   "a/",
		".a", "a/.b", "a b", "a\n",  "a\\b",   "\xc3\xa9", "1/2/3/4/5/6/7"
	};
	char longest[PARAMS_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(get_code(bad[i]) == ERR_RANGE);
		CHECK(put(bad[i], "x", true) == ERR_RANGE);
	}
	memset(longest, 'a', sizeof(longest));
	longest[PARAMS_NAME_MAX + 1] = '\0';
	CHECK(!params_name_ok(longest));
	longest[PARAMS_NAME_MAX] = '\0';
	CHECK(params_name_ok(longest));
	CHECK(params_name_ok("1/2/3/4/5/6"));
}

static void symbolic_links_are_not_followed(void)
{
	char path[512], outside[512];

	snprintf(outside, sizeof(outside), "%s/outside", top);
	CHECK(mkdir(outside, 0700) == 0);
	in_tree("link", path);
	CHECK(symlink(outside, path) == 0);
	CHECK(put("link/x", "value", true) < 0);
	CHECK(get_code("link/x") < 0);
	CHECK(rmdir(outside) == 0); /* still empty */
	CHECK(unlink(path) == 0);
	CHECK(symlink("taken", path) == 0);
	CHECK(get_code("link") == -ELOOP);
	CHECK(n_below("") == 2); /* and it is not listed */
	CHECK(unlink(path) == 0);
}

static void a_file_that_others_may_read_is_refused(void)
{
	char path[512];

	in_tree("taken", path);
	CHECK(chmod(path, 0640) == 0);
	CHECK(get_code("taken") == -EPERM);
	CHECK(chmod(path, 0600) == 0);
	CHECK(get_code("taken") == 0);
}

static void a_directory_that_others_may_write_is_refused(void)
{
	struct params *other = NULL;
	struct diag d = { .text = "" };

	CHECK(chmod(root, 0770) == 0);
	CHECK(params_open_dir(root, &other, &d) == -EPERM);
	CHECK(!other && strstr(d.text, "chmod 700"));
	CHECK(chmod(root, 0700) == 0);
}

static void what_a_power_cut_left_is_no_parameter(void)
{
	char path[512];
	int fd;

	in_tree("taken.0123456789abcdef", path);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && close(fd) == 0);
	CHECK(n_below("") == 2);
	CHECK(put("other.0123456789abcdef", "x", true) == ERR_RANGE);
	CHECK(unlink(path) == 0);
}

static void a_list_has_the_names_below_a_prefix(void)
{
	char name[64];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "users/u%d/status", i);
		CHECK(put(name, "active", false) == 0);
	}
	CHECK(n_below("users/") == 300);
	CHECK(n_below("users/") == 300); /* read from its beginning again */
	CHECK(n_below("") == 302);
	CHECK(n_below("users/u7/") == 1);
	CHECK(n_below("nobody/") == 0);
}

static void a_removed_name_is_gone_with_its_empty_directory(void)
{
	struct diag d = { .text = "" };
	char path[512];

	CHECK(params_remove(tree, "users/u7/status", &d) == 0);
	CHECK(params_remove(tree, "users/u7/status", &d) == ERR_UNKNOWN);
	CHECK(get_code("users/u7/status") == ERR_UNKNOWN);
	in_tree("users/u7", path);
	CHECK(access(path, F_OK) != 0);
	CHECK(n_below("users/") == 299);
}

static void a_value_has_1_to_4096_octets(void)
{
	char value[PARAMS_VALUE_MAX + 2];

	memset(value, 'v', sizeof(value));
	value[PARAMS_VALUE_MAX + 1] = '\0';
	CHECK(put("long", value, true) == ERR_RANGE);
	value[PARAMS_VALUE_MAX] = '\0';
	CHECK(put("long", value, true) == 0);
	CHECK(holds("long", value));
	CHECK(put("long", "", true) == ERR_RANGE);
}

int main(void)
{
	struct diag d = { .text = "" };

	if (!mkdtemp(top))
		return 1;
	snprintf(root, sizeof(root), "%s/tree", top);
	if (params_open_dir(root, &tree, &d) != 0)
		return 1;
	RUN(a_value_is_read_back_from_a_file_of_mode_0600);
	RUN(a_name_that_is_taken_is_overwritten_only_when_that_was_said);
	RUN(names_that_lead_elsewhere_are_refused);
	RUN(symbolic_links_are_not_followed);
	RUN(a_file_that_others_may_read_is_refused);
	RUN(a_directory_that_others_may_write_is_refused);
	RUN(what_a_power_cut_left_is_no_parameter);
	RUN(a_list_has_the_names_below_a_prefix);
	RUN(a_removed_name_is_gone_with_its_empty_directory);
	RUN(a_value_has_1_to_4096_octets);
	tree = params_free(tree);
	nftw(top, erase, 16, FTW_DEPTH | FTW_PHYS);
	return DONE();
}
