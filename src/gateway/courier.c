/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/courier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/err.h"
#include "net/public_addr.h"
#include "sys/log.h"

enum { IDLE_MS = 60000, BUSY_MS = 1000 };

struct courier {
	bool allows_private;
	CURLM *multi; /* of the thread, but for curl_multi_wakeup() */
	struct courier_job *under_way[COURIER_JOBS_MAX];
	pthread_t thread;
	int fd;
	unsigned int n_under_way; /* of the calling thread */
	pthread_mutex_t lock;	  /* guards what follows */
	struct courier_job *waiting;
	struct courier_job *finished;
	bool stop;
};

static void append(struct courier_job **list, struct courier_job *job)
{
	job->next = NULL;
	while (*list)
		list = &(*list)->next;
	*list = job;
}

/* --- Where to --- */

static bool read_address(const struct sockaddr *sa, struct ip_addr *ret)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		*ret = ip_addr_v4((const uint8_t *)&in->sin_addr);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		*ret = ip_addr_v6((const uint8_t *)&in6->sin6_addr);
		return true;
	}
	return false;
}

static bool is_allowed(const struct courier_job *job, const struct ip_addr *a)
{
	if (public_addr_is_never(a))
		return false;
	return job->allows_private || public_addr_is(a);
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct courier_job *job = context;
	struct ip_addr a = { .family = ADDR_NONE };
	char text[ADDR_TEXT_MAX];

	(void)purpose;
	if (read_address(&to->addr, &a) && is_allowed(job, &a))
		return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
	snprintf(job->why, sizeof(job->why), "%s is not a public address",
		 a.family != ADDR_NONE ? ip_addr_format(&a, text) : "the host");
	return CURL_SOCKET_BAD;
}

/* A connection with one address at both ends goes to this machine, whatever that address is. */
static int judge_connection(void *context, char *there, char *here, int there_port,
			    int here_port)
{
	struct courier_job *job = context;

	(void)there_port, (void)here_port;
	if (job->allows_private || strcmp(there, here) != 0)
		return CURL_PREREQFUNC_OK;
	snprintf(job->why, sizeof(job->why), "%s is an address of this gateway", there);
	return CURL_PREREQFUNC_ABORT;
}

/* --- One message --- */

/* Nobody wants to know what is said, but a server may finish saying it. */
static size_t skip(char *data, size_t size, size_t n, void *context)
{
	struct courier_job *job = context;

	(void)data;
	job->n_read += size * n;
	return job->n_read <= COURIER_READ_MAX ? size * n : 0;
}

static bool make_fields(struct courier_job *job)
{
	struct curl_slist *all = NULL;

	for (size_t i = 0; i < COURIER_LINES_MAX && job->lines[i]; i++) {
		struct curl_slist *longer = curl_slist_append(all, job->lines[i]);

		if (!longer) {
			curl_slist_free_all(all);
			return false;
		}
		all = longer;
	}
	job->fields = all;
	return true;
}

static void set_limits(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* no waiting for a name at the end */
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)COURIER_CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)COURIER_TOTAL_MS);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
}

static void set_message(CURL *easy, struct courier_job *job)
{
	curl_easy_setopt(easy, CURLOPT_URL, job->url);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)job->body_len);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, job->body);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->fields);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, job);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, skip);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, job);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, job);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, judge_connection);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, job);
}

static void mark(struct courier *c, const struct courier_job *was, struct courier_job *is)
{
	for (size_t i = 0; i < COURIER_JOBS_MAX; i++) {
		if (c->under_way[i] == was) {
			c->under_way[i] = is;
			return;
		}
	}
}

static void release(struct courier *c, struct courier_job *job)
{
	mark(c, job, NULL);
	if (job->easy) {
		curl_multi_remove_handle(c->multi, job->easy);
		curl_easy_cleanup(job->easy);
	}
	curl_slist_free_all(job->fields);
	job->easy = job->fields = NULL;
}

static void finish(struct courier *c, struct courier_job *job)
{
	static const uint64_t one = 1;

	release(c, job);
	pthread_mutex_lock(&c->lock);
	append(&c->finished, job);
	pthread_mutex_unlock(&c->lock);
	if (write(c->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking the main thread failed: %s", err_text(-errno));
}

static void begin(struct courier *c, struct courier_job *job)
{
	job->status = 0;
	job->why[0] = job->error[0] = '\0';
	job->n_read = 0;
	job->retry_after_s = 0;
	job->allows_private = c->allows_private;
	job->easy = curl_easy_init();
	mark(c, NULL, job);
	if (job->easy && make_fields(job)) {
		set_limits(job->easy);
		set_message(job->easy, job);
		if (curl_multi_add_handle(c->multi, job->easy) == CURLM_OK)
			return;
	}
	snprintf(job->why, sizeof(job->why), "no memory");
	finish(c, job);
}

/* Whoever has answered with a status has answered, however long the rest is. */
static void end(struct courier *c, struct courier_job *job, CURLcode code)
{
	curl_off_t after = 0;
	long status = 0;

	curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(job->easy, CURLINFO_RETRY_AFTER, &after);
	if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && job->n_read > COURIER_READ_MAX))
		job->status = status;
	else if (!job->why[0])
		snprintf(job->why, sizeof(job->why), "%.150s",
			 job->error[0] ? job->error : curl_easy_strerror(code));
	job->retry_after_s = after > 0 ? (uint64_t)after : 0;
	finish(c, job);
}

/* --- The thread --- */

static struct courier_job *take_waiting(struct courier *c, bool *ret_stop)
{
	struct courier_job *first;

	pthread_mutex_lock(&c->lock);
	first = c->waiting;
	c->waiting = NULL;
	*ret_stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return first;
}

static void end_finished(struct courier *c)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(c->multi, &left)) != NULL) {
		struct courier_job *job = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&job);
		end(c, job, message->data.result);
	}
}

static void *carry(void *argument)
{
	struct courier *c = argument;
	bool stop = false;

	while (!stop) {
		struct courier_job *job = take_waiting(c, &stop);
		int running = 0;

		for (struct courier_job *next; job && !stop; job = next) {
			next = job->next;
			begin(c, job);
		}
		if (stop)
			break;
		curl_multi_perform(c->multi, &running);
		end_finished(c);
		curl_multi_poll(c->multi, NULL, 0, running ? BUSY_MS : IDLE_MS, NULL);
	}
	for (size_t i = 0; i < COURIER_JOBS_MAX; i++) {
		if (c->under_way[i])
			release(c, c->under_way[i]);
	}
	return NULL;
}

/* --- Calls --- */

/* What a symbolic link leads to is replaced by whoever manages it, so its directory is needed. */
size_t courier_files(const char *paths[COURIER_FILES_MAX])
{
	static const char *const all[COURIER_FILES_MAX] = {
		"/etc/resolv.conf",
		"/run/systemd/resolve",
		"/run/NetworkManager",
		"/run/resolvconf",
		"/etc/hosts",
		"/etc/host.conf",
		"/etc/nsswitch.conf",
		"/etc/gai.conf",
		"/etc/ssl/certs",
		"/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates",
	};

	memcpy(paths, all, sizeof(all));
	return COURIER_FILES_MAX;
}

int courier_new(bool allows_private, struct courier **ret)
{
	struct courier *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->allows_private = allows_private;
	pthread_mutex_init(&c->lock, NULL);
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = c->fd < 0 ? -errno : 0;
	if (err == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		c->multi = curl_multi_init();
	if (err == 0)
		err = c->multi ? -pthread_create(&c->thread, NULL, carry, c) : -ENOMEM;
	if (err == 0) {
		*ret = c;
		return 0;
	}
	if (c->multi)
		curl_multi_cleanup(c->multi);
	if (c->fd >= 0)
		close(c->fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return err;
}

struct courier *courier_free(struct courier *c)
{
	if (!c)
		return NULL;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_mutex_unlock(&c->lock);
	curl_multi_wakeup(c->multi);
	pthread_join(c->thread, NULL);
	curl_multi_cleanup(c->multi);
	pthread_mutex_destroy(&c->lock);
	close(c->fd);
	free(c);
	return NULL;
}

int courier_submit(struct courier *c, struct courier_job *job)
{
	if (c->n_under_way >= COURIER_JOBS_MAX)
		return ERR_LIMIT;
	c->n_under_way++;
	pthread_mutex_lock(&c->lock);
	append(&c->waiting, job);
	pthread_mutex_unlock(&c->lock);
	curl_multi_wakeup(c->multi);
	return 0;
}

int courier_fd(const struct courier *c)
{
	return c->fd;
}

void courier_collect(struct courier *c)
{
	struct courier_job *finished;
	uint64_t count;

	if (read(c->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading the courier's event failed: %s", err_text(-errno));
	pthread_mutex_lock(&c->lock);
	finished = c->finished;
	c->finished = NULL;
	pthread_mutex_unlock(&c->lock);
	for (struct courier_job *next; finished; finished = next) {
		next = finished->next;
		c->n_under_way--;
		finished->done(finished);
	}
}
