/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/key_list.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/log.h"

enum { PAUSE_MS = 1000, LIST_MAX = 16 << 20 };

static const uint64_t SECOND_NS = 1000000000;

/**
 * struct key_list - @written: what the file has
 * @changes:	Of users, that are in it
 * @complained:	That it could not be written was said
 */
struct key_list {
	int directory;
	struct text written;
	uint64_t changes;
	uint64_t look_ns;
	uint64_t pause_ns;
	bool complained;
};

int key_list_new(const char *directory, struct key_list **ret, struct diag *d)
{
	struct key_list *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		k->directory = -errno;
	else
		k->directory = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (k->directory >= 0) {
		k->changes = UINT64_MAX;
		*ret = k;
		return 0;
	}
	err = -errno;
	free(k);
	return diag_set(d, err, 0, "the directory for the proxy's keys, %.120s: %s", directory,
			err_text(err));
}

struct key_list *key_list_free(struct key_list *k)
{
	if (!k)
		return NULL;
	close(k->directory);
	text_done(&k->written);
	free(k);
	return NULL;
}

static void put(struct text *out, const char *id, const uint8_t digest[USERS_DIGEST_LEN])
{
	text_puts(out, id);
	text_puts(out, " ");
	text_put_hex(out, digest, USERS_DIGEST_LEN);
	text_puts(out, "\n");
}

static int compose(const struct users *u, struct text *out)
{
	uint8_t master[USERS_DIGEST_LEN];
	const char **ids = NULL;
	size_t n = 0;
	int err = users_ids(u, &ids, &n);

	for (size_t i = 0; i < n && err == 0; i++) {
		const struct user *user = users_find(u, ids[i]);

		if (user && user->has_digest && users_is_active(u, user))
			put(out, user->id, user->digest);
	}
	free(ids);
	if (err == 0 && users_master_digest(u, master))
		put(out, "master", master);
	return err ? err : out->err;
}

static void write_list(struct key_list *k, const struct users *u)
{
	struct text now = { .max = LIST_MAX };
	int err = compose(u, &now);
	bool is_same = now.len == k->written.len && k->written.data &&
		       (now.len == 0 || memcmp(now.data, k->written.data, now.len) == 0);

	if (err == 0 && !is_same)
		err = file_write(k->directory, "keys", now.len ? now.data : "", now.len,
				 FILE_MODE(0600));
	if (err < 0 && !k->complained)
		log_error("the proxy's keys cannot be written, those of before count: %s",
			  err_text(err));
	k->complained = err < 0;
	if (err < 0 || is_same) {
		text_done(&now);
		return;
	}
	text_done(&k->written);
	if (!now.data)
		text_puts(&now, ""); /* written, and empty */
	k->written = now;
}

int key_list_tick(struct key_list *k, const struct users *u, uint64_t now_ns)
{
	uint64_t changes;

	if (!k || !u)
		return INT_MAX;
	changes = users_changes(u);
	if (now_ns < k->pause_ns || (changes == k->changes && now_ns < k->look_ns))
		return PAUSE_MS;
	write_list(k, u);
	if (!k->complained)
		k->changes = changes;
	k->pause_ns = now_ns + SECOND_NS;
	k->look_ns = now_ns + KEY_LIST_LOOK_S * SECOND_NS;
	return PAUSE_MS;
}
