/* SPDX-License-Identifier: Apache-2.0 */
/* culvert device: one tunnel interface, driven by wg and wg-quick. */
#include "device/device.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <getopt.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/err.h"
#include "cmd/command.h"
#include "cmd/device_environment.h"
#include "cmd/device_report.h"
#include "cmd/device_usernet.h"
#include "sys/log.h"
#include "sys/notify.h"

enum {
	MEMORY_DEFAULT_MB = 32,
	MEMORY_USERNET_MB = 128,
	MEMORY_MIN_MB = 4,
	MEMORY_MAX_MB = 65536,
};

static const char usage[] =
	"Usage: culvert device [-f] [--workers N] [--memory MB] [--take-over] INTERFACE\n"
	"       culvert device --usernet[=TIER] [--address A/N,...] [option...] NAME\n"
	"\n"
	"Creates a WireGuard tunnel INTERFACE and serves it. Configure it with wg(8) or\n"
	"wg-quick(8). Without -f it goes to the background once interface and control socket exist.\n"
	"\n"
	"  -f, --foreground  stay in the foreground\n"
	"  --workers N       data threads (default: one on up to two processors, then all but one, at most 8)\n"
	"  --memory MB       for buffers and waiting packets (default 32, at least 4)\n"
	"  --take-over       continue what another process serves, without losing the interface\n"
	"  --version         print the version\n"
	"\n"
	"  --usernet[=TIER]  no interface, no privilege: peers reach the world through sockets of this process;\n"
	"                    tier-a: with the kernel's TCP, in a namespace; tier-b: with our own; auto: what this\n"
	"                    host allows\n"
	"  --address A/N,... our own addresses inside the tunnel; they answer to ping and DNS\n"
	"  --dns A,...       resolvers behind them (default: those of /etc/resolv.conf)\n"
	"  --allow NET,...   private networks that peers may reach (default: none)\n"
	"  --mtu N           of the tunnel (default 1420)\n"
	"  --flows N         connections at a time (default 65536)\n"
	"  --forward [tcp:|udp:]PORT=ADDRESS:PORT,...  ports of this host that lead to peers\n"
	"  --serve [tcp:|udp:]PORT=ADDRESS:PORT,...  ports of our own address that lead to services of this host\n"
	"  --isolate         peers do not reach each other\n"
	"\n"
	"Environment: WG_PROCESS_FOREGROUND=1 (as -f), WG_TUN_FD and WG_UAPI_FD (descriptors opened by\n"
	"the caller), LOG_LEVEL=silent|error|warning|info|debug (or verbose). With --usernet also a whole tunnel\n"
	"(WG_PRIVATE_KEY, WG_PEERS, ...) and METRICS_LOG, WG_PCAP, HEALTHCHECK: culvert-device(8).\n";

struct settings {
	struct device_options device;
	struct usernet_options usernet;
	bool foreground;
	bool is_usernet;
	bool has_usernet_option;
	bool is_told; /* all of it, by the environment */
	struct uapi_set told;
};

enum { OPTION_USERNET = 256 }; /* and, behind it, enum device_usernet_option */

static int complain(int code, const char *text)
{
	fprintf(stderr, "culvert device: %s\n", text);
	return code;
}

static int read_number(const char *what, const char *text, uint64_t min, uint64_t max,
		       uint64_t *ret)
{
	if (decimal_parse(text, strlen(text), max, ret) < 0 || *ret < min) {
		fprintf(stderr,
			"culvert device: %s takes a number from %llu to %llu, not \"%s\"\n",
			what, (unsigned long long)min, (unsigned long long)max, text);
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int read_descriptor(const char *variable, int *ret)
{
	const char *text = getenv(variable);
	uint64_t fd = 0;

	*ret = -1;
	if (!text)
		return EXIT_DONE;
	if (read_number(variable, text, 0, 1 << 20, &fd))
		return EXIT_USAGE;
	if (fcntl((int)fd, F_GETFD) < 0) {
		fprintf(stderr, "culvert device: %s=%s is not an open descriptor\n", variable,
			text);
		return EXIT_USAGE;
	}
	*ret = (int)fd;
	return EXIT_DONE;
}

static enum log_level level_from_environment(bool foreground, bool is_usernet)
{
	const char *text = getenv("LOG_LEVEL");
	enum log_level level;

	if (!text && is_usernet &&
	    (device_environment_truth("DEBUG") || device_environment_truth("WG_DEBUG")))
		return LOG_LEVEL_DEBUG;
	if (!text)
		return foreground ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR;
	if (strcmp(text, "verbose") == 0)
		return LOG_LEVEL_DEBUG;
	return log_level_find(text, &level) ? level : LOG_LEVEL_ERROR;
}

static int read_option(int option, struct settings *s)
{
	uint64_t n = 0;

	if (option > OPTION_USERNET) {
		s->has_usernet_option = true;
		return device_usernet_read(
			&s->usernet, (enum device_usernet_option)(option - OPTION_USERNET - 1),
			optarg);
	}

	switch (option) {
	case 'f':
		s->foreground = true;
		return EXIT_DONE;
	case 't':
		s->device.takes_over = true;
		return EXIT_DONE;
	case OPTION_USERNET:
		s->is_usernet = true;
		return optarg ? device_usernet_read(&s->usernet, DEVICE_USERNET_TIER, optarg)
			      : EXIT_DONE;
	case 'w':
		if (read_number("--workers", optarg, 1, DEVICE_WORKERS_MAX, &n))
			return EXIT_USAGE;
		s->device.workers = (unsigned int)n;
		return EXIT_DONE;
	case 'm':
		if (read_number("--memory", optarg, MEMORY_MIN_MB, MEMORY_MAX_MB, &n))
			return EXIT_USAGE;
		s->device.memory_bytes = n << 20;
		return EXIT_DONE;
	default:
		fputs("Try 'culvert device --help'.\n", stderr);
		return EXIT_USAGE;
	}
}

/* Return: an exit code, or -1 to go on. */
static int settle_usernet(struct settings *s)
{
	if (s->device.memory_bytes == 0)
		s->device.memory_bytes =
			(size_t)(s->is_usernet ? MEMORY_USERNET_MB : MEMORY_DEFAULT_MB) << 20;
	if (!s->is_usernet)
		return s->has_usernet_option
			       ? complain(
					 EXIT_USAGE,
					 "--address, --dns, --allow, --mtu, --flows, --forward, --serve and --isolate go with --usernet")
			       : -1;
	if (s->device.takes_over || s->device.tun_fd >= 0 || s->device.workers > 1)
		return complain(
			EXIT_USAGE,
			"--usernet goes without --take-over, WG_TUN_FD and further --workers");
	s->usernet.memory_bytes = s->device.memory_bytes;
	s->device.usernet = &s->usernet;
	return -1;
}

/* Return: an exit code, or -1 to go on. */
static int read_arguments(int argc, char **argv, struct settings *s)
{
	static const struct option options[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "workers", required_argument, NULL, 'w' },
		{ "memory", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ "take-over", no_argument, NULL, 't' },
		{ "version", no_argument, NULL, 'V' },
		{ "usernet", optional_argument, NULL, OPTION_USERNET },
		{ "address", required_argument, NULL,
		  OPTION_USERNET + 1 + DEVICE_USERNET_ADDRESS },
		{ "dns", required_argument, NULL, OPTION_USERNET + 1 + DEVICE_USERNET_DNS },
		{ "allow", required_argument, NULL, OPTION_USERNET + 1 + DEVICE_USERNET_ALLOW },
		{ "mtu", required_argument, NULL, OPTION_USERNET + 1 + DEVICE_USERNET_MTU },
		{ "flows", required_argument, NULL, OPTION_USERNET + 1 + DEVICE_USERNET_FLOWS },
		{ "forward", required_argument, NULL,
		  OPTION_USERNET + 1 + DEVICE_USERNET_FORWARD },
		{ "serve", required_argument, NULL, OPTION_USERNET + 1 + DEVICE_USERNET_SERVE },
		{ "isolate", no_argument, NULL, OPTION_USERNET + 1 + DEVICE_USERNET_ISOLATE },
		{ NULL, 0, NULL, 0 },
	};
	const char *foreground = getenv("WG_PROCESS_FOREGROUND");
	int option = 0;

	s->foreground = foreground && strcmp(foreground, "1") == 0;
	device_usernet_init(&s->usernet);
	while ((option = getopt_long(argc, argv, "fh", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == 'V') {
			puts("culvert " CULVERT_VERSION);
			return EXIT_DONE;
		}
		if (read_option(option, s))
			return EXIT_USAGE;
	}
	if (optind + 1 != argc)
		return complain(EXIT_USAGE,
				"name exactly one interface; try 'culvert device --help'");
	s->device.name = argv[optind];
	if (!s->device.name[0] || strlen(s->device.name) > 15 || strchr(s->device.name, '/'))
		return complain(EXIT_USAGE,
				"an interface name has 1 to 15 characters and no '/'");
	if (read_descriptor("WG_TUN_FD", &s->device.tun_fd) ||
	    read_descriptor("WG_UAPI_FD", &s->device.uapi_fd))
		return EXIT_USAGE;
	return settle_usernet(s);
}

/* What the caller has open besides is not for us: a lock that a script holds around wg-quick
 * would otherwise be held for as long as the tunnel lives. Linux before 5.9 refuses. */
static void close_others(int tun_fd, int uapi_fd)
{
	const int low = tun_fd < uapi_fd ? tun_fd : uapi_fd;
	const int high = tun_fd < uapi_fd ? uapi_fd : tun_fd;
	const int kept[] = { low, high, INT_MAX };
	int at = STDERR_FILENO + 1;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (kept[i] > at)
			syscall(SYS_close_range, at, kept[i] - 1, 0);
		if (kept[i] >= at && kept[i] < INT_MAX)
			at = kept[i] + 1;
	}
}

/* --- To the background --- */

/* In the parent: wait for the child's word. Its complaint has gone to our standard error. */
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
	return complain(EXIT_FAILED, "the background process ended before it was ready");
}

/* Return: -1 in the child with *@ret_fd to report on; an exit code in the parent. */
static int go_to_background(int *ret_fd)
{
	int pipe_fds[2];
	pid_t child = 0;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return complain(EXIT_FAILED, err_text(-errno));
	child = fork();
	if (child < 0)
		return complain(EXIT_FAILED, err_text(-errno));
	if (child > 0) {
		close(pipe_fds[1]);
		return wait_for_child(pipe_fds[0], child);
	}
	close(pipe_fds[0]);
	setsid();
	*ret_fd = pipe_fds[1];
	return -1;
}

/* Ready: nobody waits on our terminal any more. @null: /dev/null, open, or -1. */
static void detach(int null)
{
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (!getenv("LOG_LEVEL"))
		dup2(null, STDERR_FILENO);
	close(null);
}

static void report(int fd, int code)
{
	unsigned char byte = (unsigned char)code;

	if (fd < 0)
		return;
	while (write(fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(fd);
}

/* Whoever waits for us to go to the background waits for that, and hears nothing else. */
static void open_manager(const struct settings *s, struct notify *manager)
{
	int err = s->foreground ? notify_open(manager) : 0;

	if (err < 0)
		log_warning("NOTIFY_SOCKET: %s; the service manager is not told",
			    err_text(err));
}

static int run(struct device *dev, struct notify *manager, struct diag *d)
{
	int err;

	notify_send(manager, "READY=1\nSTATUS=The tunnel can be configured");
	err = device_run(dev, d);
	notify_send(manager, "STOPPING=1");
	notify_close(manager);
	if (err < 0)
		log_error("%s", d->text[0] ? d->text : err_text(err));
	return err;
}

/* What the environment says of a usernet. Return: an exit code, EXIT_DONE to go on. */
static int read_environment(struct settings *s)
{
	int code;

	if (!s->is_usernet)
		return EXIT_DONE;
	code = device_environment_read(&s->told, &s->usernet, &s->is_told);
	if (code != EXIT_DONE)
		return code;
	s->device.goes_without_socket = s->is_told;
	device_usernet_finish(&s->usernet);
	return device_report_read(&s->usernet, &s->device.reporter);
}

/* From nothing to a tunnel that runs. Return: 0 or -errno. */
static int begin(struct settings *s, struct device **ret, struct diag *d)
{
	int err = device_open(&s->device, ret, d);

	if (err == 0 && chdir("/") < 0)
		log_warning("cannot leave the working directory: %s", err_text(-errno));
	if (err == 0)
		err = device_start(*ret, d);
	if (err == 0 && s->is_told)
		err = device_configure(*ret, &s->told, d);
	return err;
}

static int exit_code(int err)
{
	return err == -EPERM || err == -EACCES || err == -ENOENT || err == -ENODEV
		       ? EXIT_PRIVILEGE
		       : EXIT_FAILED;
}

int cmd_device(int argc, char **argv)
{
	struct settings s = { 0 };
	struct notify manager = { .len = 0 };
	struct device *dev = NULL;
	struct diag d = { 0 };
	char log_name[32];
	int report_fd = -1, null = -1, err = 0, code = read_arguments(argc, argv, &s);

	if (code >= 0)
		return code;
	close_others(s.device.tun_fd, s.device.uapi_fd);
	snprintf(log_name, sizeof(log_name), "device %s", s.device.name);
	log_init(log_name, level_from_environment(s.foreground, s.is_usernet), false);
	if (!s.foreground) {
		code = go_to_background(&report_fd);
		if (code >= 0)
			return code;
	}
	open_manager(&s, &manager);
	null = s.foreground ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
	code = read_environment(&s);
	if (code != EXIT_DONE) {
		uapi_set_done(&s.told);
		report(report_fd, code);
		return code;
	}
	err = begin(&s, &dev, &d);
	uapi_set_done(&s.told);
	if (err < 0) {
		complain(0, d.text);
		device_free(dev);
		report(report_fd, exit_code(err));
		return exit_code(err);
	}
	detach(null);
	report(report_fd, EXIT_DONE);
	err = run(dev, &manager, &d);
	device_free(dev);
	return err < 0 ? exit_code(err) : EXIT_DONE;
}
