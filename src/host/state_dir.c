/* SPDX-License-Identifier: Apache-2.0 */
#include "host/state_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/suite.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/privileges.h"
#include "sys/random.h"

enum {
	API_KEY_OCTETS = 32,
	ENTRIES_MAX = 1000, /* looked at for their owner */
};

static int refuse(struct diag *d, int err, const struct state_dir *s, const char *what)
{
	return diag_set(d, err, 0, "%s: %s: %s", s->path, what, err_text(err));
}

static int open_directory(struct state_dir *s, struct diag *d)
{
	struct stat st;

	if (mkdir(s->path, 0700) < 0 && errno != EEXIST)
		return refuse(d, -errno, s, "cannot make the state directory");
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return refuse(d, -errno, s, "cannot open the state directory");
	/* Nobody's: from the time before there was a user of ours. */
	if (st.st_uid != geteuid() && st.st_uid != s->uid &&
	    !privileges_is_shared_user(st.st_uid))
		return diag_set(
			d, -EPERM, 0,
			"%s belongs to user %u: give it to root (chown), or choose another "
			"directory with --state",
			s->path, st.st_uid);
	if (fchmod(s->fd, 0700) < 0 || fchown(s->fd, s->uid, s->gid) < 0)
		return refuse(d, -errno, s, "cannot take over the state directory");
	return 0;
}

static int lock(struct state_dir *s, struct diag *d)
{
	s->lock_fd = openat(s->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return refuse(d, -errno, s, "cannot open the lock");
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return refuse(d, -errno, s, "cannot take the lock");
	return diag_set(d, -EBUSY, 0, "another gateway is running with the state directory %s",
			s->path);
}

int state_dir_put_key(struct state_dir *s, const char *key, struct diag *d)
{
	char text[KEY_BASE64_LEN + 2];
	int err;

	memcpy(text, key, KEY_BASE64_LEN);
	memcpy(text + KEY_BASE64_LEN, "\n", 2);
	err = file_write(s->fd, "server.key", text, KEY_BASE64_LEN + 1, FILE_MODE(0600));
	secret_wipe(text, sizeof(text));
	return err < 0 ? refuse(d, err, s, "cannot write server.key") : 0;
}

static int make_server_key(struct state_dir *s, struct diag *d)
{
	char text[KEY_BASE64_LEN + 1];
	struct secret_key key;
	int err;

	/* "store": see store/kind.h. */
	if (faccessat(s->fd, "culvert.db", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	    faccessat(s->fd, "store", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return diag_set(
			d, ERR_CORRUPT, 0,
			"%s/server.key is missing although there are peers that know it: "
			"restore it, or remove culvert.db (store, with PostgreSQL) to begin "
			"anew",
			s->path);
	random_fill(key.b, sizeof(key.b));
	dh_clamp(&key);
	key_to_base64(key.b, text);
	err = state_dir_put_key(s, text, d);
	secret_key_done(&key);
	secret_wipe(text, sizeof(text));
	return err;
}

/* Files of ours that somebody gave to another user: systemd does that to a state directory
 * whose owner is not the unit's. Root keeps its key, the lock, and what it obeys. */
static void adopt(const struct state_dir *s, const char *name)
{
	struct stat st;
	int fd;

	if (strcmp(name, "server.key") == 0 || strcmp(name, "lock") == 0 ||
	    strcmp(name, "culvert.conf") == 0)
		return;
	fd = openat(s->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	/* Another name of the file may lie where its owner matters. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid != s->uid && fchown(fd, s->uid, s->gid) < 0)
		log_warning("%s/%s: cannot give it to user %u: %s", s->path, name, s->uid,
			    err_text(-errno));
	close(fd);
}

static void adopt_all(const struct state_dir *s)
{
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	for (int i = 0; d && i < ENTRIES_MAX && (entry = readdir(d)); i++)
		adopt(s, entry->d_name);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

/* One that the service manager keeps for us (LoadCredential=, SetCredentialEncrypted=) comes
 * first: it may be sealed to this machine, and then none lies in the state directory at all.
 * Return: its directory, or that of the state. */
static const char *open_key_file(struct state_dir *s)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	int fd = credentials ? open(credentials, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		s->key_fd = openat(fd, "server.key", flags);
		close(fd);
		if (s->key_fd >= 0 || errno != ENOENT)
			return credentials;
	}
	s->key_fd = openat(s->fd, "server.key", flags);
	return s->path;
}

/* The owner of the directory could have put another file in its place. */
static int check_key_file(const struct state_dir *s, const char *place, struct diag *d)
{
	struct secret_key key;
	struct stat st;
	int err;

	if (fstat(s->key_fd, &st) < 0)
		return refuse(d, -errno, s, "server.key");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) ||
	    st.st_nlink != 1)
		return diag_set(d, ERR_CORRUPT, 0,
				"%s/server.key must be a plain file of user %u with mode 0600, "
				"without other names",
				place, geteuid());
	err = state_dir_private_key(s, &key);
	secret_key_done(&key);
	return err < 0 ? diag_set(
				 d, ERR_CORRUPT, 0,
				 "%s/server.key must hold one key in base64, as \"culvert keys gen\" "
				 "prints it",
				 place)
		       : 0;
}

int state_dir_find_key(struct state_dir *s, bool *ret_is_there, struct diag *d)
{
	const char *place = open_key_file(s);

	*ret_is_there = s->key_fd >= 0;
	if (s->key_fd < 0 && errno == ENOENT)
		return 0;
	if (s->key_fd < 0)
		return diag_set(d, -errno, 0, "cannot open %s/server.key: %s", place,
				err_text(-errno));
	return check_key_file(s, place, d);
}

int state_dir_open_key(struct state_dir *s, struct diag *d)
{
	bool is_there = false;
	int err = state_dir_find_key(s, &is_there, d);

	if (err == 0 && !is_there) {
		err = make_server_key(s, d);
		if (err == 0)
			err = state_dir_find_key(s, &is_there, d);
		if (err == 0 && !is_there)
			err = refuse(d, -ENOENT, s, "server.key");
	}
	return err;
}

static int make_api_key(struct state_dir *s, struct diag *d)
{
	uint8_t octets[API_KEY_OCTETS];
	char text[2 * API_KEY_OCTETS + 2];
	struct stat st;
	int err;

	if (fstatat(s->fd, "api.key", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	random_fill(octets, sizeof(octets));
	hex_encode(octets, sizeof(octets), text);
	memcpy(text + sizeof(text) - 2, "\n", 2);
	err = file_write(s->fd, "api.key", text, sizeof(text) - 1,
			 (struct file_owner){ .mode = 0600, .uid = s->uid, .gid = s->gid });
	secret_wipe(octets, sizeof(octets));
	secret_wipe(text, sizeof(text));
	return err < 0 ? refuse(d, err, s, "cannot write api.key") : 0;
}

int state_dir_open_but_key(struct state_dir *s, const char *path, uid_t uid, gid_t gid,
			   struct diag *d)
{
	size_t room = STATE_SOCKET_PATH_MAX - strlen("/gateway.sock");
	int err;

	*s = STATE_DIR_CLOSED;
	s->path = path;
	s->uid = uid;
	s->gid = gid;
	if (path[0] == '\0' || strlen(path) > room)
		return diag_set(
			d, ERR_RANGE, 0,
			"the state directory's path has %zu octets, a socket in it allows 1 "
			"to %zu: choose a shorter one with --state",
			strlen(path), room);
	err = open_directory(s, d);
	if (err == 0)
		err = lock(s, d);
	if (err == 0)
		err = make_api_key(s, d);
	if (err == 0)
		adopt_all(s);
	if (err < 0)
		state_dir_close(s);
	return err;
}

int state_dir_open(struct state_dir *s, const char *path, uid_t uid, gid_t gid, struct diag *d)
{
	int err = state_dir_open_but_key(s, path, uid, gid, d);

	if (err == 0) {
		err = state_dir_open_key(s, d);
		if (err < 0)
			state_dir_close(s);
	}
	return err;
}

void state_dir_close(struct state_dir *s)
{
	const int fds[] = { s->key_fd, s->lock_fd, s->fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	*s = STATE_DIR_CLOSED;
}

int state_dir_private_key(const struct state_dir *s, struct secret_key *ret)
{
	char text[KEY_BASE64_LEN + 2];
	ssize_t n = pread(s->key_fd, text, sizeof(text), 0);
	int err = ERR_FORMAT;

	if (n == KEY_BASE64_LEN || (n == KEY_BASE64_LEN + 1 && text[n - 1] == '\n'))
		err = key_from_base64(text, KEY_BASE64_LEN, ret->b);
	secret_wipe(text, sizeof(text));
	if (err == 0 && secret_is_zero(ret->b, sizeof(ret->b)))
		err = ERR_KEY;
	return err;
}

/* In a child, because the directory is its user's and we may have no right to pass over that. */
void state_dir_remove_socket(const struct state_dir *s)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (s->uid != geteuid())
			privileges_become(s->uid, s->gid, false);
		_exit(unlinkat(s->fd, "gateway.sock", 0) < 0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}
