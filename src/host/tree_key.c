/* SPDX-License-Identifier: Apache-2.0 */
#include "host/tree_key.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/child.h"
#include "sys/clock.h"

enum {
	ARGUMENTS_MAX = 96,
	PATIENCE_MS = 60000, /* several tries over a network */
	LOOK_MS = 100,	     /* whether it has ended, if no signal says so */
};

#define STOP_PATIENCE_NS (UINT64_C(1) * 1000000000)
#define END_PATIENCE_NS	 (UINT64_C(5) * 1000000000)

const char *const tree_variables[] = { "SSM_PREFIX",
				       "AWS_REGION",
				       "AWS_DEFAULT_REGION",
				       "AWS_ENDPOINT_URL",
				       "AWS_ENDPOINT_URL_SSM",
				       "AWS_CA_BUNDLE",
				       "AWS_ACCESS_KEY_ID",
				       "AWS_SECRET_ACCESS_KEY",
				       "AWS_SESSION_TOKEN",
				       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
				       "AWS_CONTAINER_CREDENTIALS_FULL_URI",
				       "AWS_CONTAINER_AUTHORIZATION_TOKEN",
				       "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
				       "AWS_EC2_METADATA_SERVICE_ENDPOINT",
				       "AWS_EC2_METADATA_DISABLED",
				       "https_proxy",
				       "HTTPS_PROXY",
				       "no_proxy",
				       "NO_PROXY",
				       NULL };

static void fill_arguments(const struct tree_key *t, const char *argv[ARGUMENTS_MAX])
{
	const char *const fixed[] = { "culvert", "users-key", "--state", t->view->state };
	const char *const *more = t->config->gateway_arguments;
	size_t n = 0;

	for (; n < sizeof(fixed) / sizeof(fixed[0]); n++)
		argv[n] = fixed[n];
	for (size_t i = 0; more && more[i]; i++) {
		assert(n + 1 < ARGUMENTS_MAX);
		argv[n++] = more[i];
	}
	argv[n] = NULL;
}

static int start(const struct tree_key *t, int their_end, struct child *child)
{
	const char *argv[ARGUMENTS_MAX];
	const struct child_plan plan = {
		.program = t->view->program[0] ? t->view->program : NULL,
		.argv = argv,
		.inherits = tree_variables,
		.fds = { their_end },
		.n_fds = 1,
		.drops_rights = true,
		.drops_user = t->state->uid != geteuid(),
		.uid = t->state->uid,
		.gid = t->state->gid,
	};

	fill_arguments(t, argv);
	return child_start(child, &plan, clock_boot_ns());
}

/* Until it closes its end. One octet more than a key has room, so that a longer answer shows. */
static int listen_to(const struct tree_key *t, int fd, char *answer, size_t max,
		     size_t *ret_len)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = t->signals->fd, .events = POLLIN } };
	uint64_t end_ns = clock_boot_ns() + PATIENCE_MS * UINT64_C(1000000);
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (poll(p, 2, 1000) < 0 && errno != EINTR)
			return -errno;
		/* The end of a child, perhaps this one's, is a signal too. */
		if (p[1].revents && signals_take(t->signals))
			return -ECANCELED;
		if (clock_boot_ns() > end_ns)
			return -ETIMEDOUT;
		n = recv(fd, answer + len, max - len, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0)
			len += (size_t)n;
		if (n == 0 || len == max)
			break;
	}
	*ret_len = len;
	return 0;
}

static int judge_end(int status, struct diag *d)
{
	if (WIFSIGNALED(status))
		return diag_set(d, -EPIPE, 0,
				"who asks the users' tree for its key was ended by signal %d",
				WTERMSIG(status));
	switch (WEXITSTATUS(status)) {
	case HOST_DONE:
		return 0;
	case HOST_REFUSED:
		return ERR_RANGE;
	case HOST_PRIVILEGE:
		return -EACCES;
	case CHILD_EXEC_FAILED:
		return diag_set(d, -EPIPE, 0,
				"who asks the users' tree for its key could not be started");
	default:
		return -EPIPE;
	}
}

static int talk(const struct tree_key *t, int fd, const char *own, char *ret)
{
	char answer[KEY_BASE64_LEN + 1];
	size_t len = 0;
	int err = 0;

	if (own && send(fd, own, KEY_BASE64_LEN, MSG_NOSIGNAL) != KEY_BASE64_LEN)
		err = -EPIPE;
	shutdown(fd, SHUT_WR);
	if (err == 0)
		err = listen_to(t, fd, answer, sizeof(answer), &len);
	if (err == 0 && len != 0 && len != KEY_BASE64_LEN)
		err = ERR_FORMAT;
	if (err == 0) {
		memcpy(ret, answer, len);
		ret[len] = '\0';
	}
	secret_wipe(answer, sizeof(answer));
	return err;
}

/* Having closed its end it has nothing left to do. Return: 0, -ECANCELED, -ETIMEDOUT. */
static int wait_for_end(const struct tree_key *t, const struct child *child, int *ret_status)
{
	struct pollfd p = { .fd = t->signals->fd, .events = POLLIN };
	uint64_t end_ns = clock_boot_ns() + END_PATIENCE_NS;

	while (!child_reap(child, ret_status)) {
		if (signals_take(t->signals))
			return -ECANCELED;
		if (clock_boot_ns() > end_ns)
			return -ETIMEDOUT;
		(void)poll(&p, 1, LOOK_MS);
	}
	return 0;
}

static bool is_given_up(int err)
{
	return err == -ECANCELED || err == -ETIMEDOUT || err == ERR_FORMAT;
}

/* Its exit code counts more than what it said. */
static int bury(const struct tree_key *t, struct child *child, int err, struct diag *d)
{
	int status = 0, late = is_given_up(err) ? err : wait_for_end(t, child, &status);

	if (late != 0) {
		child_stop(child, STOP_PATIENCE_NS);
		return diag_set(d, late == ERR_FORMAT ? -EPIPE : late, 0,
				"the users' tree was not asked for its key: %s",
				err_text(late));
	}
	child->pid = 0;
	status = judge_end(status, d);
	return status ? status : err;
}

int tree_key_ask(const struct tree_key *t, const char *own, char ret[KEY_BASE64_LEN + 1],
		 struct diag *d)
{
	struct child child = { .name = "users-key" };
	int ends[2], err;

	*d = (struct diag){ 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return diag_set(d, -errno, 0, "socketpair: %s", err_text(-errno));
	err = start(t, ends[1], &child);
	close(ends[1]);
	if (err == 0) {
		err = talk(t, ends[0], own, ret);
		err = bury(t, &child, err, d);
	} else {
		diag_set(d, err, 0, "the users' tree cannot be asked for its key: %s",
			 err_text(err));
	}
	close(ends[0]);
	return err;
}
