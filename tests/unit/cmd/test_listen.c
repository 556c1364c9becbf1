/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "cmd/listen.h"

static char directory[] = "/tmp/culvert-listen-XXXXXX";
static char path[64];

/* The places that a command line with these options means. */
static int read_places(const char *const *arguments, struct serving *ret, struct diag *d)
{
	static const struct option_row rows[] = {
		{ "listen", "URL", "http://127.0.0.1:8000", NULL, "help", NULL },
		SERVING_ROWS,
	};
	struct options o = { .command = "gateway",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	char *argv[16] = { (char *)(uintptr_t) "culvert" };
	int argc = 1, err;

	for (; arguments[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
	err = options_read_arguments(&o, argc, argv, d);
	if (err == 0)
		err = serving_read(&o, ret, d);
	options_done(&o);
	return err;
}

static int read_listen(const char *url, struct serving *ret, struct diag *d)
{
	const char *const arguments[] = { "--listen", url, NULL };

	return read_places(arguments, ret, d);
}

static void a_url_is_where_it_listens_and_what_it_shows(void)
{
	static const struct {
		const char *url, *shown;
		int family;
	} rows[] = {
		{ "http://127.0.0.1:0", "http://127.0.0.1:", AF_INET },
		{ "http://127.0.0.1:0/", "http://127.0.0.1:", AF_INET },
		{ "http://localhost:0", "http://127.0.0.1:", AF_INET },
		{ "http://[::1]:0", "http://[::1]:", AF_INET6 },
		{ "https://[::1]:0", "https://[::1]:", AF_INET6 },
		{ "http://0.0.0.0:0 insecure", "http://0.0.0.0:", AF_INET },
	};
	struct diag d = { .text = "" };
	char shown[LISTEN_SHOWN_MAX];
	struct serving serving;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage to;
		socklen_t len = sizeof(to);
		int fd, port;

		CHECK(read_listen(rows[i].url, &serving, &d) == 0);
		fd = listen_open(&serving.place[SERVING_GATEWAY], shown, &d);
		if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) /* no IPv6 here */
			continue;
		CHECK(fd >= 0 && strncmp(shown, rows[i].shown, strlen(rows[i].shown)) == 0);
		CHECK(getsockname(fd, (struct sockaddr *)&to, &len) == 0);
		CHECK(to.ss_family == rows[i].family);
		port = ntohs(((struct sockaddr_in *)(void *)&to)->sin_port);
		CHECK(port != 0 && strtol(shown + strlen(rows[i].shown), NULL, 10) == port);
		CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
		CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
		close(fd);
	}
}

static void what_is_no_such_url_is_refused_with_what_is_right(void)
{
	static const struct {
		const char *url, *says;
	} rows[] = {
		{ "", "http://ADDRESS:PORT" },
		{ "http://", "127.0.0.1:8000" },
		{ "127.0.0.1:8000", "http://ADDRESS:PORT" },
		{ "ftp://127.0.0.1", "http://ADDRESS:PORT" },
		{ "http://127.0.0.1:8000/x", "127.0.0.1:8000" },
		{ "http://127.0.0.1:65536", "127.0.0.1:8000" },
		{ "http://127.0.0.1:", "127.0.0.1:8000" },
		{ "http://127.0.0.1:8000x", "127.0.0.1:8000" },
		{ "http://example.org:8000", "127.0.0.1:8000" },
		{ "http://[::1", "127.0.0.1:8000" },
		{ "http://[::1]8000", "127.0.0.1:8000" },
		{ "http://::1:8000", "127.0.0.1:8000" },
		{ "http://127.0.0.1:8000 open", "\"insecure\"" },
		{ "http://0.0.0.0:8000", "not encrypted" },
		{ "unix:relative", "begins with /" },
		{ "unix:", "begins with /" },
	};
	struct serving serving;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct diag d = { .text = "" };

		CHECK(read_listen(rows[i].url, &serving, &d) == ERR_FORMAT);
		CHECK(strstr(d.text, "--listen") && strstr(d.text, rows[i].says));
	}
}

static void two_surfaces_on_one_address_are_refused_by_both_names(void)
{
	static const struct {
		const char *arguments[5];
		int err;
		const char *says;
	} rows[] = {
		{ { "--listen-status", "http://127.0.0.1:8000" }, ERR_EXISTS, "gateway" },
		{ { "--listen", "http://127.0.0.1:8000 share", "--listen-status",
		    "http://127.0.0.1:8000 share" },
		  0,
		  "" },
		{ { "--listen-agent", "http://127.0.0.1:1 share", "--listen-status",
		    "http://127.0.0.1:1 share" },
		  ERR_EXISTS,
		  "/health" },
		{ { "--listen", "http://127.0.0.1:8000 share", "--listen-metrics",
		    "http://127.0.0.1:8000 share" },
		  ERR_EXISTS,
		  "/metrics" },
		{ { "--listen-status", "http://127.0.0.1" }, ERR_EXISTS, "status" },
		{ { "--listen-status", "http://127.0.0.2" }, 0, "" },
		{ { "--listen-gateway-allow", "10.0.0.0/8, fd00::/8" }, 0, "" },
		{ { "--listen-gateway-allow", "10.0.0.0/33" }, ERR_FORMAT, "10.0.0.0/8" },
	};
	struct serving serving;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct diag d = { .text = "" };

		CHECK(read_places(rows[i].arguments, &serving, &d) == rows[i].err);
		CHECK(strstr(d.text, rows[i].says));
	}
}

static void a_port_in_use_is_said_with_what_to_do(void)
{
	struct diag d = { .text = "" };
	char shown[LISTEN_SHOWN_MAX];
	struct serving serving;
	struct serving_place place;
	int fd;

	CHECK(read_listen("http://127.0.0.1:0", &serving, &d) == 0);
	place = serving.place[SERVING_GATEWAY];
	fd = listen_open(&place, shown, &d);
	place.at.port = (uint16_t)strtol(strrchr(shown, ':') + 1, NULL, 10);
	CHECK(fd >= 0 && listen_open(&place, shown, &d) == -EADDRINUSE);
	CHECK(strstr(d.text, "choose another"));
	close(fd);
	place.at = (struct endpoint){ .ip = { ADDR_V4, { 192, 0, 2, 77 } } };
	CHECK(listen_open(&place, shown, &d) == -EADDRNOTAVAIL);
	CHECK(strstr(d.text, "no interface has this address"));
}

static void a_local_socket_is_its_owners_alone(void)
{
	struct diag d = { .text = "" };
	mode_t before = umask(0);
	struct stat st;
	int fd = listen_local(path, &d);

	CHECK(umask(before) == 0); /* as it was */
	CHECK(fd >= 0 && stat(path, &st) == 0 && S_ISSOCK(st.st_mode));
	CHECK((st.st_mode & 07777) == 0600);
	CHECK(listen_local(path, &d) == -EADDRINUSE && strstr(d.text, "another gateway"));
	close(fd);
	fd = listen_local(path, &d); /* left behind: nobody answers any more */
	CHECK(fd >= 0);
	close(fd);
	unlink(path);
}

static void a_path_too_long_for_a_socket_is_refused(void)
{
	struct sockaddr_un to;
	struct diag d = { .text = "" };
	char longest[sizeof(to.sun_path) + 1];

	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	CHECK(listen_local(longest, &d) == -ENAMETOOLONG && strstr(d.text, "--state"));
}

int main(void)
{
	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s/gateway.sock", directory);
	RUN(a_url_is_where_it_listens_and_what_it_shows);
	RUN(what_is_no_such_url_is_refused_with_what_is_right);
	RUN(two_surfaces_on_one_address_are_refused_by_both_names);
	RUN(a_port_in_use_is_said_with_what_to_do);
	RUN(a_local_socket_is_its_owners_alone);
	RUN(a_path_too_long_for_a_socket_is_refused);
	rmdir(directory);
	return DONE();
}
