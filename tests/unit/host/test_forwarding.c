/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a network namespace of its own with three TUN interfaces set up oddly: everything below
 * net/ipv4/conf and net/ipv6/conf that forwarding may touch is read before and after.
 */
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../test.h"
#include "host/forwarding.h"
#include "sys/file.h"

static const char *const interfaces[] = { "all", "default", "lo", "cvt0", "cvt1", "cvt2" };
static const char *const keys4[] = { "forwarding", "accept_redirects", "send_redirects" };
static const char *const keys6[] = { "forwarding", "accept_ra", "accept_redirects" };

enum { N_INTERFACES = 6, N_KEYS = 3 };

struct picture {
	char v4[N_INTERFACES][N_KEYS];
	char v6[N_INTERFACES][N_KEYS];
};

static void make_tun(const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC); /* stays open: it is the device */

	memcpy(req.ifr_name, name, strlen(name) + 1);
	CHECK(fd >= 0 && ioctl(fd, TUNSETIFF, &req) == 0);
}

static char get(const char *family, const char *interface, const char *key)
{
	char path[128], value[16] = { 0 };
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, key);
	CHECK(file_read(AT_FDCWD, path, value, sizeof(value), &len) == 0 && len == 2);
	return value[0];
}

static void set(const char *family, const char *interface, const char *key, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && write(fd, value, strlen(value)) > 0);
	close(fd);
}

static struct picture take_picture(void)
{
	struct picture p;

	for (int i = 0; i < N_INTERFACES; i++) {
		for (int k = 0; k < N_KEYS; k++) {
			p.v4[i][k] = get("ipv4", interfaces[i], keys4[k]);
			p.v6[i][k] = get("ipv6", interfaces[i], keys6[k]);
		}
	}
	return p;
}

static bool is_same(const struct picture *a, const struct picture *b)
{
	for (int i = 0; i < N_INTERFACES; i++) {
		for (int k = 0; k < N_KEYS; k++) {
			if (a->v4[i][k] != b->v4[i][k])
				printf("# ipv4 %s %s: %c, now %c\n", interfaces[i], keys4[k],
				       a->v4[i][k], b->v4[i][k]);
			if (a->v6[i][k] != b->v6[i][k])
				printf("# ipv6 %s %s: %c, now %c\n", interfaces[i], keys6[k],
				       a->v6[i][k], b->v6[i][k]);
		}
	}
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void an_odd_host_gets_back_every_setting(void)
{
	struct journal j = { .dir_fd = -1, .lock_fd = -1 };
	struct picture before, during, after;
	struct diag d = { 0 };

	set("ipv4", "cvt1", "forwarding", "1"); /* one alone forwards */
	set("ipv6", "cvt2", "forwarding", "1");
	set("ipv6", "cvt0", "accept_ra", "0");
	set("ipv4", "all", "accept_redirects", "0"); /* the kernel would make it 1 */
	before = take_picture();

	CHECK(forwarding_note(&j, 5, &d) == 0 && forwarding_enable(&d) == 0);
	during = take_picture();
	CHECK(during.v4[0][0] == '1' && during.v6[0][0] == '1' && during.v6[3][0] == '1');
	CHECK(!is_same(&before, &during));

	CHECK(forwarding_restore(&j, 6, &d) == 0); /* another namespace's entries: nothing */
	after = take_picture();
	CHECK(is_same(&during, &after));
	CHECK(forwarding_restore(&j, 5, &d) == 0);
	after = take_picture();
	CHECK(is_same(&before, &after));
	CHECK(forwarding_restore(&j, 5, &d) == 0); /* a second time is no harm */
	journal_close(&j);
}

static void who_listened_to_routers_goes_on_listening(void)
{
	struct journal j = { .dir_fd = -1, .lock_fd = -1 };
	struct picture during;
	struct diag d = { 0 };

	set("ipv6", "cvt1", "accept_ra", "1");
	CHECK(forwarding_note(&j, 5, &d) == 0 && forwarding_enable(&d) == 0);
	during = take_picture();
	CHECK(during.v6[4][1] == '2'); /* 1 would mean: not while forwarding */
	CHECK(during.v6[3][1] == '0'); /* who did not listen is left alone */
	CHECK(forwarding_restore(&j, 5, &d) == 0);
	journal_close(&j);
}

static void a_host_that_forwards_already_is_left_alone(void)
{
	struct journal j = { .dir_fd = -1, .lock_fd = -1 };
	struct picture before, after;
	struct diag d = { 0 };

	set("ipv4", "all", "forwarding", "1");
	set("ipv6", "all", "forwarding", "1");
	before = take_picture();
	CHECK(forwarding_note(&j, 5, &d) == 0 && j.n == 1);
	CHECK(strstr(j.entries[0].name, "/all/send_redirects"));
	CHECK(forwarding_enable(&d) == 0 && forwarding_restore(&j, 5, &d) == 0);
	after = take_picture();
	CHECK(is_same(&before, &after));
	journal_close(&j);
	set("ipv4", "all", "forwarding", "0");
	set("ipv6", "all", "forwarding", "0");
}

/* As the kernel's WireGuard does it when a link of its goes up. */
static void redirects_that_something_else_switched_off_are_put_back(void)
{
	struct journal j = { .dir_fd = -1, .lock_fd = -1 };
	struct picture before = take_picture(), after;
	struct diag d = { 0 };

	CHECK(forwarding_note(&j, 5, &d) == 0 && forwarding_enable(&d) == 0);
	set("ipv4", "all", "send_redirects", "0");
	CHECK(forwarding_restore(&j, 5, &d) == 0);
	after = take_picture();
	CHECK(is_same(&before, &after));
	journal_close(&j);
}

static void the_second_holder_notes_nothing(void)
{
	struct journal j = { .dir_fd = -1, .lock_fd = -1 };
	struct diag d = { 0 };
	size_t first;

	CHECK(forwarding_note(&j, 5, &d) == 0 && j.n > 0);
	first = j.n;
	CHECK(forwarding_enable(&d) == 0);
	CHECK(forwarding_note(&j, 5, &d) == 0 && j.n == first);
	CHECK(forwarding_restore(&j, 5, &d) == 0);
	CHECK(forwarding_note(&j, 5, &d) == 0 && j.n == first); /* noted, not yet switched on */
	journal_close(&j);
}

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no network namespaces for this user\n");
		return 0;
	}
	if (access("/dev/net/tun", R_OK | W_OK) < 0 || access("/proc/sys/net/ipv6", R_OK) < 0) {
		printf("1..0 # SKIP needs /dev/net/tun and IPv6\n");
		return 0;
	}
	make_tun("cvt0");
	make_tun("cvt1");
	make_tun("cvt2");
	RUN(an_odd_host_gets_back_every_setting);
	RUN(who_listened_to_routers_goes_on_listening);
	RUN(a_host_that_forwards_already_is_left_alone);
	RUN(redirects_that_something_else_switched_off_are_put_back);
	RUN(the_second_holder_notes_nothing);
	return DONE();
}
