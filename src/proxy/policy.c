/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/address.h"

struct policy {
	pthread_rwlock_t lock;
	struct egress egress;
	int news; /* of addresses, from the kernel */
};

static int open_news(void)
{
	const struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
					    .nl_groups =
						    RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int policy_new(const struct ip_prefix *allowed, size_t n, struct policy **ret)
{
	struct policy *p;

	if (n > EGRESS_ALLOWED_MAX)
		return -E2BIG;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	pthread_rwlock_init(&p->lock, NULL);
	for (size_t i = 0; i < n; i++)
		p->egress.allowed[i] = allowed[i];
	p->egress.n_allowed = n;
	p->news = open_news();
	*ret = p;
	return 0;
}

struct policy *policy_free(struct policy *p)
{
	if (!p)
		return NULL;
	if (p->news >= 0)
		close(p->news);
	pthread_rwlock_destroy(&p->lock);
	free(p);
	return NULL;
}

int policy_fd(const struct policy *p)
{
	return p->news;
}

/* What it says does not matter: all is read anew. More of it than fits in the socket is news, too. */
static void take_news(struct policy *p)
{
	char message[4096];

	while (p->news >= 0 &&
	       (recv(p->news, message, sizeof(message), 0) > 0 || errno == ENOBUFS))
		;
}

int policy_refresh(struct policy *p)
{
	struct ip_addr own[EGRESS_OWN_MAX];
	struct ifaddrs *first = NULL;
	size_t n = 0;

	take_news(p);
	if (getifaddrs(&first) < 0)
		return -errno;
	for (const struct ifaddrs *i = first; i && n < EGRESS_OWN_MAX; i = i->ifa_next) {
		struct endpoint e = { .port = 0 };

		if (i->ifa_addr)
			e = address_read(i->ifa_addr);
		if (e.ip.family != ADDR_NONE)
			own[n++] = e.ip;
	}
	freeifaddrs(first);
	pthread_rwlock_wrlock(&p->lock);
	memcpy(p->egress.own, own, n * sizeof(own[0]));
	p->egress.n_own = n;
	pthread_rwlock_unlock(&p->lock);
	return 0;
}

enum egress_verdict policy_judge(struct policy *p, const struct ip_addr *to)
{
	enum egress_verdict v;

	pthread_rwlock_rdlock(&p->lock);
	v = egress_judge(&p->egress, to);
	pthread_rwlock_unlock(&p->lock);
	return v;
}

bool policy_is_ourselves(int fd)
{
	struct sockaddr_storage near = { 0 }, far = { 0 };
	socklen_t near_len = sizeof(near), far_len = sizeof(far);
	struct endpoint a, b;

	if (getsockname(fd, (struct sockaddr *)&near, &near_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&far, &far_len) < 0)
		return false;
	a = address_read((struct sockaddr *)&near);
	b = address_read((struct sockaddr *)&far);
	return ip_addr_equal(&a.ip, &b.ip);
}
