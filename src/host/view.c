/* SPDX-License-Identifier: Apache-2.0 */
#include "host/view.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/privileges.h"

/* Asked as that user, in a child: only the kernel knows all its rules. */
static bool can_reach(const char *path, int mode, uid_t uid, gid_t gid)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (uid != geteuid() && privileges_become(uid, gid, false) < 0)
			_exit(1);
		_exit(faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The directory of this program and its name there. false: it was removed, or too long. */
static bool find_program(char directory[PATH_MAX], char name[VIEW_NAME_MAX])
{
	ssize_t n = readlink("/proc/self/exe", directory, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	directory[n] = '\0';
	slash = strrchr(directory, '/');
	if (!slash || slash == directory || access(directory, X_OK) < 0 ||
	    strlen(slash + 1) >= VIEW_NAME_MAX)
		return false;
	snprintf(name, VIEW_NAME_MAX, "%s", slash + 1);
	*slash = '\0';
	return true;
}

static int enter_namespace(bool *is_inside)
{
	if (*is_inside)
		return 0;
	/* Slave: what is mounted or unmounted outside later still shows here, and what we mount
	 * does not show there. EINVAL in a plain chroot: only a mount has such a mark. To bind
	 * the root onto itself first would help, but that would show outside. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -errno;
	*is_inside = true;
	return 0;
}

static int make_passable(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	return chmod(path, 0755) < 0 ? -errno : 0; /* whatever the umask was */
}

/* Show @directory as @run_dir/view-IF/@name, whose path goes to @out. */
static int show(const char *run_dir, const char *interface, const char *name,
		const char *directory, bool *is_inside, char out[VIEW_PATH_MAX])
{
	int err = enter_namespace(is_inside);

	snprintf(out, VIEW_PATH_MAX, "%s/view-%.15s", run_dir, interface);
	if (err == 0)
		err = make_passable(out);
	snprintf(out, VIEW_PATH_MAX, "%s/view-%.15s/%s", run_dir, interface, name);
	if (err == 0)
		err = make_passable(out);
	if (err == 0 && mount(directory, out, NULL, MS_BIND, NULL) < 0)
		err = -errno;
	return err;
}

static bool is_root_a_mount(void)
{
	struct statx s;

	return statx(AT_FDCWD, "/", 0, 0, &s) < 0 ||
	       !(s.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) ||
	       (s.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int refuse(struct diag *d, int err, const char *path, uid_t uid)
{
	if (err == -EINVAL && !is_root_a_mount())
		return diag_set(d, err, 0,
				"user %u, which the gateway runs as, cannot reach %s: use a "
				"place outside of private directories, or make this chroot a "
				"mount first (mount --bind ROOT ROOT; chroot ROOT)",
				uid, path);
	return diag_set(
		d, err, 0,
		"user %u, which the gateway runs as, cannot reach %s (%s): choose a place "
		"outside of private directories",
		uid, path, err_text(err));
}

int view_open(struct view *v, const char *run_dir, const char *interface,
	      const char *state_path, uid_t uid, gid_t gid, struct diag *d)
{
	char directory[PATH_MAX], name[VIEW_NAME_MAX], shown[VIEW_PATH_MAX];
	bool is_inside = false;
	int err;

	*v = (struct view){ 0 };
	if (find_program(directory, name) && !can_reach(directory, X_OK, uid, gid)) {
		err = show(run_dir, interface, "program", directory, &is_inside, shown);
		if (err < 0)
			return refuse(d, err, directory, uid);
		snprintf(v->program, sizeof(v->program), "%.*s/%s", (int)(sizeof(shown) - 1),
			 shown, name);
	}
	snprintf(v->state, sizeof(v->state), "%s", state_path); /* at most 107 octets */
	if (can_reach(state_path, R_OK | W_OK | X_OK, uid, gid))
		return 0;
	err = show(run_dir, interface, "state", state_path, &is_inside, v->state);
	return err < 0 ? refuse(d, err, state_path, uid) : 0;
}
