/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/machine.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	TEXT_MAX = 32768,
	KIB = 1024,
};

static const char *const paths[MACHINE_FILES] = {
	[MACHINE_STAT] = "/proc/stat",	     [MACHINE_MEMINFO] = "/proc/meminfo",
	[MACHINE_LOADAVG] = "/proc/loadavg", [MACHINE_UPTIME] = "/proc/uptime",
	[MACHINE_NET] = "/proc/net/dev",
};

void machine_init(struct machine *m)
{
	*m = (struct machine){ .disk_fd = -1 };
	for (int i = 0; i < MACHINE_FILES; i++)
		m->fds[i] = -1;
}

void machine_open(struct machine *m, const char *on_disk)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*m = (struct machine){ .n_cpus = cpus > 0 ? (unsigned int)cpus : 1 };
	for (int i = 0; i < MACHINE_FILES; i++)
		m->fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
	m->disk_fd = open(on_disk, O_RDONLY | O_CLOEXEC);
}

void machine_close(struct machine *m)
{
	for (int i = 0; i < MACHINE_FILES; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
	if (m->disk_fd >= 0)
		close(m->disk_fd);
}

static const char *read_text(const struct machine *m, enum machine_file which,
			     char out[TEXT_MAX])
{
	size_t len = 0;
	ssize_t n;

	do {
		n = m->fds[which] < 0
			    ? -1
			    : pread(m->fds[which], out + len, TEXT_MAX - 1 - len, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len < TEXT_MAX - 1);
	out[len] = '\0';
	return out;
}

/* "cpu  user nice system idle iowait irq softirq steal …" */
static void look_at_cpu(struct machine *m, char text[TEXT_MAX], struct machine_look *ret)
{
	uint64_t v[8] = { 0 }, all = 0, idle, busy;
	int n = sscanf(read_text(m, MACHINE_STAT, text),
		       "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		       " %" SCNu64 " %" SCNu64 " %" SCNu64,
		       &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);

	for (int i = 0; i < n; i++)
		all += v[i];
	idle = v[3] + v[4];
	busy = all - idle;
	if (all > m->all_ticks)
		m->cpu_percent =
			(double)(busy - m->busy_ticks) * 100 / (double)(all - m->all_ticks);
	m->all_ticks = all;
	m->busy_ticks = busy;
	ret->cpu_percent = m->cpu_percent;
	ret->n_cpus = m->n_cpus;
}

static uint64_t kib_of(const char *meminfo, const char *name)
{
	const char *line = strstr(meminfo, name);

	return line ? strtoull(line + strlen(name), NULL, 10) * KIB : 0;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? (double)part * 100 / (double)whole : 0;
}

static void look_at_memory(struct machine *m, char text[TEXT_MAX], struct machine_look *ret)
{
	const char *meminfo = read_text(m, MACHINE_MEMINFO, text);

	ret->memory_total = kib_of(meminfo, "MemTotal:");
	ret->memory_available = kib_of(meminfo, "MemAvailable:");
	ret->memory_percent =
		percent(ret->memory_total - ret->memory_available, ret->memory_total);
}

static void look_at_disk(const struct machine *m, struct machine_look *ret)
{
	struct statvfs s;

	if (m->disk_fd < 0 || fstatvfs(m->disk_fd, &s) != 0)
		return;
	ret->disk_total = (uint64_t)s.f_blocks * s.f_frsize;
	ret->disk_free = (uint64_t)s.f_bavail * s.f_frsize;
	ret->disk_used = (uint64_t)(s.f_blocks - s.f_bfree) * s.f_frsize;
	ret->disk_percent = percent(ret->disk_used, ret->disk_used + ret->disk_free);
}

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes packets …" */
static void look_at_net(struct machine *m, char text[TEXT_MAX], struct machine_look *ret)
{
	const char *line = read_text(m, MACHINE_NET, text);

	while ((line = strchr(line, '\n'))) {
		uint64_t received, packets_received, sent, packets_sent;
		char name[32];

		line++;
		if (sscanf(line,
			   " %31[^:]: %" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %*u %*u %" SCNu64
			   " %" SCNu64,
			   name, &received, &packets_received, &sent, &packets_sent) != 5 ||
		    strcmp(name, "lo") == 0)
			continue;
		ret->net_received += received;
		ret->net_packets_received += packets_received;
		ret->net_sent += sent;
		ret->net_packets_sent += packets_sent;
	}
}

void machine_look(struct machine *m, struct machine_look *ret)
{
	char text[TEXT_MAX];

	*ret = (struct machine_look){ .n_cpus = m->n_cpus };
	look_at_cpu(m, text, ret);
	look_at_memory(m, text, ret);
	look_at_disk(m, ret);
	look_at_net(m, text, ret);
	(void)sscanf(read_text(m, MACHINE_LOADAVG, text), "%lf %lf %lf", &ret->load[0],
		     &ret->load[1], &ret->load[2]);
	ret->uptime_s = strtoull(read_text(m, MACHINE_UPTIME, text), NULL, 10);
}
