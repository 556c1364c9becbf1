/* SPDX-License-Identifier: Apache-2.0 */
#include "client/ephem_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "http/json.h"
#include "sys/file.h"

enum { SETUP_MAX = 16384, NAME_MAX_LEN = EPHEM_ID_MAX + 8 };

static const char setup_name[] = "setup.json", conf_end[] = ".conf";

bool ephem_id_ok(const char *id)
{
	size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"0123456789._-");

	return len > 0 && len <= EPHEM_ID_MAX && !id[len] && id[0] != '.';
}

bool ephem_key_ok(const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < len; i++) {
		if (key[i] <= ' ' || key[i] > '~')
			return false;
	}
	return len > 0 && len < EPHEM_KEY_MAX;
}

/* --- The directory --- */

static int find_home(char out[PATH_MAX], struct diag *d)
{
	const char *home = getenv("HOME");
	const struct passwd *user = home && *home ? NULL : getpwuid(geteuid());

	if (user)
		home = user->pw_dir;
	if (!home || home[0] != '/')
		return diag_set(d, -ENOENT, 0, "there is no home directory: set HOME");
	if (snprintf(out, PATH_MAX, "%s/.ephem-vpn", home) >= PATH_MAX)
		return diag_set(d, -ENAMETOOLONG, 0, "the home directory's name is too long");
	return 0;
}

/* Root may act for the user whose home this is. */
static int take_possession(int dir, const char *path, struct diag *d)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return diag_set(d, -errno, 0, "%s: %s", path, err_text(-errno));
	if (st.st_uid != geteuid() && geteuid() != 0)
		return diag_set(d, -EPERM, 0, "%s belongs to somebody else", path);
	if ((st.st_mode & 077) != 0 && fchmod(dir, 0700) < 0)
		return diag_set(d, -errno, 0, "%s: %s", path, err_text(-errno));
	return 0;
}

int ephem_state_open(const char *path, bool may_make, struct ephem_state *ret, struct diag *d)
{
	struct ephem_state s = { .dir = -1 };
	int err = 0;

	if (!path)
		err = find_home(s.path, d);
	else if (snprintf(s.path, sizeof(s.path), "%s", path) >= (int)sizeof(s.path))
		err = diag_set(d, -ENAMETOOLONG, 0, "the directory's name is too long");
	if (err)
		return err;
	if (may_make && mkdir(s.path, 0700) < 0 && errno != EEXIST)
		return diag_set(d, -errno, 0, "%s: %s", s.path, err_text(-errno));
	s.dir = open(s.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s.dir < 0)
		return diag_set(d, -errno, 0, "%s: %s", s.path, err_text(-errno));
	err = take_possession(s.dir, s.path, d);
	if (err)
		ephem_state_close(&s);
	else
		*ret = s;
	return err;
}

void ephem_state_close(struct ephem_state *s)
{
	if (s->dir >= 0)
		close(s->dir);
	s->dir = -1;
}

/* --- setup.json --- */

static bool take(const json_t *json, const char *name, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text && snprintf(out, size, "%s", text) < (int)size;
}

static int understand(const json_t *json, struct ephem_setup *ret)
{
	struct ephem_setup s = { .url = "" };

	s.is_user = !json_object_get(json, "master_key");
	s.is_insecure = json_is_true(json_object_get(json, "insecure"));
	if (!take(json, "api_url", s.url, sizeof(s.url)) ||
	    !take(json, s.is_user ? "user_key" : "master_key", s.key, sizeof(s.key)) ||
	    !ephem_key_ok(s.key))
		return ERR_FORMAT;
	if (s.is_user && (!take(json, "client_id", s.id, sizeof(s.id)) || !ephem_id_ok(s.id)))
		return ERR_FORMAT;
	if (json_object_get(json, "ca_file") &&
	    !take(json, "ca_file", s.ca_file, sizeof(s.ca_file)))
		return ERR_FORMAT;
	*ret = s;
	secret_wipe(s.key, sizeof(s.key));
	return 0;
}

int ephem_state_read_setup(const struct ephem_state *s, struct ephem_setup *ret, struct diag *d)
{
	char text[SETUP_MAX];
	json_t *json = NULL;
	size_t len = 0;
	int err = file_read(s->dir, setup_name, text, sizeof(text), &len);

	if (err)
		return diag_set(d, err, 0, "%s/%s: %s", s->path, setup_name, err_text(err));
	err = json_parse(text, len, &json, NULL);
	if (!err)
		err = understand(json, ret);
	json_decref(json);
	secret_wipe(text, sizeof(text));
	if (err)
		diag_set(d, ERR_FORMAT, 0, "%s/%s is not understood: set up again", s->path,
			 setup_name);
	return err;
}

static json_t *setup_json(const struct ephem_setup *setup)
{
	json_t *json = json_pack("{s:s, s:s}", "api_url", setup->url,
				 setup->is_user ? "user_key" : "master_key", setup->key);

	if (json && setup->is_user)
		json_object_set_new(json, "client_id", json_string(setup->id));
	if (json && setup->ca_file[0])
		json_object_set_new(json, "ca_file", json_string(setup->ca_file));
	if (json && setup->is_insecure)
		json_object_set_new(json, "insecure", json_true());
	return json;
}

int ephem_state_write_setup(const struct ephem_state *s, const struct ephem_setup *setup,
			    struct diag *d)
{
	char text[SETUP_MAX];
	json_t *json = setup_json(setup);
	size_t len = json ? json_dumpb(json, text, sizeof(text), JSON_INDENT(2)) : 0;
	int err = -ENOMEM;

	if (len > 0 && len <= sizeof(text))
		err = file_write(s->dir, setup_name, text, len, FILE_MODE(0600));
	json_decref(json);
	secret_wipe(text, sizeof(text));
	if (err)
		diag_set(d, err, 0, "%s/%s: %s", s->path, setup_name, err_text(err));
	return err;
}

/* --- Configurations --- */

static int name_file(const struct ephem_state *s, const char *id, const char *extension,
		     char name[NAME_MAX_LEN], char path[PATH_MAX])
{
	if (!ephem_id_ok(id) ||
	    snprintf(name, NAME_MAX_LEN, "%s.%s", id, extension) >= NAME_MAX_LEN)
		return ERR_RANGE;
	return snprintf(path, PATH_MAX, "%s/%s", s->path, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int ephem_state_save(const struct ephem_state *s, const char *id, const char *extension,
		     const char *data, size_t len, char ret_path[PATH_MAX], struct diag *d)
{
	char name[NAME_MAX_LEN];
	int err = name_file(s, id, extension, name, ret_path);

	if (!err)
		err = file_write(s->dir, name, data, len, FILE_MODE(0600));
	if (err)
		diag_set(d, err, 0, "%s/%.64s.%s: %s", s->path, id, extension, err_text(err));
	return err;
}

int ephem_state_save_new(const struct ephem_state *s, const char *id, const char *extension,
			 const char *data, size_t len, char ret_path[PATH_MAX], struct diag *d)
{
	char name[NAME_MAX_LEN], kept[NAME_MAX_LEN + 8];

	if (name_file(s, id, extension, name, ret_path) == 0) {
		snprintf(kept, sizeof(kept), "%s.old", name);
		if (renameat(s->dir, name, s->dir, kept) < 0 && errno != ENOENT)
			return diag_set(d, -errno, 0, "%s: %s", ret_path, err_text(-errno));
	}
	return ephem_state_save(s, id, extension, data, len, ret_path, d);
}

bool ephem_state_has(const struct ephem_state *s, const char *id, const char *extension,
		     char ret_path[PATH_MAX])
{
	char name[NAME_MAX_LEN];
	struct stat st;

	return name_file(s, id, extension, name, ret_path) == 0 &&
	       fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* "NAME" of "NAME.conf", owned; NULL: another file, or no memory. */
static char *name_of(const char *file)
{
	size_t len = strlen(file), end = sizeof(conf_end) - 1;
	char *name = NULL;

	if (len > end && len - end <= EPHEM_ID_MAX && strcmp(file + len - end, conf_end) == 0)
		name = strndup(file, len - end);
	if (name && ephem_id_ok(name))
		return name;
	free(name);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Return: 0; ERR_LIMIT; -ENOMEM. What was added so far is the caller's in any case. */
static int collect(DIR *dir, char ***names, size_t *n)
{
	const struct dirent *entry;

	while ((entry = readdir(dir)) != NULL) {
		char *name = name_of(entry->d_name);
		char **longer = name ? realloc(*names, (*n + 1) * sizeof(**names)) : NULL;

		if (!name)
			continue;
		if (longer)
			*names = longer;
		if (!longer || *n == EPHEM_NAMES_MAX) {
			free(name);
			return longer ? ERR_LIMIT : -ENOMEM;
		}
		(*names)[(*n)++] = name;
	}
	return 0;
}

int ephem_state_names(const struct ephem_state *s, char ***ret, size_t *ret_n, struct diag *d)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	char **names = NULL;
	size_t n = 0;
	int err = dir ? 0 : -errno;

	if (!dir && fd >= 0)
		close(fd);
	if (dir) {
		err = collect(dir, &names, &n);
		closedir(dir);
	}
	if (err) {
		for (size_t i = 0; i < n; i++)
			free(names[i]);
		free(names);
		return diag_set(d, err, 0, "%s: %s", s->path, err_text(err));
	}
	if (n > 1)
		qsort(names, n, sizeof(*names), compare);
	*ret = names;
	*ret_n = n;
	return 0;
}
