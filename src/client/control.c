/* SPDX-License-Identifier: Apache-2.0 */
#include "client/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/choice.h"

#define RUN_DIR "/run/culvert"

enum { PATIENCE_S = 2, ANSWER_PATIENCE_S = 10 };

static void put_address(const char *interface, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret->sun_path, sizeof(ret->sun_path), RUN_DIR "/client-%.15s.sock", interface);
}

static void limit_silence(int fd, int seconds)
{
	const struct timeval limit = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* --- The process that looks after the connection --- */

int client_control_open(const char *interface)
{
	struct sockaddr_un address;
	mode_t mask;
	int fd, err = 0;

	put_address(interface, &address);
	if (mkdir(RUN_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(address.sun_path); /* of one that was killed: the journal knows that none lives */
	mask = umask(0177);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4) < 0)
		err = -errno;
	umask(mask);
	if (err < 0)
		close(fd);
	return err < 0 ? err : fd;
}

void client_control_close(int fd, const char *interface)
{
	struct sockaddr_un address;

	if (fd < 0)
		return;
	put_address(interface, &address);
	unlink(address.sun_path);
	close(fd);
}

static bool is_root(int fd)
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == 0;
}

static int obey(const char *words, struct client_session *s, struct diag *d)
{
	struct endpoint to;

	if (strcmp(words, "switch") == 0)
		return client_choice_switch(s, NULL, d);
	if (strncmp(words, "switch ", 7) == 0 && endpoint_parse(words + 7, &to) == 0)
		return client_choice_switch(s, &to, d);
	return diag_set(d, ERR_FORMAT, 0, "that is no word for a connection");
}

static void answer(int fd, struct client_session *s)
{
	char words[CONTROL_RECORD_MAX], reply[CONTROL_RECORD_MAX], at[ADDR_TEXT_MAX];
	struct diag d = { 0 };
	ssize_t n = recv(fd, words, sizeof(words) - 1, MSG_TRUNC);

	if (n <= 0 || (size_t)n >= sizeof(words))
		return;
	words[n] = '\0';
	if (obey(words, s, &d) < 0)
		snprintf(reply, sizeof(reply), "error %s", d.text);
	else
		snprintf(reply, sizeof(reply), "ok %s", endpoint_format(&s->ways[s->way], at));
	(void)!send(fd, reply, strlen(reply), MSG_NOSIGNAL);
}

void client_control_serve(int fd, struct client_session *s)
{
	int caller = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (caller < 0)
		return;
	limit_silence(caller, PATIENCE_S);
	if (is_root(caller))
		answer(caller, s);
	close(caller);
}

/* --- Who calls it --- */

static int converse(int fd, const char *words, char reply[CONTROL_RECORD_MAX])
{
	ssize_t n;

	limit_silence(fd, ANSWER_PATIENCE_S);
	if (send(fd, words, strlen(words), MSG_NOSIGNAL) < 0)
		return -errno;
	n = recv(fd, reply, CONTROL_RECORD_MAX - 1, 0);
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	reply[n] = '\0';
	return 0;
}

int client_control_switch(const char *interface, const struct endpoint *to,
			  char ret[ADDR_TEXT_MAX], struct diag *d)
{
	char words[CONTROL_RECORD_MAX] = "switch", reply[CONTROL_RECORD_MAX], at[ADDR_TEXT_MAX];
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return diag_set(d, -errno, 0, "%s", err_text(-errno));
	if (to)
		snprintf(words, sizeof(words), "switch %s", endpoint_format(to, at));
	put_address(interface, &address);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	if (err == 0)
		err = converse(fd, words, reply);
	close(fd);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return diag_set(d, err, 0, "%s is not connected", interface);
	if (err < 0)
		return diag_set(d, err, 0, "%s: %s", interface, err_text(err));
	if (strncmp(reply, "ok ", 3) != 0)
		return diag_set(d, ERR_FORMAT, 0, "%.200s",
				strncmp(reply, "error ", 6) == 0 ? reply + 6 : reply);
	snprintf(ret, ADDR_TEXT_MAX, "%.70s", reply + 3);
	return 0;
}
