/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers as its path says, in a thread; the courier's messages reach it over loopback. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/courier.h"
#include "sys/clock.h"

enum { REQUEST_MAX = 8192, URL_MAX = 64, SECOND_MS = 1000 };

static struct {
	int fd;
	int port;
	pthread_t thread;
	atomic_int n_requests;
	pthread_mutex_t lock; /* of @last */
	char last[REQUEST_MAX];
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void reply(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

/* "/204", "/302", "/503", "/endless", "/close" */
static void serve_one(int fd)
{
	static char block[65536];
	char request[REQUEST_MAX] = "";
	ssize_t n = read(fd, request, sizeof(request) - 1);
	const char *path = request + strlen("POST ");

	request[n > 0 ? n : 0] = '\0';
	pthread_mutex_lock(&server.lock);
	memcpy(server.last, request, sizeof(request));
	pthread_mutex_unlock(&server.lock);
	atomic_fetch_add(&server.n_requests, 1);
	if (strncmp(path, "/204", 4) == 0)
		reply(fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	else if (strncmp(path, "/302", 4) == 0)
		reply(fd, "HTTP/1.1 302 Found\r\nLocation: /204\r\nConnection: close\r\n"
			  "Content-Length: 0\r\n\r\n");
	else if (strncmp(path, "/503", 4) == 0)
		reply(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 17\r\nConnection: close\r\n"
			  "Content-Length: 0\r\n\r\n");
	else if (strncmp(path, "/endless", 8) == 0) {
		reply(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
		while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
			;
	}
	close(fd);
}

static void *serve(void *unused)
{
	int fd;

	(void)unused;
	while ((fd = accept(server.fd, NULL, NULL)) >= 0)
		serve_one(fd);
	return NULL;
}

static void start_server(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.fd, (struct sockaddr *)&at, len) < 0 || listen(server.fd, 64) < 0 ||
	    getsockname(server.fd, (struct sockaddr *)&at, &len) < 0)
		abort();
	server.port = ntohs(at.sin_port);
	pthread_create(&server.thread, NULL, serve, NULL);
}

static void stop_server(void)
{
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

/* --- Messages --- */

struct message {
	struct courier_job job;
	char url[URL_MAX];
	int n_done;
};

static void done(struct courier_job *job)
{
	((struct message *)job)->n_done++;
}

static void prepare(struct message *m, const char *host, int port, const char *path)
{
	*m = (struct message){ .job = { .body = "{}",
					.body_len = 2,
					.lines = { "Content-Type: application/json", "x-a: b" },
					.done = done } };
	snprintf(m->url, sizeof(m->url), "http://%s:%d%s", host, port, path);
	m->job.url = m->url;
}

static void wait_for(struct courier *c, const struct message *m)
{
	uint64_t end_ns = clock_boot_ns() + UINT64_C(20) * 1000000000;

	while (m->n_done == 0 && clock_boot_ns() < end_ns) {
		struct pollfd p = { .fd = courier_fd(c), .events = POLLIN };

		if (poll(&p, 1, SECOND_MS) > 0)
			courier_collect(c);
	}
}

static void carry(struct courier *c, struct message *m, const char *path)
{
	prepare(m, "127.0.0.1", server.port, path);
	CHECK(courier_submit(c, &m->job) == 0);
	wait_for(c, m);
	CHECK(m->n_done == 1);
}

static void what_was_answered_is_told(void)
{
	struct courier *c = NULL;
	struct message m;

	CHECK(courier_new(true, &c) == 0);
	carry(c, &m, "/204");
	CHECK(m.job.status == 204 && m.job.retry_after_s == 0);
	pthread_mutex_lock(&server.lock);
	CHECK(strncmp(server.last, "POST /204 HTTP/1.1\r\n", 20) == 0);
	CHECK(strstr(server.last, "\r\nx-a: b\r\n") && strstr(server.last, "\r\n\r\n{}"));
	pthread_mutex_unlock(&server.lock);
	carry(c, &m, "/503");
	CHECK(m.job.status == 503 && m.job.retry_after_s == 17);
	carry(c, &m, "/close");
	CHECK(m.job.status == 0 && m.job.why[0]);
	courier_free(c);
}

static void a_redirect_is_an_answer_and_no_way(void)
{
	int before = atomic_load(&server.n_requests);
	struct courier *c = NULL;
	struct message m;

	CHECK(courier_new(true, &c) == 0);
	carry(c, &m, "/302");
	CHECK(m.job.status == 302 && atomic_load(&server.n_requests) == before + 1);
	courier_free(c);
}

static void an_answer_without_end_is_cut_off_and_counts(void)
{
	struct courier *c = NULL;
	struct message m;
	uint64_t began_ns = clock_boot_ns();

	CHECK(courier_new(true, &c) == 0);
	carry(c, &m, "/endless");
	CHECK(m.job.status == 200);
	CHECK(clock_boot_ns() - began_ns < UINT64_C(5) * 1000000000);
	courier_free(c);
}

static void nobody_is_called_who_is_not_public(void)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "[::1]", "10.0.0.1",
					     "169.254.169.254" };
	int before = atomic_load(&server.n_requests);
	struct courier *c = NULL;
	struct message m;

	CHECK(courier_new(false, &c) == 0);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		prepare(&m, hosts[i], server.port, "/204");
		CHECK(courier_submit(c, &m.job) == 0);
		wait_for(c, &m);
		CHECK(m.n_done == 1 && m.job.status == 0);
		CHECK(strstr(m.job.why, "is not a public address") != NULL);
	}
	CHECK(atomic_load(&server.n_requests) == before);
	courier_free(c);
	c = NULL;
	CHECK(courier_new(true, &c) == 0);
	prepare(&m, "169.254.169.254", server.port, "/204"); /* whatever is allowed */
	CHECK(courier_submit(c, &m.job) == 0);
	wait_for(c, &m);
	CHECK(m.job.status == 0 && strstr(m.job.why, "is not a public address"));
	courier_free(c);
}

static void so_many_are_under_way_and_what_is_when_it_ends_is_broken_off(void)
{
	struct message m[COURIER_JOBS_MAX + 1];
	struct courier *c = NULL;
	int deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	uint64_t began_ns = clock_boot_ns();

	if (bind(deaf, (struct sockaddr *)&at, len) < 0 || listen(deaf, 64) < 0 ||
	    getsockname(deaf, (struct sockaddr *)&at, &len) < 0)
		abort();
	CHECK(courier_new(true, &c) == 0);
	for (size_t i = 0; i < COURIER_JOBS_MAX; i++) {
		prepare(&m[i], "127.0.0.1", ntohs(at.sin_port), "/");
		CHECK(courier_submit(c, &m[i].job) == 0);
	}
	prepare(&m[COURIER_JOBS_MAX], "127.0.0.1", ntohs(at.sin_port), "/");
	CHECK(courier_submit(c, &m[COURIER_JOBS_MAX].job) == ERR_LIMIT);
	usleep(100000);
	courier_free(c);
	CHECK(clock_boot_ns() - began_ns < UINT64_C(3) * 1000000000);
	for (size_t i = 0; i < COURIER_JOBS_MAX; i++)
		CHECK(m[i].n_done == 0);
	close(deaf);
}

int main(void)
{
	start_server();
	RUN(what_was_answered_is_told);
	RUN(a_redirect_is_an_answer_and_no_way);
	RUN(an_answer_without_end_is_cut_off_and_counts);
	RUN(nobody_is_called_who_is_not_public);
	RUN(so_many_are_under_way_and_what_is_when_it_ends_is_broken_off);
	stop_server();
	return DONE();
}
