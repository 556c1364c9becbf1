/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/proxy_process.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/json_write.h"
#include "cmd/command.h"
#include "cmd/proxy_status.h"
#include "proxy/keys_file.h"
#include "proxy/listeners.h"
#include "proxy/pipes.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/notify.h"
#include "sys/privileges.h"

enum {
	DESCRIPTORS_PER_TUNNEL = 2,
	DESCRIPTORS_BESIDE = 128 + 2 * PIPES_OPEN_MAX,
	TUNNELS_LEAST = 16,
	READ_PATHS_MAX = 8,
};

/* Everything there is. Descriptors are -1 when they are not open. */
struct process {
	struct proxy_options *options;
	struct proxy_keys *keys;
	struct policy *policy;
	struct server *server;
	struct notify manager;
	int listeners[SERVER_LISTENERS_MAX];
	size_t n_listeners;
	int signals;
	int status;
	int changes; /* of the directory that the keys are in */
	bool is_over;
};

/* --- Before rights are given up --- */

/* As many as there may be tunnels, or as many tunnels as there may be descriptors. */
static void fit_descriptors(struct server_config *c)
{
	rlim_t beside = DESCRIPTORS_BESIDE * (rlim_t)c->workers;
	rlim_t wanted = (rlim_t)c->tunnels * DESCRIPTORS_PER_TUNNEL + beside;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted)
		return;
	c->tunnels = limit.rlim_cur > beside + TUNNELS_LEAST * DESCRIPTORS_PER_TUNNEL
			     ? (uint32_t)((limit.rlim_cur - beside) / DESCRIPTORS_PER_TUNNEL)
			     : TUNNELS_LEAST;
	log_info("at most %u tunnels at a time: so many descriptors are allowed (ulimit -n)",
		 c->tunnels);
}

static int open_signals(int *ret)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	signal(SIGPIPE, SIG_IGN); /* of splice(), which takes no MSG_NOSIGNAL */
	sigprocmask(SIG_BLOCK, &set, NULL);
	*ret = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret < 0 ? -errno : 0;
}

static int open_outside(struct process *p, struct diag *d)
{
	const struct proxy_options *o = p->options;
	int err = open_signals(&p->signals);

	for (size_t i = 0; i < o->n_at && err == 0; i++) {
		int fd = listeners_open(&o->at[i], d);

		if (fd < 0)
			err = fd;
		else
			p->listeners[p->n_listeners++] = fd;
	}
	if (err == 0 && o->status) {
		p->status = proxy_status_open(o->status, d);
		err = p->status < 0 ? p->status : 0;
	}
	if (notify_open(&p->manager) < 0)
		log_warning("NOTIFY_SOCKET: the service manager is not told");
	return err;
}

/* --- Giving up rights --- */

static int become_nobody(struct diag *d)
{
	uid_t uid;
	gid_t gid;
	int err = 0;

	if (geteuid() == 0) {
		err = privileges_unprivileged_ids(&uid, &gid);
		if (err >= 0) /* which of the two it is does not matter */
			err = privileges_become(uid, gid, false);
	}
	if (err == 0)
		err = privileges_no_dump();
	if (err == 0)
		err = privileges_keep_caps(NULL, 0);
	return err == 0 ? 0
			: diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err));
}

static bool directory_of(const char *path, char out[PATH_MAX])
{
	char *slash;

	snprintf(out, PATH_MAX, "%s", path);
	slash = strrchr(out, '/');
	if (!slash)
		snprintf(out, PATH_MAX, ".");
	else
		slash[slash == out] = '\0';
	return true;
}

/* What the system's resolver reads, and where the keys are. */
static int close_the_doors(const struct process *p, struct diag *d)
{
	const char *paths[READ_PATHS_MAX] = { "/etc", "/run/systemd/resolve", "/run/resolvconf",
					      "/run/NetworkManager" };
	char directory[PATH_MAX];
	size_t n = 4;
	int err = 0;

	if (p->options->keys && directory_of(p->options->keys, directory))
		paths[n++] = directory;
	if (!privileges_is_sanitized()) /* its runtime reads /proc at the end */
		err = privileges_landlock_reading(NULL, 0, paths, n);
	if (err == 0 || err == -ENOTSUP)
		err = privileges_seccomp(PRIVILEGES_PROXY);
	return err == 0
		       ? 0
		       : diag_set(d, err, 0, "the sandbox cannot be closed: %s", err_text(err));
}

/* The C library reads its own settings now, and loads what it needs for names in files. */
static void warm_resolver(void)
{
	struct addrinfo *list = NULL;

	if (getaddrinfo("localhost", NULL, NULL, &list) == 0)
		freeaddrinfo(list);
}

/* --- Keys --- */

static int read_keys(struct process *p, struct diag *d)
{
	const char *path = p->options->keys;
	char *text;
	size_t len = 0;
	int err;

	if (!path)
		return 0;
	text = malloc(KEYS_FILE_MAX);
	if (!text)
		return -ENOMEM;
	err = file_read_ours(AT_FDCWD, path, text, KEYS_FILE_MAX, &len);
	if (err == -EPERM)
		diag_set(d, err, 0,
			 "%.120s: somebody else could write it: it has to belong to root or to "
			 "who runs this, and to be written by nobody else",
			 path);
	else if (err == -EACCES)
		diag_set(d, err, 0,
			 "%.120s: user %u, who serves, has to be able to read it: give it that "
			 "user's group and mode 0640",
			 path, (unsigned int)geteuid());
	else if (err < 0)
		diag_set(d, err, 0, "%.120s: %s", path, err_text(err));
	if (err == 0) {
		struct diag why = { .text = "" };

		err = keys_file_check(text, len, &why) < 0 ? ERR_FORMAT : 0;
		if (err < 0)
			diag_set(d, err, why.line, "%.80s line %u: %s", path, why.line,
				 why.text);
	}
	if (err == 0)
		err = keys_file_apply(text, len, p->keys);
	free(text);
	if (err == -ENOENT && p->options->watches_keys) {
		d->text[0] = '\0';
		return 0; /* it is going to be */
	}
	return err;
}

static int watch_keys(struct process *p, struct diag *d)
{
	char directory[PATH_MAX];
	int err = 0;

	if (!p->options->watches_keys)
		return 0;
	directory_of(p->options->keys, directory);
	p->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (p->changes < 0 ||
	    inotify_add_watch(p->changes, directory, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
		err = -errno;
	return err == 0 ? 0
			: diag_set(d, err, 0, "%.120s cannot be watched: %s", directory,
				   err_text(err));
}

static void reread_keys(struct process *p)
{
	struct diag d = { .text = "" };
	int err = read_keys(p, &d);

	if (err < 0) {
		log_error("keys stay as they were: %s", d.text[0] ? d.text : err_text(err));
		return;
	}
	server_keys_changed(p->server);
	log_info("%zu keys", proxy_keys_count(p->keys));
}

/* --- Serving --- */

static void write_metrics(const struct process *p, struct text *out)
{
	uint64_t n[PROXY_COUNTS];

	server_counts(p->server, n);
	counters_write(n, proxy_keys_count(p->keys), out);
}

static void log_counts(const struct process *p)
{
	uint64_t n[PROXY_COUNTS];

	server_counts(p->server, n);
	log_info("%" PRIu64 " tunnels, %" PRIu64 " since the start; refused: %" PRIu64
		 " without a key, %" PRIu64 " by address, %" PRIu64
		 " wrong; not reached: %" PRIu64 "; octets from clients %" PRIu64
		 ", to clients %" PRIu64,
		 n[PROXY_TUNNELS] - n[PROXY_CLOSED], n[PROXY_TUNNELS], n[PROXY_NO_KEY],
		 n[PROXY_DENIED], n[PROXY_BAD_REQUEST] + n[PROXY_BAD_METHOD],
		 n[PROXY_UNREACHED] + n[PROXY_TIMED_OUT], n[PROXY_BYTES_UP],
		 n[PROXY_BYTES_DOWN]);
}

static void heed_signals(struct process *p)
{
	struct signalfd_siginfo info;

	while (read(p->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reread_keys(p);
		else if (info.ssi_signo == SIGUSR1)
			log_counts(p);
		else
			p->is_over = true;
	}
}

static void heed_changes(struct process *p)
{
	char events[4096];

	while (read(p->changes, events, sizeof(events)) > 0)
		; /* of whichever file: what counts is what ours has now */
	reread_keys(p);
}

static void answer_status(const struct process *p)
{
	struct text body = { .len = 0 };

	write_metrics(p, &body);
	proxy_status_answer(p->status, &body);
	text_done(&body);
}

static void serve(struct process *p)
{
	while (!p->is_over) {
		struct pollfd fds[] = { { .fd = p->signals, .events = POLLIN },
					{ .fd = p->status, .events = POLLIN },
					{ .fd = policy_fd(p->policy), .events = POLLIN },
					{ .fd = p->changes, .events = POLLIN } };

		(void)poll(fds, 4, POLICY_REFRESH_S * 1000);
		if (fds[0].revents)
			heed_signals(p);
		if (fds[1].revents)
			answer_status(p);
		if (fds[3].revents)
			heed_changes(p);
		if (policy_refresh(p->policy) < 0)
			log_warning("this host's addresses cannot be read");
	}
	notify_send(&p->manager, "STOPPING=1");
	log_counts(p);
}

static void say_listeners(const struct process *p, struct text *out)
{
	for (size_t i = 0; i < p->n_listeners; i++) {
		struct endpoint at;
		char text[ADDR_TEXT_MAX];

		if (listeners_address(p->listeners[i], &at) < 0)
			continue;
		endpoint_format(&at, text);
		if (p->options->says_json) {
			json_put_next(out);
			json_put_string(out, text, strlen(text));
		} else {
			text_printf(out, "%s%s", i ? ", " : "", text);
		}
	}
}

static void say_ready(const struct process *p)
{
	struct text line = { .len = 0 };
	size_t keys = proxy_keys_count(p->keys);

	if (p->options->says_json) {
		text_puts(&line, "{\"ready\":true,\"listen\":[");
		say_listeners(p, &line);
		text_puts(&line, "]");
		json_put_number(&line, "keys", keys);
		json_put_bool(&line, "open", p->options->server.is_open);
		text_puts(&line, "}");
	} else {
		text_puts(&line, "proxy ready: ");
		say_listeners(p, &line);
		if (p->options->server.is_open)
			text_puts(&line, ", open to everybody");
		else
			text_printf(&line, ", %zu keys", keys);
	}
	if (line.data)
		puts(line.data);
	fflush(stdout);
	text_done(&line);
	if (privileges_gaps()[0])
		log_warning("not enforced here: %s", privileges_gaps());
	if (p->options->server.is_open)
		log_warning("whoever reaches this proxy may use it: no key is asked for");
	notify_send(&p->manager, "READY=1");
}

static int open_inside(struct process *p, struct diag *d)
{
	int err = proxy_keys_new(&p->keys);

	if (err == 0)
		err = watch_keys(p, d);
	if (err == 0)
		err = read_keys(p, d);
	if (err == 0)
		err = policy_new(p->options->allowed, p->options->n_allowed, &p->policy);
	if (err == 0)
		err = policy_refresh(p->policy);
	warm_resolver();
	if (err == 0)
		err = close_the_doors(p, d);
	return err == 0 ? server_new(&p->options->server, p->listeners, p->n_listeners, p->keys,
				     p->policy, &p->server, d)
			: err;
}

static void close_all(struct process *p)
{
	server_free(p->server);
	policy_free(p->policy);
	proxy_keys_free(p->keys);
	for (size_t i = 0; i < p->n_listeners; i++)
		close(p->listeners[i]);
	if (p->status >= 0)
		close(p->status);
	if (p->signals >= 0)
		close(p->signals);
	if (p->changes >= 0)
		close(p->changes);
	notify_close(&p->manager);
}

static int exit_code(int err)
{
	if (err == ERR_FORMAT || err == -ENOENT)
		return EXIT_REFUSED;
	return err == -EPERM || err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED;
}

int proxy_process_run(struct proxy_options *o, struct diag *d)
{
	struct process p = { .options = o, .signals = -1, .status = -1, .changes = -1 };
	int err;

	fit_descriptors(&o->server);
	err = open_outside(&p, d);
	if (err == 0)
		err = become_nobody(d);
	if (err == 0)
		err = open_inside(&p, d);
	if (err == 0) {
		say_ready(&p);
		serve(&p);
	} else if (!d->text[0]) {
		diag_set(d, err, 0, "%s", err_text(err));
	}
	close_all(&p);
	return err == 0 ? EXIT_DONE : exit_code(err);
}
