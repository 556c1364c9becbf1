/* SPDX-License-Identifier: Apache-2.0 */
#include "host/upgrade.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/program.h"

enum {
	ARGUMENTS_MAX = 256,
	COMMAND_LINE_MAX = 1 << 17,
	SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

#define TRIAL_NS   (UINT64_C(5) * 1000000000)
#define GATEWAY_NS (UINT64_C(60) * 1000000000)
#define DEVICE_NS  (UINT64_C(15) * 1000000000)

/* --- Is it fit to run? --- */

/* Nobody may decide what it is who is not root, or whose program runs as root already. */
static int check_hands(const char *path, const struct stat *now, struct diag *d)
{
	struct stat own;

	if (now->st_mode & (S_IWGRP | S_IWOTH))
		return diag_set(d, -EPERM, 0,
				"%.120s: others than its owner may write to it (chmod go-w)",
				path);
	if (now->st_uid != 0 && now->st_uid != geteuid() &&
	    (stat("/proc/self/exe", &own) < 0 || now->st_uid != own.st_uid))
		return diag_set(
			d, -EPERM, 0,
			"%.120s belongs to user %u, not to root nor to the owner of the "
			"program that runs",
			path, now->st_uid);
	return 0;
}

/* Who writes to a directory puts another file there by that name; if it is sticky, one that was
 * not there before. */
static int check_directory_of(const char *path, struct diag *d)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];
	struct stat now;

	snprintf(directory, sizeof(directory), "%.*s",
		 slash && slash > path ? (int)(slash - path) : 1, slash ? path : ".");
	if (stat(directory, &now) < 0)
		return diag_set(d, -errno, 0, "%.180s: %s", directory, err_text(-errno));
	return check_hands(directory, &now, d);
}

/* It will be root's. @path may be a link: both directories count. */
static int check_file(const char *path, struct stat *now, struct diag *d)
{
	char real[PATH_MAX];
	int err;

	if (!realpath(path, real) || stat(path, now) < 0)
		return diag_set(d, -errno, 0, "%.180s: %s", path, err_text(-errno));
	if (!S_ISREG(now->st_mode) || access(path, X_OK) < 0)
		return diag_set(d, -EACCES, 0, "%.180s is no program", path);
	err = check_hands(path, now, d);
	if (err == 0)
		err = check_directory_of(path, d);
	return err == 0 ? check_directory_of(real, d) : err;
}

/* The trial was of this very file. */
static int check_again(const struct upgrade *u, const char *path, struct diag *d)
{
	struct stat now = { .st_ino = 0 };
	int err = check_file(path, &now, d);

	if (err < 0)
		return err;
	if (now.st_dev != u->device_number || now.st_ino != u->inode)
		return diag_set(d, -ESTALE, 0, "%.180s is another program than was tried",
				path);
	return 0;
}

/* The gateway's user may see the program only where the view shows its directory. */
static int find_for_gateway(struct upgrade *u, struct diag *d)
{
	const char *slash = strrchr(u->program, '/');
	const char *shown = strrchr(u->view->program, '/');
	struct stat here, there;

	if (!shown || !slash) {
		snprintf(u->gateway_program, sizeof(u->gateway_program), "%s", u->program);
		return 0;
	}
	snprintf(u->gateway_program, sizeof(u->gateway_program), "%.*s%.*s",
		 (int)(shown - u->view->program), u->view->program, VIEW_NAME_MAX, slash);
	if (stat(u->program, &here) == 0 && stat(u->gateway_program, &there) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino)
		return 0;
	return diag_set(
		d, -EACCES, 0,
		"%.120s lies in another directory than before, which the gateway's user "
		"cannot reach: restart instead",
		u->program);
}

static int explain_trial(const struct program_result *r, struct diag *d)
{
	size_t len = strcspn(r->complaint, "\n");

	if (r->status >= 256)
		return diag_set(d, -ENOEXEC, 0, "in its trial it was ended by signal %d",
				r->status - 256);
	if (len > 0)
		return diag_set(d, -ENOEXEC, 0, "in its trial it says: %.*s",
				len < 200 ? (int)len : 200, r->complaint);
	return diag_set(d, -ENOEXEC, 0,
			"in its trial it ends with code %d and no word that it could go on",
			r->status);
}

static int try_program(const char *path, const struct text *state, struct diag *d)
{
	const char *const argv[] = { "culvert", UPGRADE_COMMAND, NULL };
	struct program_result r;
	int err = program_run(path, argv, state->data, state->len, TRIAL_NS, &r);

	if (err == -ETIMEDOUT)
		return diag_set(d, err, 0, "its trial did not end within %d s",
				(int)(TRIAL_NS / 1000000000));
	if (err < 0)
		return diag_set(d, err, 0, "it cannot be run: %s", err_text(err));
	if (r.status != 0 || strncmp(r.out, UPGRADE_WORD, strlen(UPGRADE_WORD)) != 0)
		return explain_trial(&r, d);
	log_info("upgrade: %.*s takes over", (int)strcspn(r.out + 7, "\n"), r.out + 7);
	return 0;
}

/* --- Its course --- */

static void finish(struct upgrade *u, const char *words)
{
	u->phase = UPGRADE_IDLE;
	report_reloaded(u->report, words);
}

void upgrade_begin(struct upgrade *u, const struct text *state)
{
	struct diag d = { 0 };
	struct stat tried = { .st_ino = 0 };
	int err = state->err;

	assert(u->phase == UPGRADE_IDLE && u->gateway->phase == GATEWAY_SERVING);
	report_reloading(u->report);
	if (err == 0 && u->device->is_usernet)
		err = diag_set(
			&d, -EOPNOTSUPP, 0,
			"connections of peers end with the process of a usernet: restart "
			"the gateway when that suits");
	if (err == 0)
		err = check_file(u->program, &tried, &d);
	u->device_number = tried.st_dev;
	u->inode = tried.st_ino;
	if (err == 0)
		err = find_for_gateway(u, &d);
	if (err == 0)
		err = try_program(u->program, state, &d);
	if (err < 0) {
		log_error("no upgrade: %s: %s; everything goes on as it was", u->program,
			  d.text[0] ? d.text : err_text(err));
		finish(u, "The gateway serves; the new program is not fit");
		return;
	}
	u->phase = UPGRADE_GATEWAY;
	u->is_tried = false;
	u->deadline_ns = clock_boot_ns() + GATEWAY_NS;
	gateway_child_hand_on(u->gateway, u->gateway_program);
}

/* The gateway process is to be one of the old program again. */
static void go_back(struct upgrade *u, const char *why)
{
	log_error("no upgrade: %s; going back", why);
	u->phase = UPGRADE_BACK;
	u->deadline_ns = UINT64_MAX;
	if (u->gateway->phase == GATEWAY_SERVING) {
		gateway_child_hand_on(u->gateway, NULL);
		return;
	}
	u->gateway->program = NULL;
	u->gateway->child.failures = 0;
	u->gateway->due_ns = clock_boot_ns();
}

static void begin_device(struct upgrade *u, uint64_t now_ns)
{
	struct diag d = { 0 };

	if (u->device->child.pid == 0) /* it died meanwhile: it is started again first */
		return;
	if (check_again(u, u->program, &d) < 0 ||
	    device_child_succeed(u->device, u->program, &d) < 0) {
		go_back(u, d.text);
		return;
	}
	u->phase = UPGRADE_DEVICE;
	u->deadline_ns = now_ns + DEVICE_NS;
}

static void step_gateway(struct upgrade *u, uint64_t now_ns)
{
	u->is_tried = u->is_tried || u->gateway->phase == GATEWAY_STARTING;
	if (u->gateway->phase == GATEWAY_SERVING)
		begin_device(u, now_ns);
	else if (u->gateway->phase == GATEWAY_ABSENT && u->is_tried)
		go_back(u, "a gateway process of the new program does not serve");
	if (u->phase == UPGRADE_GATEWAY && now_ns >= u->deadline_ns)
		go_back(u, "it takes too long");
}

static void step_device(struct upgrade *u, uint64_t now_ns)
{
	switch (device_child_succession(u->device)) {
	case DEVICE_SUCCEEDED:
		u->phase = UPGRADE_READY;
		return;
	case DEVICE_REMAINS:
		go_back(u, "a tunnel process of the new program did not take over");
		return;
	case DEVICE_LOST:
		go_back(u, "the tunnel process ended");
		return;
	case DEVICE_PENDING:
		if (now_ns >= u->deadline_ns) {
			device_child_dismiss(u->device);
			go_back(u, "a tunnel process of the new program takes too long");
		}
		return;
	}
}

void upgrade_recheck(struct upgrade *u)
{
	struct diag d = { 0 };

	if (!u->gateway->program || u->gateway->phase != GATEWAY_ABSENT ||
	    check_again(u, u->gateway->program, &d) == 0)
		return;
	if (u->phase == UPGRADE_GATEWAY) {
		go_back(u, d.text);
		return;
	}
	log_error("the gateway process is of the old program again: %s", d.text);
	u->gateway->program = NULL;
}

void upgrade_step(struct upgrade *u, uint64_t now_ns)
{
	switch (u->phase) {
	case UPGRADE_IDLE:
	case UPGRADE_READY:
		return;
	case UPGRADE_GATEWAY:
		step_gateway(u, now_ns);
		return;
	case UPGRADE_DEVICE:
		step_device(u, now_ns);
		return;
	case UPGRADE_BACK:
		if (u->gateway->phase != GATEWAY_SERVING)
			return;
		log_warning("everything is as it was before the upgrade");
		finish(u, "The gateway serves; an upgrade failed");
		return;
	}
}

uint64_t upgrade_deadline_ns(const struct upgrade *u)
{
	return u->phase == UPGRADE_GATEWAY || u->phase == UPGRADE_DEVICE ? u->deadline_ns
									 : UINT64_MAX;
}

/* --- From one program to the other --- */

/* Return: sealed memory with @state in it, which stays open across exec; -errno. */
static int leave(const struct text *state)
{
	int fd = memfd_create("culvert-upgrade", MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	err = file_write_all(fd, state->data, state->len);
	if (err == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		err = -errno;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* Read as the new program will: what it would refuse is better found while we are there. */
static int keep_across_exec(const struct text *state, bool kept)
{
	struct upgrade_state s;
	struct diag d;
	int err = upgrade_state_read(&s, state->data, state->len, &d);

	if (err < 0)
		return err;
	for (int i = UPGRADE_FD_FIRST; i < UPGRADE_NUMBERS; i++)
		if (s.numbers[i] > 0)
			(void)fcntl((int)s.numbers[i], F_SETFD, kept ? 0 : FD_CLOEXEC);
	return 0;
}

/* As it was called, so that it is found under the same name and arguments. */
static int read_arguments(char line[COMMAND_LINE_MAX], char *argv[ARGUMENTS_MAX + 1])
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = 0, n;
	size_t count = 0;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, line + len, COMMAND_LINE_MAX - 1 - (size_t)len)) > 0)
		len += n;
	close(fd);
	if (n < 0 || len == 0 || len == COMMAND_LINE_MAX - 1)
		return -E2BIG;
	line[len] = '\0';
	for (char *at = line; at < line + len; at += strlen(at) + 1) {
		if (count == ARGUMENTS_MAX)
			return -E2BIG;
		argv[count++] = at;
	}
	argv[count] = NULL;
	return 0;
}

static int execute(const struct upgrade *u, const struct text *state)
{
	static char line[COMMAND_LINE_MAX];
	static char *argv[ARGUMENTS_MAX + 1];
	char number[16];
	int err = read_arguments(line, argv);
	int fd = err == 0 ? leave(state) : err;

	if (fd < 0)
		return fd;
	snprintf(number, sizeof(number), "%d", fd);
	err = keep_across_exec(state, true);
	if (err == 0 && setenv(UPGRADE_VARIABLE, number, 1) == 0) {
		execve(u->program, argv, environ);
		err = -errno;
	}
	unsetenv(UPGRADE_VARIABLE);
	(void)keep_across_exec(state, false);
	close(fd);
	return err;
}

void upgrade_execute(struct upgrade *u, const struct text *state)
{
	struct diag d = { 0 };
	int err = state->err;

	assert(u->phase == UPGRADE_READY);
	u->gateway->program = NULL;
	if (err == 0)
		err = check_again(u, u->program, &d);
	if (err == 0)
		err = execute(u, state);
	log_error("the host process cannot execute %s (%s): its children are of the new "
		  "program, it is still of the old one",
		  u->program, d.text[0] ? d.text : err_text(err));
	finish(u, "The gateway serves; its host process is of an older program");
}

static int read_memory(int fd, void **ret, size_t *ret_len)
{
	struct stat st;
	char *octets;
	ssize_t n;

	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0 ||
	    st.st_size > UPGRADE_OCTETS_MAX)
		return ERR_FORMAT;
	octets = malloc((size_t)st.st_size);
	if (!octets)
		return -ENOMEM;
	n = pread(fd, octets, (size_t)st.st_size, 0);
	if (n != st.st_size) {
		free(octets);
		return n < 0 ? -errno : ERR_FORMAT;
	}
	*ret = octets;
	*ret_len = (size_t)n;
	return 0;
}

static int adopt_descriptors(const struct upgrade_state *s, struct diag *d)
{
	for (int i = UPGRADE_FD_FIRST; i < UPGRADE_NUMBERS; i++) {
		if (s->numbers[i] > 0 && fcntl((int)s->numbers[i], F_SETFD, FD_CLOEXEC) < 0)
			return diag_set(d, -errno, 0, "descriptor %d: %s", (int)s->numbers[i],
					err_text(-errno));
	}
	return 0;
}

int upgrade_receive(struct upgrade_state *ret, void **ret_octets, struct diag *d)
{
	const char *text = getenv(UPGRADE_VARIABLE);
	void *octets = NULL;
	size_t len = 0;
	uint64_t fd;
	int err;

	if (!text)
		return 0;
	if (decimal_parse(text, strlen(text), INT32_MAX, &fd) < 0)
		return diag_set(d, ERR_FORMAT, 0, UPGRADE_VARIABLE " is no descriptor");
	unsetenv(UPGRADE_VARIABLE);
	err = read_memory((int)fd, &octets, &len);
	if (err < 0)
		return diag_set(d, err, 0, "the state of the program before: %s",
				err_text(err));
	close((int)fd);
	err = upgrade_state_read(ret, octets, len, d);
	if (err == 0)
		err = adopt_descriptors(ret, d);
	if (err < 0) {
		free(octets);
		return err;
	}
	*ret_octets = octets;
	return 1;
}
