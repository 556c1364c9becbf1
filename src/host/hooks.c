/* SPDX-License-Identifier: Apache-2.0 */
#include "host/hooks.h"

#include <errno.h>
#include <signal.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/log.h"

#define SECOND_NS UINT64_C(1000000000)

enum { STOP_PATIENCE_S = 2 };

/* What each action runs. */
static const struct row {
	enum hooks_program program;
	const char *argv[4]; /* behind its path */
} rows[HOST_ACTIONS] = {
	[HOST_ACTION_REBOOT] = { HOOKS_REBOOT, { "reboot" } },
	[HOST_ACTION_STOP_MANAGER] = { HOOKS_STOP, { "stop", "wg-manager" } },
	[HOST_ACTION_START_MANAGER] = { HOOKS_START, { "start", "wg-manager" } },
	[HOST_ACTION_STOP_WHISPER] = { HOOKS_STOP, { "stop", "whisper-node" } },
	[HOST_ACTION_START_WHISPER] = { HOOKS_START, { "start", "whisper-node" } },
	[HOST_ACTION_WIPE] = { HOOKS_WIPE, { "wipe" } },
};

int hooks_check(const char *path, struct diag *d)
{
	struct stat st;

	if (path[0] != '/')
		return diag_set(d, ERR_RANGE, 0, "a hook is an absolute path, and %s is none",
				path);
	if (stat(path, &st) < 0)
		return diag_set(d, ERR_RANGE, 0, "the hook %s: %s", path, err_text(-errno));
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return diag_set(d, ERR_RANGE, 0, "the hook %s is no program", path);
	if ((st.st_mode & 022) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return diag_set(
			d, ERR_RANGE, 0,
			"the hook %s may be changed by others than root and you: it is not"
			" run",
			path);
	return 0;
}

uint32_t hooks_actions(const struct hooks *h)
{
	uint32_t actions = 0;

	for (enum host_action a = HOST_ACTION_REBOOT; a < HOST_ACTIONS; a++)
		if (h->paths[rows[a].program])
			actions |= UINT32_C(1) << a;
	return actions;
}

static void answer(struct hooks *h, uint32_t error)
{
	h->answers = true;
	h->answer_serial = h->serial;
	h->answer_error = error;
}

static bool is_too_many(struct hooks *h, uint64_t now_ns)
{
	if (now_ns - h->window_ns >= HOOKS_WINDOW_S * SECOND_NS) {
		h->window_ns = now_ns;
		h->in_window = 0;
	}
	if (h->in_window == HOOKS_MAX_IN_WINDOW)
		return true;
	h->in_window++;
	return false;
}

uint32_t hooks_ask(struct hooks *h, enum host_action action, uint64_t serial, uint64_t now_ns)
{
	if (!h->paths[rows[action].program])
		return EPERM;
	if (h->is_closed || h->action != 0 || is_too_many(h, now_ns))
		return EBUSY;
	h->action = action;
	h->serial = serial;
	h->due_ns = now_ns;
	if (action != HOST_ACTION_REBOOT)
		return 0;
	h->due_ns = now_ns + HOOKS_REBOOT_DELAY_S * SECOND_NS;
	answer(h, 0);
	return 0;
}

/* It is over, or never began. */
static void end(struct hooks *h, uint32_t error)
{
	if (h->action != HOST_ACTION_REBOOT) /* that was answered before */
		answer(h, error);
	h->action = 0;
	h->is_killed = false;
	h->child.pid = 0;
}

static void start(struct hooks *h, uint64_t now_ns)
{
	const struct row *row = &rows[h->action];
	const char *path = h->paths[row->program];
	const char *const argv[] = { path, row->argv[0], row->argv[1], NULL };
	const struct child_plan plan = { .program = path, .argv = argv };
	struct diag d = { .text = "" };
	int err = hooks_check(path, &d); /* it may be another one by now */

	if (err == 0)
		err = child_start(&h->child, &plan, now_ns);
	if (err != 0) {
		log_error("the hook %s is not run: %s", path,
			  d.text[0] ? d.text : err_text(err));
		end(h, err == ERR_RANGE ? EACCES : (uint32_t)-err);
		return;
	}
	log_info("running the hook %s %s %s", path, row->argv[0],
		 row->argv[1] ? row->argv[1] : "");
	h->kill_ns = now_ns + HOOKS_TIMEOUT_S * SECOND_NS;
}

static void bury(struct hooks *h)
{
	int status = 0;

	if (!child_reap(&h->child, &status))
		return;
	if (h->is_killed)
		end(h, ETIMEDOUT);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		end(h, 0);
	else {
		log_error("the hook %s failed with %s %d", h->paths[rows[h->action].program],
			  WIFEXITED(status) ? "status" : "signal",
			  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		end(h, EIO);
	}
}

void hooks_tick(struct hooks *h, uint64_t now_ns)
{
	if (h->action == 0)
		return;
	if (h->child.pid == 0) {
		if (now_ns >= h->due_ns)
			start(h, now_ns);
		return;
	}
	if (now_ns >= h->kill_ns && !h->is_killed) {
		log_error("the hook %s takes too long and is killed",
			  h->paths[rows[h->action].program]);
		h->is_killed = true;
		kill(-h->child.pid, SIGKILL); /* its group: what it started as well */
		kill(h->child.pid, SIGKILL);
	}
	bury(h);
}

uint64_t hooks_deadline_ns(const struct hooks *h)
{
	if (h->action == 0 || h->is_killed)
		return UINT64_MAX;
	return h->child.pid == 0 ? h->due_ns : h->kill_ns;
}

bool hooks_take_answer(struct hooks *h, uint64_t *ret_serial, uint32_t *ret_error)
{
	if (!h->answers)
		return false;
	h->answers = false;
	*ret_serial = h->answer_serial;
	*ret_error = h->answer_error;
	return true;
}

bool hooks_is_idle(const struct hooks *h)
{
	return h->action == 0 && !h->answers;
}

void hooks_stop(struct hooks *h)
{
	if (h->child.pid > 0)
		child_stop(&h->child, STOP_PATIENCE_S * SECOND_NS);
	h->action = 0;
}
