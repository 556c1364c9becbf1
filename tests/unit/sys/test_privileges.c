/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every check runs in a child of its own, because what it gives up never comes back. The
 * child ends with a number from its own check, or by the signal of the filter.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "sys/privileges.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#	define IS_SANITIZED 1
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#		define IS_SANITIZED 1
#	endif
#endif
#ifndef IS_SANITIZED
#	define IS_SANITIZED 0
#endif

enum { KILLED_BY_FILTER = 1000 };

/* Run @body in a child. Return: its exit code, or 1000 + 0 for SIGSYS, -1 otherwise. */
static int in_child(int (*body)(long), long argument)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(body(argument));
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED_BY_FILTER : -1;
	return WEXITSTATUS(status);
}

struct attempt {
	const char *name;
	long call;
	long args[3];
};

#define TRY(call_, ...)                                                      \
	{                                                                    \
		.name = #call_, .call = SYS_##call_, .args = { __VA_ARGS__ } \
	}

/* One thing each that a taken-over tunnel process would want to do. */
static const struct attempt forbidden[] = {
	TRY(execve, 0),
	TRY(execveat, -1),
	TRY(fork, 0),
	TRY(vfork, 0),
	TRY(clone, SIGCHLD),
	TRY(clone, CLONE_VM | SIGCHLD),
	TRY(ptrace, 0),
	TRY(process_vm_readv, 1),
	TRY(process_vm_writev, 1),
	TRY(kill, 1, 0),
	TRY(tkill, 1, 0),
	TRY(mmap, 0, 4096, PROT_READ | PROT_EXEC),
	TRY(mprotect, 0, 4096, PROT_EXEC),
	TRY(pkey_mprotect, 0, 4096, PROT_EXEC),
	TRY(socket, AF_INET, SOCK_STREAM, 0),
	TRY(socket, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0),
	TRY(socket, AF_INET, SOCK_RAW, 1),
	TRY(socket, AF_PACKET, SOCK_RAW, 0),
	TRY(socket, AF_ALG, SOCK_SEQPACKET, 0),
	TRY(connect, -1),
	TRY(mount, 0),
	TRY(umount2, 0),
	TRY(chroot, 0),
	TRY(pivot_root, 0),
	TRY(setns, -1),
	TRY(unshare, 0),
	TRY(setuid, 0),
	TRY(setresuid, 0),
	TRY(setgid, 0),
	TRY(setgroups, 0),
	TRY(capset, 0),
	TRY(bpf, 0),
	TRY(perf_event_open, 0),
	TRY(userfaultfd, 0),
	TRY(io_uring_setup, 0),
	TRY(keyctl, 0),
	TRY(add_key, 0),
	TRY(init_module, 0),
	TRY(finit_module, -1),
	TRY(delete_module, 0),
	TRY(kexec_load, 0),
	TRY(reboot, 0),
	TRY(settimeofday, 0),
	TRY(clock_settime, 0),
	TRY(rename, 0),
	TRY(link, 0),
	TRY(symlink, 0),
	TRY(mkdir, 0),
	TRY(rmdir, 0),
	TRY(chmod, 0),
	TRY(chown, 0),
	TRY(fchmod, -1),
	TRY(mknod, 0),
	TRY(truncate, 0),
	TRY(creat, 0),
	TRY(name_to_handle_at, -1),
	TRY(open_by_handle_at, -1),
	TRY(prctl, PR_SET_DUMPABLE, 1),
	TRY(prctl, PR_SET_SECCOMP, 0),
	TRY(seccomp, 0),
	TRY(personality, 0),
	TRY(ioctl, 0, 0x5412),	   /* TIOCSTI: typing into a terminal */
	TRY(ioctl, 0, 0x400454ca), /* TUNSETIFF: another interface */
	TRY(shmget, 0),
	TRY(msgget, 0),
	TRY(mq_open, 0),
	TRY(prlimit64, 0, RLIMIT_CORE, 1),
};

static int attempt_as_device(long index)
{
	const struct attempt *a = &forbidden[index];

	if (privileges_no_dump() < 0 || privileges_seccomp_install(PRIVILEGES_DEVICE) < 0)
		return 99;
	syscall(a->call, a->args[0], a->args[1], a->args[2], 0, 0, 0);
	return 1;
}

static void the_device_profile_kills_each_forbidden_call(void)
{
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		int end = in_child(attempt_as_device, (long)i);

		if (end != KILLED_BY_FILTER)
			printf("# %s: ended with %d\n", forbidden[i].name, end);
		CHECK(end == KILLED_BY_FILTER);
	}
}

/* The negative control: without the filter the same calls merely fail. */
static int attempt_without_filter(long index)
{
	const struct attempt *a = &forbidden[index];

	return syscall(a->call, a->args[0], a->args[1], a->args[2], 0, 0, 0) < 0 ? 1 : 2;
}

static void without_the_profile_the_same_calls_only_fail(void)
{
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		if (forbidden[i].call == SYS_connect || forbidden[i].call == SYS_execve)
			CHECK(in_child(attempt_without_filter, (long)i) == 1);
	}
}

#if defined(__x86_64__)
/* getpid as i386 number 20 through the old gate; an amd64 filter would read it as writev. */
static int call_as_i386(long unused)
{
	long number = 20;

	(void)unused;
	if (privileges_seccomp_install(PRIVILEGES_DEVICE) < 0)
		return 99;
	__asm__ volatile("int $0x80" : "+a"(number)::"memory");
	return 1;
}

static int call_as_x32(long unused)
{
	(void)unused;
	if (privileges_seccomp_install(PRIVILEGES_DEVICE) < 0)
		return 99;
	syscall(0x40000000 | SYS_getpid);
	return 1;
}

static void calls_of_other_architectures_kill(void)
{
	CHECK(in_child(call_as_i386, 0) == KILLED_BY_FILTER);
	CHECK(in_child(call_as_x32, 0) == KILLED_BY_FILTER);
}
#else
static void calls_of_other_architectures_kill(void)
{
	printf("# skipped: written for amd64\n");
}
#endif

static int open_files_as_device(long unused)
{
	(void)unused;
	if (privileges_seccomp_install(PRIVILEGES_DEVICE) < 0)
		return 99;
	if (syscall(SYS_open, "/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return 1;
	if (syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return 2;
	if (syscall(SYS_stat, "/etc/passwd", NULL) != -1 || errno != EACCES)
		return 3;
	if (syscall(SYS_readlink, "/proc/self/exe", NULL, 0) != -1 || errno != EACCES)
		return 4;
	return 42;
}

static int attempt_as_driver(long index)
{
	const struct attempt *a = &forbidden[index];

	if (privileges_no_dump() < 0 || privileges_seccomp_install(PRIVILEGES_DRIVER) < 0)
		return 99;
	syscall(a->call, a->args[0], a->args[1], a->args[2], 0, 0, 0);
	return 1;
}

/* A device makes sockets for its ports; a driver has all that it needs. */
static int make_socket_as_driver(long family)
{
	if (privileges_seccomp_install(PRIVILEGES_DRIVER) < 0)
		return 99;
	syscall(SYS_socket, family, SOCK_DGRAM, 0);
	return 1;
}

static int work_as_driver(long unused)
{
	struct pollfd p = { .fd = -1, .events = POLLIN };
	int ends[2];
	char octet = 7;

	(void)unused;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ||
	    privileges_seccomp_install(PRIVILEGES_DRIVER) < 0)
		return 99;
	if (send(ends[0], &octet, 1, 0) != 1 || recv(ends[1], &octet, 1, 0) != 1)
		return 1;
	if (poll(&p, 1, 1) != 0)
		return 2;
	if (syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return 3;
	return 42;
}

static void the_driver_profile_uses_what_is_open_and_no_more(void)
{
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		CHECK(in_child(attempt_as_driver, (long)i) == KILLED_BY_FILTER);
	CHECK(in_child(make_socket_as_driver, AF_INET) == KILLED_BY_FILTER);
	CHECK(in_child(make_socket_as_driver, AF_NETLINK) == KILLED_BY_FILTER);
	CHECK(in_child(make_socket_as_driver, AF_UNIX) == KILLED_BY_FILTER);
	CHECK(in_child(work_as_driver, 0) == 42);
}

static void the_device_profile_refuses_paths_without_killing(void)
{
	CHECK(in_child(open_files_as_device, 0) == 42);
}

static void *return_argument(void *p)
{
	return p;
}

static int work_as_device(long unused)
{
	pthread_t thread;
	void *result = NULL;
	int mark = 0;
	int fd;

	(void)unused;
	if (privileges_no_dump() < 0 || privileges_seccomp_install(PRIVILEGES_DEVICE) < 0)
		return 99;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 65536 }, sizeof(int)) < 0)
		return 1;
	if (socket(AF_INET6, SOCK_DGRAM, 0) < 0 && errno != EAFNOSUPPORT)
		return 2;
	if (socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) < 0)
		return 3;
	if (pthread_create(&thread, NULL, return_argument, &mark) != 0)
		return 4;
	if (pthread_join(thread, &result) != 0 || result != &mark)
		return 5;
	free(malloc(1 << 22));
	return 42;
}

/* --- Connections for peers --- */

static int connect_as_usernet(long unused)
{
	const struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_port = htons(1) };
	int fd = -1;

	(void)unused;
	if (privileges_no_dump() < 0 || privileges_seccomp_install(PRIVILEGES_USERNET) < 0)
		return 99;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 1;
	connect(fd, (const struct sockaddr *)&nowhere, sizeof(nowhere));
	if (socket(AF_INET6, SOCK_STREAM, 0) < 0 && errno != EAFNOSUPPORT)
		return 2;
	if (socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) < 0 && errno != EACCES && errno != EPERM)
		return 3;
	return 42;
}

static const struct attempt forbidden_to_usernet[] = {
	TRY(socket, AF_UNIX, SOCK_STREAM),
	TRY(socket, AF_INET, SOCK_RAW),
	TRY(socket, AF_PACKET, SOCK_RAW),
	TRY(socketpair, AF_UNIX, SOCK_STREAM),
	TRY(execve, 0),
	TRY(ioctl, 0, 0x400454ca), /* TUNSETIFF */
};

static int attempt_as_usernet(long index)
{
	const struct attempt *a = &forbidden_to_usernet[index];

	if (privileges_no_dump() < 0 || privileges_seccomp_install(PRIVILEGES_USERNET) < 0)
		return 99;
	syscall(a->call, a->args[0], a->args[1], a->args[2], 0, 0, 0);
	return 1;
}

static void the_usernet_profile_connects_and_has_no_other_sockets(void)
{
	CHECK(in_child(connect_as_usernet, 0) == 42);
	for (size_t i = 0; i < sizeof(forbidden_to_usernet) / sizeof(forbidden_to_usernet[0]);
	     i++) {
		int end = in_child(attempt_as_usernet, (long)i);

		if (end != KILLED_BY_FILTER)
			printf("# %s: ended with %d\n", forbidden_to_usernet[i].name, end);
		CHECK(end == KILLED_BY_FILTER);
	}
}

static void the_device_profile_lets_a_tunnel_work(void)
{
	if (IS_SANITIZED) {
		printf("# skipped: the sanitizer's own calls are not on the list\n");
		return;
	}
	CHECK(in_child(work_as_device, 0) == 42);
}

static int gateway_attempt(long call)
{
	if (privileges_seccomp_install(PRIVILEGES_GATEWAY) < 0)
		return 99;
	syscall(call, 0, 0, 0, 0, 0, 0);
	return 1;
}

static void the_gateway_profile_starts_no_programs_and_takes_no_rights(void)
{
	const long calls[] = { SYS_execve, SYS_execveat, SYS_fork,  SYS_vfork, SYS_ptrace,
			       SYS_mount,  SYS_unshare,	 SYS_setns, SYS_bpf,   SYS_setuid,
			       SYS_capset, SYS_kill,	 SYS_link,  SYS_chown, SYS_keyctl };

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		CHECK(in_child(gateway_attempt, calls[i]) == KILLED_BY_FILTER);
	CHECK(in_child(gateway_attempt, SYS_getpid) == 1);
}

/* getaddrinfo() asks for one and does without. */
static int open_netlink_as_gateway(long unused)
{
	(void)unused;
	if (privileges_seccomp_install(PRIVILEGES_GATEWAY) < 0)
		return 99;
	return socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT ? 42 : 1;
}

static void the_gateway_profile_refuses_netlink_and_does_not_end_the_process(void)
{
	CHECK(in_child(open_netlink_as_gateway, 0) == 42);
}

static int run_true_under_host_profile(long unused)
{
	char name[] = "true";
	char *const argv[] = { name, NULL };
	int status = 0;
	pid_t pid;

	(void)unused;
	if (privileges_no_dump() < 0 || privileges_seccomp_install(PRIVILEGES_HOST) < 0)
		return 99;
	pid = fork();
	if (pid == 0) {
		execv("/bin/true", argv);
		_exit(9);
	}
	waitpid(pid, &status, 0);
	return status == 0 ? 42 : 1;
}

static int load_module_under_host_profile(long unused)
{
	(void)unused;
	if (privileges_seccomp_install(PRIVILEGES_HOST) < 0)
		return 99;
	syscall(SYS_init_module, 0, 0, 0);
	return 1;
}

static void the_host_profile_starts_programs_and_loads_no_modules(void)
{
	CHECK(in_child(run_true_under_host_profile, 0) == 42);
	CHECK(in_child(load_module_under_host_profile, 0) == KILLED_BY_FILTER);
}

static int give_up_dumps(long unused)
{
	struct rlimit core;

	(void)unused;
	if (privileges_no_dump() < 0)
		return 99;
	if (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 2;
	return 42;
}

static void no_dump_means_no_core_no_tracer_no_new_rights(void)
{
	CHECK(in_child(give_up_dumps, 0) == 42);
}

static bool is_held(int cap, cap_flag_t flag)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	cap_get_flag(caps, cap, flag, &value);
	cap_free(caps);
	return value == CAP_SET;
}

static int keep_net_raw(long is_limit)
{
	const int caps[] = { CAP_NET_RAW };
	int err = is_limit ? privileges_limit_caps(caps, 1) : privileges_keep_caps(caps, 1);

	if (err < 0)
		return 99;
	if (!is_held(CAP_NET_RAW, CAP_EFFECTIVE) || !is_held(CAP_NET_RAW, CAP_PERMITTED))
		return 1;
	for (int cap = 0; cap <= CAP_SYSLOG; cap++) {
		if (cap != CAP_NET_RAW && is_held(cap, CAP_PERMITTED))
			return 2;
		if (cap_get_bound(cap) != (is_limit && cap == CAP_NET_RAW))
			return 3;
	}
	return 42;
}

static int become_nobody(long unused)
{
	(void)unused;
	if (privileges_become(65534, 65534, false) < 0)
		return 99;
	if (geteuid() != 65534 || getegid() != 65534 || getgroups(0, NULL) != 0)
		return 1;
	if (setuid(0) == 0 || is_held(CAP_NET_ADMIN, CAP_PERMITTED))
		return 2;
	return privileges_become(0, 0, false) == -EPERM ? 42 : 3;
}

static void as_root_capabilities_and_user_are_given_up(void)
{
	if (geteuid() != 0 || !is_held(CAP_SETPCAP, CAP_EFFECTIVE)) {
		printf("# skipped: needs root\n");
		return;
	}
	CHECK(in_child(keep_net_raw, 0) == 42);
	CHECK(in_child(keep_net_raw, 1) == 42);
	CHECK(in_child(become_nobody, 0) == 42);
}

static char dir[] = "/tmp/culvert-test-XXXXXX";

static int lock_to_one_directory(long has_directory)
{
	char inside[64], outside[64];
	const char *paths[] = { dir };
	int err, fd;

	snprintf(inside, sizeof(inside), "%s/file", dir);
	snprintf(outside, sizeof(outside), "%s.out", dir);
	err = privileges_landlock(paths, has_directory ? 1 : 0);
	if (err == -ENOTSUP)
		return strstr(privileges_gaps(), "landlock") ? 77 : 97;
	if (err < 0)
		return 99;
	if (open("/etc/passwd", O_RDONLY) >= 0 || open(outside, O_CREAT | O_WRONLY, 0600) >= 0)
		return 1;
	fd = open(inside, O_CREAT | O_RDWR, 0600);
	if ((fd >= 0) != (has_directory != 0))
		return 2;
	if (has_directory)
		unlink(inside);
	return 42;
}

static void landlock_leaves_one_directory_or_none(void)
{
	int none;

	CHECK(mkdtemp(dir));
	none = in_child(lock_to_one_directory, 0);
	if (none == 77) {
		printf("# skipped: this kernel has no Landlock\n");
	} else {
		CHECK(none == 42);
		CHECK(in_child(lock_to_one_directory, 1) == 42);
	}
	CHECK(rmdir(dir) == 0);
}

/* A file and a directory that may be read, one that is not there, and nothing else. */
static int lock_to_reading(long unused)
{
	const char *paths[] = { "/etc/passwd", "/proc/self", "/nonexistent/file" };
	int err = privileges_landlock_reading(NULL, 0, paths, 3);

	(void)unused;
	if (err == -ENOTSUP)
		return 77;
	if (err < 0)
		return 99;
	if (open("/etc/passwd", O_RDONLY) < 0 || open("/proc/self/status", O_RDONLY) < 0)
		return 1;
	if (open("/etc/passwd", O_WRONLY) >= 0 || open("/etc/group", O_RDONLY) >= 0)
		return 2;
	return 42;
}

static void landlock_lets_what_is_named_be_read_and_not_written(void)
{
	int code = in_child(lock_to_reading, 0);

	if (code == 77)
		printf("# skipped: this kernel has no Landlock\n");
	else
		CHECK(code == 42);
}

static int note_gaps(long unused)
{
	(void)unused;
	if (strcmp(privileges_gaps(), "") != 0)
		return 1;
	privileges_add_gap("a");
	privileges_add_gap("b");
	privileges_add_gap("a");
	return strcmp(privileges_gaps(), "a, b") == 0 ? 42 : 2;
}

static void gaps_are_listed_once(void)
{
	CHECK(in_child(note_gaps, 0) == 42);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0); /* children must not repeat what is buffered */
	RUN(the_device_profile_kills_each_forbidden_call);
	RUN(without_the_profile_the_same_calls_only_fail);
	RUN(calls_of_other_architectures_kill);
	RUN(the_device_profile_refuses_paths_without_killing);
	RUN(the_device_profile_lets_a_tunnel_work);
	RUN(the_driver_profile_uses_what_is_open_and_no_more);
	RUN(the_usernet_profile_connects_and_has_no_other_sockets);
	RUN(the_gateway_profile_starts_no_programs_and_takes_no_rights);
	RUN(the_gateway_profile_refuses_netlink_and_does_not_end_the_process);
	RUN(the_host_profile_starts_programs_and_loads_no_modules);
	RUN(no_dump_means_no_core_no_tracer_no_new_rights);
	RUN(as_root_capabilities_and_user_are_given_up);
	RUN(landlock_leaves_one_directory_or_none);
	RUN(landlock_lets_what_is_named_be_read_and_not_written);
	RUN(gaps_are_listed_once);
	return DONE();
}
