/* SPDX-License-Identifier: Apache-2.0 */
#include "host/forwarding.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/file.h"

/* Switches that decide for the whole namespace. */
#define FORWARD_V4 "net/ipv4/ip_forward"
#define FORWARD_V6 "net/ipv6/conf/all/forwarding"
/* The kernel's WireGuard switches it off for the whole namespace when a link of its goes up. */
#define REDIRECTS  "net/ipv4/conf/all/send_redirects"

static int open_sysctl(const char *name, int flags)
{
	char path[JOURNAL_NAME_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int read_sysctl(const char *name, char out[JOURNAL_VALUE_MAX])
{
	int fd = open_sysctl(name, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, out, JOURNAL_VALUE_MAX - 1);
	close(fd);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

static int write_sysctl(const char *name, const char *value)
{
	int fd = open_sysctl(name, O_WRONLY);
	int err;

	if (fd < 0)
		return fd;
	err = file_write_all(fd, value, strlen(value));
	close(fd);
	return err;
}

static bool is_on(const char *name)
{
	char value[JOURNAL_VALUE_MAX];

	return read_sysctl(name, value) == 0 && strcmp(value, "1") == 0;
}

static bool is_there(const char *name)
{
	char value[JOURNAL_VALUE_MAX];

	return read_sysctl(name, value) != -ENOENT;
}

static int note(struct journal *j, uint64_t netns, const char *name)
{
	struct journal_entry e = { .kind = JOURNAL_SETTING, .netns = netns };
	int err = read_sysctl(name, e.value);

	if (err == -ENOENT) /* an interface that went away meanwhile, a kernel without it */
		return 0;
	if (err < 0 || strpbrk(e.value, " \t") || !e.value[0])
		return err < 0 ? err : -EINVAL;
	snprintf(e.name, sizeof(e.name), "%s", name);
	return journal_add(j, &e);
}

/* Call @each with the name of every interface that has settings of @family ("ipv4"). */
static int each_interface(const char *family,
			  int (*each)(void *context, const char *family, const char *interface),
			  void *context)
{
	char path[64];
	const struct dirent *entry;
	int err = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf", family);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (err == 0 && (entry = readdir(d))) {
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "all") != 0)
			err = each(context, family, entry->d_name);
	}
	closedir(d);
	return err;
}

struct noting {
	struct journal *j;
	uint64_t netns;
};

/* Only what restoring the switch would not bring back by itself. */
static int note_interface(void *context, const char *family, const char *interface)
{
	struct noting *n = context;
	char forwarding[JOURNAL_NAME_MAX], accept_ra[JOURNAL_NAME_MAX];

	snprintf(forwarding, sizeof(forwarding), "net/%s/conf/%s/forwarding", family,
		 interface);
	snprintf(accept_ra, sizeof(accept_ra), "net/%s/conf/%s/accept_ra", family, interface);
	if (is_on(forwarding))
		return note(n->j, n->netns, forwarding);
	if (strcmp(family, "ipv6") == 0 && is_on(accept_ra))
		return note(n->j, n->netns, accept_ra);
	return 0;
}

/* The switch first: restoring it moves the others, which then get their own values back. */
static int note_v4(struct noting *n)
{
	int err = note(n->j, n->netns, FORWARD_V4);

	if (err == 0)
		err = note(n->j, n->netns, "net/ipv4/conf/all/accept_redirects");
	return err < 0 ? err : each_interface("ipv4", note_interface, n);
}

static int note_v6(struct noting *n)
{
	int err = note(n->j, n->netns, FORWARD_V6);

	return err < 0 ? err : each_interface("ipv6", note_interface, n);
}

static bool is_noted(const struct journal *j, uint64_t netns, const char *name)
{
	for (size_t i = 0; i < j->n; i++) {
		if (j->entries[i].kind == JOURNAL_SETTING && j->entries[i].netns == netns &&
		    strcmp(j->entries[i].name, name) == 0)
			return true;
	}
	return false;
}

int forwarding_note(struct journal *j, uint64_t netns, struct diag *d)
{
	struct noting n = { .j = j, .netns = netns };
	int err = 0;

	if (is_on(REDIRECTS) && !is_noted(j, netns, REDIRECTS))
		err = note(j, netns, REDIRECTS);
	if (err == 0 && !is_on(FORWARD_V4) && !is_noted(j, netns, FORWARD_V4))
		err = note_v4(&n);
	if (err == 0 && is_there(FORWARD_V6) && !is_on(FORWARD_V6) &&
	    !is_noted(j, netns, FORWARD_V6))
		err = note_v6(&n);
	return err < 0 ? diag_set(d, err, 0, "cannot read the forwarding settings: %s",
				  err_text(err))
		       : 0;
}

/* 2: listen to routers although we forward. Only where we listened before. */
static int keep_advertisements(void *context, const char *family, const char *interface)
{
	char name[JOURNAL_NAME_MAX], forwarding[JOURNAL_NAME_MAX];

	(void)context;
	snprintf(name, sizeof(name), "net/%s/conf/%s/accept_ra", family, interface);
	snprintf(forwarding, sizeof(forwarding), "net/%s/conf/%s/forwarding", family,
		 interface);
	if (is_on(name) && !is_on(forwarding))
		write_sysctl(name, "2"); /* it may be gone by now */
	return 0;
}

static int switch_on(const char *name, struct diag *d)
{
	int err = is_on(name) ? 0 : write_sysctl(name, "1");

	if (err == 0)
		return 0;
	return diag_set(
		d, err, 0,
		"cannot switch on forwarding (%s): %s; set it to 1 on the host, or give "
		"this container the right to",
		name, err_text(err));
}

int forwarding_enable(struct diag *d)
{
	int err = switch_on(FORWARD_V4, d);

	if (err < 0 || !is_there(FORWARD_V6) || is_on(FORWARD_V6))
		return err;
	/* Before the switch: it drops routes of advertisements on every interface without. */
	err = each_interface("ipv6", keep_advertisements, NULL);
	return err < 0 ? diag_set(d, err, 0, "cannot read /proc/sys/net/ipv6/conf: %s",
				  err_text(err))
		       : switch_on(FORWARD_V6, d);
}

static int restore_one(const struct journal_entry *e, struct diag *d)
{
	char value[JOURNAL_VALUE_MAX];
	int err = read_sysctl(e->name, value);

	if (err == -ENOENT || (err == 0 && strcmp(value, e->value) == 0))
		return 0;
	if (err == 0)
		err = write_sysctl(e->name, e->value);
	if (err == 0 || err == -ENOENT)
		return 0;
	return diag_set(d, err, 0, "cannot set /proc/sys/%s back to %s: %s", e->name, e->value,
			err_text(err));
}

int forwarding_restore(const struct journal *j, uint64_t netns, struct diag *d)
{
	int first = 0;

	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];
		int err;

		if (e->kind != JOURNAL_SETTING || e->netns != netns)
			continue;
		err = restore_one(e, first ? NULL : d);
		first = first ? first : err;
	}
	return first;
}
