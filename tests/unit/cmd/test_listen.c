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
	};
	struct diag d = { .text = "" };
	char shown[80];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage to;
		socklen_t len = sizeof(to);
		int fd = listen_url(rows[i].url, shown, &d), port;

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

static void what_is_no_such_url_is_refused_with_an_example(void)
{
	static const char *const urls[] = {
		"",
		"http://",
		"127.0.0.1:8000",
		"ftp://127.0.0.1",
		"http://127.0.0.1:8000/x",
		"http://127.0.0.1:65536",
		"http://127.0.0.1:",
		"http://127.0.0.1:8000x",
		"http://example.org:8000",
		"http://[::1",
		"http://[::1]8000",
		"http://::1:8000",
		"http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	char shown[80];

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct diag d = { .text = "" };

		CHECK(listen_url(urls[i], shown, &d) == ERR_FORMAT);
		CHECK(strstr(d.text, "http://127.0.0.1:8000"));
	}
}

static void tls_is_refused_with_what_to_do_instead(void)
{
	struct diag d = { .text = "" };
	char shown[80];

	CHECK(listen_url("https://127.0.0.1:8000", shown, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, "TLS") && strstr(d.text, "http://"));
}

static void a_port_in_use_is_said_with_what_to_do(void)
{
	struct diag d = { .text = "" };
	char shown[80], again[80];
	int fd = listen_url("http://127.0.0.1:0", shown, &d);

	CHECK(fd >= 0 && listen_url(shown, again, &d) == -EADDRINUSE);
	CHECK(strstr(d.text, "choose another with --listen"));
	close(fd);
	CHECK(listen_url("http://192.0.2.77:0", again, &d) == -EADDRNOTAVAIL);
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
	RUN(what_is_no_such_url_is_refused_with_an_example);
	RUN(tls_is_refused_with_what_to_do_instead);
	RUN(a_port_in_use_is_said_with_what_to_do);
	RUN(a_local_socket_is_its_owners_alone);
	RUN(a_path_too_long_for_a_socket_is_refused);
	rmdir(directory);
	return DONE();
}
