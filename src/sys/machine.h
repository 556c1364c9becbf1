/* SPDX-License-Identifier: Apache-2.0 */
/**
 * machine.h - How busy the machine is: processors, memory, disk, network, uptime
 *
 * The files of /proc are opened before a sandbox closes and read anew each time. What cannot be
 * read is zero.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdint.h>

enum machine_file {
	MACHINE_STAT,
	MACHINE_MEMINFO,
	MACHINE_LOADAVG,
	MACHINE_UPTIME,
	MACHINE_NET,
	MACHINE_FILES,
};

/**
 * struct machine - Open files, and the processors' counters when they were read last
 * @fds:	-1: not there
 * @disk_fd:	Something on the disk that is reported
 */
struct machine {
	int fds[MACHINE_FILES];
	int disk_fd;
	unsigned int n_cpus;
	uint64_t busy_ticks;
	uint64_t all_ticks;
	double cpu_percent;
};

/** struct machine_look - Octets, packets, per cent, seconds */
struct machine_look {
	double cpu_percent; /* since the look before; since boot at the first */
	unsigned int n_cpus;
	uint64_t memory_total;
	uint64_t memory_available;
	double memory_percent;
	uint64_t disk_total;
	uint64_t disk_used;
	uint64_t disk_free;
	double disk_percent;
	double load[3];
	uint64_t uptime_s;
	uint64_t net_received;
	uint64_t net_sent;
	uint64_t net_packets_received;
	uint64_t net_packets_sent;
};

void machine_init(struct machine *m); /* nothing is open: all zeroes would be standard input */
void machine_open(struct machine *m, const char *on_disk);
void machine_look(struct machine *m, struct machine_look *ret);
void machine_close(struct machine *m);
