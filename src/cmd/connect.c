/* SPDX-License-Identifier: Apache-2.0 */
/* culvert connect: this host's traffic through a tunnel, and nothing beside it. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/json_write.h"
#include "client/choice.h"
#include "client/control.h"
#include "client/session.h"
#include "cmd/client_file.h"
#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/connect_line.h"
#include "cmd/connect_proxy.h"
#include "cmd/state_default.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/notify.h"
#include "sys/privileges.h"

enum {
	SPLIT_MAX = 256, /* prefixes on a command line */
	WAIT_S = 5,
	WAIT_MAX_S = 300,
	OPTION_ONLY_USER = 256,
	OPTION_ONLY_CGROUP,
	OPTION_LAN,
	OPTION_NO_KILL_SWITCH,
	OPTION_SERVICE,
	OPTION_JSON,
	OPTION_WAIT,
	OPTION_STATE,
	OPTION_INTERFACE,
	OPTION_SPLIT,
	OPTION_EXCLUDE,
	OPTION_ENDPOINT,
	OPTION_CARRIER,
	OPTION_PROXY,
	OPTION_KEY_FILE,
	OPTION_PROXY_USER,
	OPTION_DNS,
};

static const char usage[] =
	"Usage: culvert connect [option...] NAME|FILE|vpn://LINK\n"
	"       culvert connect [option...] --connect-proxy HOST:PORT\n"
	"\n"
	"  -f, --foreground     stay, with a line that shows how it goes; Ctrl-C disconnects\n"
	"  --split NET,...      only these networks through the tunnel, instead of AllowedIPs\n"
	"  --exclude NET,...    these networks beside the tunnel\n"
	"  --only-user NAME     only this user's packets\n"
	"  --only-cgroup PATH   only those of the processes in this cgroup, a path below /sys/fs/cgroup\n"
	"  --endpoint A,B,...   ways to the server, HOST:PORT each; the quickest to answer is used\n"
	"  --carrier A:PORT     where 'culvert carrier --mark 51820' of this host connects to; up to 4\n"
	"  --lan                the local network may be reached\n"
	"  --no-kill-switch     what the tunnel does not take may leave beside it\n"
	"  --wait SECONDS       for the server's first answer (default 5; 0: do not call it)\n"
	"  --interface IF       its name (default: NAME)\n"
	"  --connect-proxy HOST:PORT  through nothing but an HTTP proxy that knows CONNECT\n"
	"  --key-file FILE      its key (without: the variable VPN_API_KEY)\n"
	"  --proxy-user NAME    show name and key by Basic instead of Bearer\n"
	"  --dns A,...          resolvers behind the proxy (default 1.1.1.1,8.8.8.8,9.9.9.9)\n"
	"  --service            stay, and talk to the service manager\n"
	"  --json               say what came of it as JSON\n"
	"  --state DIR          where the journal lies (default: /var/lib/culvert)\n"
	"\n"
	"NAME is looked for in ~/.ephem-vpn, /etc/wireguard, /etc/amnezia/amneziawg and\n"
	"/etc/culvert/client. Where AllowedIPs has all of IPv4 or IPv6, nothing leaves but through\n"
	"the tunnel, of both families, until 'culvert disconnect NAME', even if this program is killed.\n"
	"Hooks of the file (PostUp and the like) are not run.\n";

/* Everything about one call. */
struct job {
	struct client_config config;
	struct client_file file;
	struct conf_file conf;
	struct connect_proxy proxy;
	struct client_session session;
	struct ip_prefix split[SPLIT_MAX];
	struct ip_prefix exclude[SPLIT_MAX];
	struct notify manager;
	struct connect_line line;
	char state[STATE_DEFAULT_MAX];
	const char *interface;
	uint64_t wait_s;
	int report_fd; /* the parent waits there for our exit code; -1: there is none */
	bool foreground;
	bool service;
	bool json;
};

static int complain(int code, const char *what, const char *word)
{
	fprintf(stderr, "culvert connect: %s%s\n", what, word);
	return code;
}

/* --- What came of it --- */

static const char *endpoint_text(const struct job *job, char out[ADDR_TEXT_MAX])
{
	return endpoint_format(&job->session.endpoints[job->session.main_peer], out);
}

static bool is_answered(const struct job *job)
{
	return job->session.handshake_ms != UINT32_MAX;
}

/* It was called in vain: the connection stands, and is none until somebody answers. */
static bool is_waiting(const struct job *job)
{
	return job->wait_s && !is_answered(job);
}

static const char *what_stays(const struct client_plan *p)
{
	if (!p->has_kill_switch)
		return "";
	return p->scope == CLIENT_FULL
		       ? "; nothing leaves until it does"
		       : "; what is for the tunnel does not leave until it does";
}

static void print_json(const struct job *job)
{
	struct text out = { .max = 65536 };
	char endpoint[ADDR_TEXT_MAX];

	text_puts(&out, "{");
	json_put_text(&out, "name", job->config.name);
	json_put_text(&out, "interface", job->config.interface);
	json_put_text(&out, "endpoint", endpoint_text(job, endpoint));
	json_put_bool(&out, "kill_switch", job->session.plan.has_kill_switch);
	json_put_bool(&out, "full_tunnel", job->session.plan.scope == CLIENT_FULL);
	json_put_bool(&out, "answered", is_answered(job));
	if (is_answered(job))
		json_put_number(&out, "handshake_ms", job->session.handshake_ms);
	text_puts(&out, "}\n");
	if (!out.err)
		fputs(out.data, stdout);
	text_done(&out);
}

/* Those of the file that were not taken. */
static void print_dns(const struct client_session *s)
{
	if (s->plan.scope != CLIENT_FULL && s->plan.scope != CLIENT_SPLIT)
		return; /* they have none */
	if (s->plan.n_dns && s->dns_holder[0])
		printf("Name servers stay those of the connection on %s.\n", s->dns_holder);
	else if (s->plan.n_dns_beside && !s->plan.n_dns)
		puts("Name servers stay as they are: those of the file are not inside the tunnel.");
}

static void print_people(const struct job *job)
{
	char endpoint[ADDR_TEXT_MAX];

	if (is_answered(job))
		puts("✓ VPN connected successfully!");
	else if (is_waiting(job))
		puts("VPN not connected yet: waiting for an answer.");
	printf("%s on %s to %s, ", job->config.name, job->config.interface,
	       endpoint_text(job, endpoint));
	if (is_answered(job))
		printf("which answered within %u ms\n", job->session.handshake_ms);
	else if (is_waiting(job))
		printf("which has not answered%s\n", what_stays(&job->session.plan));
	else
		puts("which was not called");
	print_dns(&job->session);
	if (job->session.plan.scope == CLIENT_FULL && !job->session.plan.has_kill_switch)
		puts("Without a kill switch: packets leave beside the tunnel when it ends.");
}

static int exit_code(int err)
{
	switch (err) {
	case ERR_FORMAT:
	case ERR_LIMIT:
	case -EKEYREJECTED:
	case -EPROTO:
		return EXIT_REFUSED;
	case -EPERM:
	case -EACCES:
		return EXIT_PRIVILEGE;
	default:
		return EXIT_FAILED;
	}
}

/* --- The process that stays --- */

static void report(struct job *job, int code)
{
	unsigned char byte = (unsigned char)code;

	if (job->report_fd < 0)
		return;
	fflush(stdout);
	while (write(job->report_fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(job->report_fd);
	job->report_fd = -1;
}

/* Nobody waits on our terminal any more. */
static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (!getenv("LOG_LEVEL"))
		dup2(null, STDERR_FILENO);
	close(null);
}

static void settle(struct job *job)
{
	int err;

	if (job->json)
		print_json(job);
	else
		print_people(job);
	fflush(stdout);
	job->session.control_fd = client_control_open(job->config.interface);
	if (job->session.control_fd < 0)
		log_warning("the control socket: %s", err_text(job->session.control_fd));
	err = client_session_give_up_rights();
	if (err < 0)
		log_warning("cannot give up rights: %s", err_text(err));
	if (chdir("/") < 0)
		log_warning("cannot leave the working directory: %s", err_text(-errno));
	if (job->report_fd >= 0) {
		report(job, is_waiting(job) ? EXIT_FAILED : EXIT_DONE);
		detach();
		job->session.is_detached = true;
	}
	notify_send(&job->manager, is_waiting(job) ? "READY=1\nSTATUS=Waiting for an answer"
						   : "READY=1\nSTATUS=Connected");
}

static void each_second(void *context)
{
	struct job *job = context;

	notify_send(&job->manager, "WATCHDOG=1");
	client_choice_tick(&job->session, clock_boot_ns());
	connect_line_show(&job->line, &job->session);
}

static void serve_caller(void *context)
{
	struct job *job = context;

	client_control_serve(job->session.control_fd, &job->session);
}

static int end(struct job *job)
{
	struct text said = { .max = 65536 };
	struct diag d = { 0 };
	int err;

	connect_line_end(&job->line);
	notify_send(&job->manager, "STOPPING=1");
	client_control_close(job->session.control_fd, job->config.interface);
	err = client_session_disconnect(&job->session, &said, &d);
	if (said.data && said.len)
		fputs(said.data, stderr);
	text_done(&said);
	if (err < 0)
		return complain(exit_code(err), d.text, "");
	if (job->foreground && !job->json)
		puts("✓ VPN disconnected successfully!");
	return EXIT_DONE;
}

/* What carries the packets from loopback on would be cut off by the kill switch. */
static void hint_at_carrier(const struct job *job)
{
	const struct client_session *s = &job->session;

	if (!job->config.proxy && s->plan.has_kill_switch && s->plan.scope == CLIENT_FULL &&
	    ip_addr_is_loopback(&s->endpoints[s->main_peer].ip) && !s->plan.n_carriers &&
	    !s->plan.n_excludes)
		fprintf(stderr,
			"culvert connect: the endpoint is on loopback: what carries the packets on "
			"can leave only with --carrier ADDRESS:PORT and 'culvert carrier --mark %u'\n",
			s->plan.mark);
}

static int serve(struct job *job)
{
	struct diag d = { 0 };
	int err = client_session_connect(&job->session, &job->config, &d);

	if (err < 0) {
		fprintf(stderr, "✗ Failed to connect: %s\n", d.text);
		report(job, exit_code(err));
		return exit_code(err);
	}
	hint_at_carrier(job);
	if (job->wait_s)
		err = client_choice_wait(&job->session, job->wait_s * UINT64_C(1000000000), &d);
	if (err < 0 && err != -ETIMEDOUT && err != -ECANCELED)
		log_warning("%s", d.text);
	if (err != -ECANCELED) {
		settle(job);
		connect_line_begin(&job->line, job->foreground && !job->json);
		client_session_keep(&job->session, each_second, serve_caller, job);
	}
	err = end(job);
	report(job, EXIT_FAILED); /* a signal came before it was ready */
	return err;
}

/* --- To the background --- */

static int wait_for_child(int fd, pid_t child)
{
	unsigned char code = EXIT_FAILED;
	int status = 0;
	ssize_t n = 0;

	do {
		n = read(fd, &code, 1);
	} while (n < 0 && errno == EINTR);
	close(fd);
	if (n == 1)
		return code;
	waitpid(child, &status, 0); /* it died without a word */
	return complain(EXIT_FAILED, "the process in the background ended before it was ready",
			"");
}

/* Return: -1 in the child; an exit code in the parent. */
static int go_to_background(struct job *job)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return complain(EXIT_FAILED, err_text(-errno), "");
	child = fork();
	if (child < 0)
		return complain(EXIT_FAILED, err_text(-errno), "");
	if (child > 0) {
		close(ends[1]);
		return wait_for_child(ends[0], child);
	}
	setsid();
	/* What the caller has open, such as a lock of a script, is not for a long life. */
	job->report_fd = dup3(ends[1], STDERR_FILENO + 1, O_CLOEXEC);
	if (job->report_fd < 0)
		job->report_fd = ends[1];
	syscall(SYS_close_range, (unsigned int)job->report_fd + 1, ~0U, 0U);
	return -1;
}

/* --- The command line --- */

/* Networks behind each other with commas, added to those before. */
static int read_networks(const char *option, const char *text, struct ip_prefix *list,
			 size_t *n)
{
	while (*text) {
		size_t len = strcspn(text, ",");
		char word[ADDR_TEXT_MAX];

		if (*n == SPLIT_MAX)
			return complain(EXIT_USAGE, "too many networks for ", option);
		if (len >= sizeof(word))
			return complain(EXIT_USAGE, "not a network: ", text);
		memcpy(word, text, len);
		word[len] = '\0';
		if (ip_prefix_parse(word, false, &list[*n]) < 0)
			return complain(EXIT_USAGE, "not a network: ", word);
		(*n)++;
		text += len + (text[len] == ',');
	}
	return EXIT_DONE;
}

/* Where names are asked for goes through the tunnel, which is not there without it. */
static int read_carrier(struct client_options *o, const char *text)
{
	struct endpoint at = { 0 };

	if (endpoint_parse(text, &at) != 0 || at.port == 0)
		return complain(EXIT_USAGE, "--carrier takes ADDRESS:PORT, not ", text);
	if (o->n_carriers == CLIENT_CARRIERS_MAX)
		return complain(EXIT_USAGE, "more than 4 times --carrier", "");
	o->carriers[o->n_carriers++] = at;
	return EXIT_DONE;
}

static int read_user(struct client_options *o, const char *text)
{
	const struct passwd *user = getpwnam(text);
	uint64_t id = 0;

	if (!user && decimal_parse(text, strlen(text), UINT32_MAX - 1, &id) < 0)
		return complain(EXIT_USAGE, "no such user: ", text);
	o->uid = user ? user->pw_uid : (uint32_t)id;
	o->has_uid = true;
	return EXIT_DONE;
}

static int read_cgroup(struct client_options *o, const char *text)
{
	char path[PATH_MAX];
	struct stat st;

	o->cgroup = text + strspn(text, "/");
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", o->cgroup);
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return complain(EXIT_USAGE, "no such cgroup: ", text);
	return EXIT_DONE;
}

static int read_wait(struct job *job, const char *text)
{
	if (decimal_parse(text, strlen(text), WAIT_MAX_S, &job->wait_s) < 0)
		return complain(EXIT_USAGE, "--wait takes 0 to 300 seconds, not ", text);
	return EXIT_DONE;
}

static int read_option(struct job *job, int option)
{
	struct client_options *o = &job->config.options;

	switch (option) {
	case 'f':
		job->foreground = true;
		return EXIT_DONE;
	case OPTION_SPLIT:
		return read_networks("--split", optarg, job->split, &o->n_split);
	case OPTION_EXCLUDE:
		return read_networks("--exclude", optarg, job->exclude, &o->n_exclude);
	case OPTION_ONLY_USER:
		return read_user(o, optarg);
	case OPTION_ONLY_CGROUP:
		return read_cgroup(o, optarg);
	case OPTION_ENDPOINT:
		job->config.ways = optarg;
		return EXIT_DONE;
	case OPTION_CARRIER:
		return read_carrier(o, optarg);
	case OPTION_LAN:
		o->lan = true;
		return EXIT_DONE;
	case OPTION_NO_KILL_SWITCH:
		o->no_kill_switch = true;
		return EXIT_DONE;
	case OPTION_SERVICE:
		job->service = true;
		return EXIT_DONE;
	case OPTION_JSON:
		job->json = true;
		return EXIT_DONE;
	case OPTION_WAIT:
		return read_wait(job, optarg);
	case OPTION_STATE:
		job->config.state = optarg;
		return EXIT_DONE;
	case OPTION_INTERFACE:
		job->interface = optarg;
		return EXIT_DONE;
	case OPTION_PROXY:
		job->proxy.target = optarg;
		return EXIT_DONE;
	case OPTION_KEY_FILE:
		job->proxy.key_file = optarg;
		return EXIT_DONE;
	case OPTION_PROXY_USER:
		job->proxy.user = optarg;
		return EXIT_DONE;
	case OPTION_DNS:
		job->proxy.dns = optarg;
		return EXIT_DONE;
	default:
		fputs("Try 'culvert connect --help'.\n", stderr);
		return EXIT_USAGE;
	}
}

/* Return: an exit code, or -1 to go on. */
static int read_arguments(struct job *job, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "split", required_argument, NULL, OPTION_SPLIT },
		{ "exclude", required_argument, NULL, OPTION_EXCLUDE },
		{ "only-user", required_argument, NULL, OPTION_ONLY_USER },
		{ "only-cgroup", required_argument, NULL, OPTION_ONLY_CGROUP },
		{ "endpoint", required_argument, NULL, OPTION_ENDPOINT },
		{ "carrier", required_argument, NULL, OPTION_CARRIER },
		{ "lan", no_argument, NULL, OPTION_LAN },
		{ "no-kill-switch", no_argument, NULL, OPTION_NO_KILL_SWITCH },
		{ "service", no_argument, NULL, OPTION_SERVICE },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "wait", required_argument, NULL, OPTION_WAIT },
		{ "state", required_argument, NULL, OPTION_STATE },
		{ "interface", required_argument, NULL, OPTION_INTERFACE },
		{ "connect-proxy", required_argument, NULL, OPTION_PROXY },
		{ "key-file", required_argument, NULL, OPTION_KEY_FILE },
		{ "proxy-user", required_argument, NULL, OPTION_PROXY_USER },
		{ "dns", required_argument, NULL, OPTION_DNS },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "fh", options, NULL)) != -1) {
		int code;

		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		code = read_option(job, option);
		if (code != EXIT_DONE)
			return code;
	}
	if (!job->proxy.target && (job->proxy.key_file || job->proxy.user || job->proxy.dns))
		return complain(EXIT_USAGE,
				"--key-file, --proxy-user and --dns go with --connect-proxy",
				"");
	if (optind + !job->proxy.target != argc)
		return complain(EXIT_USAGE,
				job->proxy.target ? "a proxy has no file: "
						  : "name one connection; see --help",
				job->proxy.target ? argv[optind] : "");
	return -1;
}

static void warn_of_hooks(const struct wgconf *c)
{
	for (size_t i = 0; i < c->n_lines; i++) {
		const enum wgconf_key key = c->lines[i].key;

		if (key == WGCONF_PRE_UP || key == WGCONF_POST_UP || key == WGCONF_PRE_DOWN ||
		    key == WGCONF_POST_DOWN)
			fprintf(stderr, "culvert connect: line %zu: %s is not run\n", i + 1,
				wgconf_line_key(&c->lines[i]));
	}
}

static int read_file(struct job *job, const char *word)
{
	struct diag d = { 0 };
	int code;

	if (client_file_find(&job->file, word, &d) < 0) {
		fprintf(stderr, "✗ Failed to connect: %s\n", d.text);
		return EXIT_FAILED;
	}
	if (faccessat(AT_FDCWD, job->file.path, R_OK, AT_EACCESS) < 0 && errno == EACCES)
		return complain(EXIT_PRIVILEGE, "no permission to read ", job->file.path);
	code = conf_file_open(&job->conf, job->file.path);
	if (code != EXIT_DONE) {
		conf_file_complain(&job->conf, "culvert connect");
		return code;
	}
	warn_of_hooks(&job->conf.conf);
	job->config.conf = &job->conf.conf;
	job->config.name = job->file.name;
	job->config.interface = job->interface ? job->interface : job->file.interface;
	job->config.options.split = job->split;
	job->config.options.exclude = job->exclude;
	return EXIT_DONE;
}

static int read_proxy(struct job *job)
{
	job->config.interface = job->interface ? job->interface : "tun0";
	job->config.options.split = job->split;
	job->config.options.exclude = job->exclude;
	return connect_proxy_make(&job->proxy, &job->config);
}

static int run(struct job *job, const char *word)
{
	int code = word ? read_file(job, word) : read_proxy(job);

	if (code != EXIT_DONE)
		return code;
	if (geteuid() != 0)
		return complain(EXIT_PRIVILEGE, "only root can change routes and rules", "");
	log_init("connect", LOG_LEVEL_WARNING, false);
	if (!job->foreground && !job->service) {
		code = go_to_background(job);
		if (code >= 0)
			return code;
	}
	if (job->service && notify_open(&job->manager) < 0)
		log_warning("NOTIFY_SOCKET is not an address; the service manager is not told");
	code = serve(job);
	client_session_done(&job->session);
	notify_close(&job->manager);
	return code;
}

int cmd_connect(int argc, char **argv)
{
	struct job *job = calloc(1, sizeof(*job));
	int code;

	if (!job)
		return complain(EXIT_FAILED, err_text(-ENOMEM), "");
	job->report_fd = -1;
	job->session.control_fd = -1;
	job->wait_s = WAIT_S;
	job->config.state = state_default(0, job->state);
	job->session.journal = (struct undo_journal){ .dir_fd = -1, .lock_fd = -1 };
	code = read_arguments(job, argc, argv);
	if (code < 0)
		code = run(job, job->proxy.target ? NULL : argv[optind]);
	conf_file_done(&job->conf);
	connect_proxy_done(&job->proxy);
	free(job);
	return code;
}
