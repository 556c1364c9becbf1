/* SPDX-License-Identifier: Apache-2.0 */
/* Against a gateway played by a thread: one answer per connection, given beforehand. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "cmd/command.h"
#include "cmd/local_api.h"

static char directory[] = "/tmp/culvert-local-XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static char asked[4096];

struct play {
	int listener;
	const char *says; /* status line, a space, body */
};

/* Read until the request is whole: its head, and the body that Content-Length tells. */
static void hear(int fd)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, asked + len, sizeof(asked) - 1 - len, 0)) > 0) {
		const char *end, *length;

		len += (size_t)n;
		asked[len] = '\0';
		end = strstr(asked, "\r\n\r\n");
		length = strstr(asked, "Content-Length: ");
		if (end && strlen(end + 4) >= (length ? strtoul(length + 16, NULL, 10) : 0))
			return;
	}
}

static void *play(void *argument)
{
	const struct play *p = argument;
	int fd = accept(p->listener, NULL, NULL);
	char reply[2048];

	hear(fd);
	snprintf(reply, sizeof(reply), "HTTP/1.1 %.3s X\r\nContent-Length: %zu\r\n\r\n%s",
		 p->says, strlen(p->says + 4), p->says + 4);
	if (send(fd, reply, strlen(reply), MSG_NOSIGNAL) < 0)
		abort();
	close(fd);
	return NULL;
}

/* Ask a gateway that @says that. Return: an exit code. */
static int ask(const char *says, const char *method, const json_t *body, json_t **ret,
	       struct diag *d)
{
	struct play p = { .listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			  .says = says };
	pthread_t thread;
	int code;

	unlink(address.sun_path);
	if (bind(p.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(p.listener, 1) != 0 || pthread_create(&thread, NULL, play, &p) != 0)
		abort();
	*d = (struct diag){ .text = "" };
	code = local_api_ask(directory, method, "/api/v1/peers", body, ret, d);
	pthread_join(thread, NULL);
	close(p.listener);
	unlink(address.sun_path);
	return code;
}

static void a_request_goes_out_as_it_was_given_and_the_answer_comes_back(void)
{
	json_t *body = json_pack("{s:s}", "name", "phone"), *answer = NULL;
	struct diag d;

	CHECK(ask("201 {\"id\":7}", "POST", body, &answer, &d) == EXIT_DONE);
	CHECK(strncmp(asked, "POST /api/v1/peers HTTP/1.1\r\n", 29) == 0);
	CHECK(strstr(asked, "Content-Type: application/json\r\n"));
	CHECK(strstr(asked, "\r\n\r\n{\"name\":\"phone\"}"));
	CHECK(json_integer_value(json_object_get(answer, "id")) == 7);
	json_decref(answer);
	json_decref(body);
	CHECK(ask("200 {}", "GET", NULL, &answer, &d) == EXIT_DONE);
	CHECK(strncmp(asked, "GET ", 4) == 0 && !strstr(asked, "Content-Length"));
	json_decref(answer);
}

static void a_refusal_is_told_in_the_gateways_words(void)
{
	json_t *answer = NULL;
	struct diag d;

	CHECK(ask("404 {\"detail\":\"Peer not found\"}", "GET", NULL, &answer, &d) ==
	      EXIT_REFUSED);
	CHECK(strcmp(d.text, "Peer not found") == 0 && !answer);
	CHECK(ask("422 {\"detail\":\"x\",\"errors\":[{\"loc\":[\"body\",\"name\"],"
		  "\"msg\":\"too long\"}]}",
		  "POST", NULL, &answer, &d) == EXIT_REFUSED);
	CHECK(strcmp(d.text, "name: too long") == 0);
	CHECK(ask("403 {\"detail\":\"no\"}", "GET", NULL, &answer, &d) == EXIT_PRIVILEGE);
	CHECK(ask("507 {\"detail\":\"The disk is full\"}", "POST", NULL, &answer, &d) ==
	      EXIT_FAILED);
	CHECK(strcmp(d.text, "The disk is full") == 0);
	CHECK(ask("500 oops", "GET", NULL, &answer, &d) == EXIT_FAILED);
	CHECK(strstr(d.text, "HTTP status 500"));
}

static void a_success_that_is_no_json_is_none(void)
{
	json_t *answer = NULL;
	struct diag d;

	CHECK(ask("200 hello", "GET", NULL, &answer, &d) == EXIT_FAILED && !answer);
	CHECK(d.text[0]);
}

static void a_gateway_that_does_not_run_is_said_with_how_to_start_one(void)
{
	json_t *answer = NULL;
	struct diag d = { .text = "" };

	CHECK(local_api_ask(directory, "GET", "/api/v1/peers", NULL, &answer, &d) ==
	      EXIT_FAILED);
	CHECK(strstr(d.text, "no gateway is running") && strstr(d.text, directory));
}

static void a_path_without_room_for_the_socket_is_refused(void)
{
	struct diag d = { .text = "" };
	json_t *answer = NULL;
	char state[128];

	memset(state, 'a', sizeof(state));
	state[sizeof(state) - 1] = '\0';
	CHECK(local_api_ask(state, "GET", "/", NULL, &answer, &d) == EXIT_REFUSED);
	CHECK(strstr(d.text, "--state"));
}

int main(void)
{
	if (!mkdtemp(directory))
		return 1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/gateway.sock", directory);
	RUN(a_request_goes_out_as_it_was_given_and_the_answer_comes_back);
	RUN(a_refusal_is_told_in_the_gateways_words);
	RUN(a_success_that_is_no_json_is_none);
	RUN(a_gateway_that_does_not_run_is_said_with_how_to_start_one);
	RUN(a_path_without_room_for_the_socket_is_refused);
	rmdir(directory);
	return DONE();
}
