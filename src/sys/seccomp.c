/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system call filters. One table per set of calls; a profile is a list of tables.
 * Calls whose danger lies in an argument have a row in a table of conditions instead.
 *
 * The data path pays for this on every call. Rows without a condition cost almost nothing
 * (the kernel keeps their verdict in a bitmap), so calls of the data path have none.
 */
#include <errno.h>

#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "sys/privileges.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#	define IS_SANITIZED 1
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
		__has_feature(memory_sanitizer)
#		define IS_SANITIZED 1
#	endif
#endif
#ifndef IS_SANITIZED
#	define IS_SANITIZED 0
#endif

enum {
	NAMES_END = -1000000, /* no call has this number, not even libseccomp's made-up ones */
	SOCK_KIND_MASK = 0xf, /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
};

#define CALL(name) SCMP_SYS(name)

/* What every process does: memory, time, signals, threads' locks, files it already holds. */
static const int calls_common[] = {
	CALL(read),
	CALL(readv),
	CALL(write),
	CALL(writev),
	CALL(close),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(fcntl),
	CALL(lseek),
	CALL(recvmmsg),
	CALL(recvmsg),
	CALL(recvfrom),
	CALL(sendmsg),
	CALL(sendmmsg),
	CALL(sendto),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_pwait2),
	CALL(poll),
	CALL(ppoll),
	CALL(select),
	CALL(pselect6),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	CALL(signalfd4),
	CALL(pipe2),
	CALL(accept4),
	CALL(accept),
	CALL(bind),
	CALL(listen),
	CALL(shutdown),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(getsockname),
	CALL(getpeername),
	CALL(futex),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(mlock),
	CALL(munlock),
	CALL(brk),
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(clock_nanosleep),
	CALL(gettimeofday),
	CALL(time),
	CALL(nanosleep),
	CALL(getrandom),
	CALL(exit),
	CALL(exit_group),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(rt_sigtimedwait),
	CALL(rt_sigpending),
	CALL(sigaltstack),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(sched_setaffinity),
	CALL(restart_syscall),
	CALL(getpid),
	CALL(gettid),
	CALL(getppid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(tgkill),
	CALL(set_robust_list),
	CALL(set_tid_address),
	CALL(rseq),
	CALL(getrusage),
	CALL(times),
	CALL(sysinfo),
	CALL(uname),
	CALL(unlink),
	CALL(unlinkat),
	CALL(inotify_init1),
	CALL(inotify_add_watch),
	CALL(inotify_rm_watch),
	NAMES_END,
};

/* Files below one directory (SQLite and its journal), and being an HTTP server. */
static const int calls_files[] = {
	CALL(open),
	CALL(openat),
	CALL(stat),
	CALL(lstat),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fstatfs),
	CALL(statfs),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(readlinkat),
	CALL(getcwd),
	CALL(pread64),
	CALL(pwrite64),
	CALL(preadv),
	CALL(pwritev),
	CALL(preadv2),
	CALL(pwritev2),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(fadvise64),
	CALL(fsync),
	CALL(fdatasync),
	CALL(sync_file_range),
	CALL(flock),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(mkdir),
	CALL(mkdirat),
	CALL(rmdir),
	CALL(getdents64),
	CALL(chmod),
	CALL(fchmod),
	CALL(fchmodat),
	CALL(fchown),
	CALL(umask),
	CALL(utimensat),
	CALL(msync),
	CALL(sendfile),
	CALL(connect),
	CALL(socketpair),
	CALL(memfd_create),
	CALL(membarrier),
	CALL(getitimer),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(mincore),
	NAMES_END,
};

/* A proxy: octets from socket to socket, and the files that the system's resolver reads. */
static const int calls_proxy[] = {
	CALL(splice),	  CALL(open),	    CALL(openat),     CALL(stat),	CALL(lstat),
	CALL(fstat),	  CALL(newfstatat), CALL(statx),      CALL(fstatfs),	CALL(access),
	CALL(faccessat),  CALL(faccessat2), CALL(readlink),   CALL(readlinkat), CALL(pread64),
	CALL(getdents64), CALL(fadvise64),  CALL(membarrier), NAMES_END,
};

/* Asking for a file by its path: refused, not killed, because libraries try and carry on. */
static const int calls_by_path[] = {
	CALL(open),	  CALL(openat),	  CALL(openat2),    CALL(stat),	  CALL(lstat),
	CALL(newfstatat), CALL(fstat),	  CALL(statx),	    CALL(access), CALL(faccessat),
	CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getcwd), NAMES_END,
};

/* What neither the host process nor any program it starts ever needs. */
static const int calls_never[] = {
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(kexec_load),
	CALL(kexec_file_load),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(bpf),
	CALL(perf_event_open),
	CALL(userfaultfd),
	CALL(keyctl),
	CALL(add_key),
	CALL(request_key),
	CALL(mount),
	CALL(umount2),
	CALL(pivot_root),
	CALL(move_mount),
	CALL(open_tree),
	CALL(fsopen),
	CALL(fsmount),
	CALL(fsconfig),
	CALL(fspick),
	CALL(chroot),
	CALL(setns),
	CALL(unshare),
	CALL(reboot),
	CALL(swapon),
	CALL(swapoff),
	CALL(iopl),
	CALL(ioperm),
	CALL(acct),
	CALL(quotactl),
	CALL(syslog),
	CALL(settimeofday),
	CALL(clock_settime),
	CALL(adjtimex),
	CALL(clock_adjtime),
	CALL(sethostname),
	CALL(setdomainname),
	CALL(personality),
	CALL(mknod),
	CALL(mknodat),
	CALL(open_by_handle_at),
	CALL(io_uring_setup),
	CALL(io_uring_enter),
	CALL(io_uring_register),
	CALL(vhangup),
	CALL(modify_ldt),
	CALL(lookup_dcookie),
	CALL(pidfd_getfd),
	CALL(process_madvise),
	CALL(nfsservctl),
	NAMES_END,
};

/**
 * struct condition - A call that is allowed when one or two arguments are right
 * @n:	How many of @args count, all of which must hold
 */
struct condition {
	int call;
	unsigned int n;
	struct scmp_arg_cmp args[3];
};

#define WHEN1(name, a)         \
	{                      \
		CALL(name), 1, \
		{              \
			a      \
		}              \
	}
#define WHEN2(name, a, b)      \
	{                      \
		CALL(name), 2, \
		{              \
			a, b   \
		}              \
	}
#define WHEN3(name, a, b, c)    \
	{                       \
		CALL(name), 3,  \
		{               \
			a, b, c \
		}               \
	}
#define IS(arg, value)                                     \
	{                                                  \
		arg, SCMP_CMP_EQ, (scmp_datum_t)(value), 0 \
	}
#define WITHOUT(arg, bit)                                       \
	{                                                       \
		arg, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(bit), 0 \
	}
#define WITH(arg, bits)                                                             \
	{                                                                           \
		arg, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(bits), (scmp_datum_t)(bits) \
	}
#define LOW32(arg, value)                                                  \
	{                                                                  \
		arg, SCMP_CMP_MASKED_EQ, 0xffffffff, (scmp_datum_t)(value) \
	}
#define KIND(arg, value)                                                       \
	{                                                                      \
		arg, SCMP_CMP_MASKED_EQ, SOCK_KIND_MASK, (scmp_datum_t)(value) \
	}

static const struct condition when_common[] = {
	WHEN1(mmap, WITHOUT(2, PROT_EXEC)),
	WHEN1(mprotect, WITHOUT(2, PROT_EXEC)),
	WHEN1(clone, WITH(0, CLONE_THREAD | CLONE_VM)), /* threads, not processes */
	WHEN1(prctl, LOW32(0, PR_SET_NAME)),
	WHEN1(prctl, LOW32(0, PR_GET_NAME)),
	WHEN1(prctl, LOW32(0, 0x53564d41)), /* PR_SET_VMA: names for malloc's arenas */
	WHEN1(prlimit64, IS(2, 0)),	    /* asking */
	WHEN1(getrlimit, WITHOUT(0, 0)),
	WHEN1(ioctl, LOW32(1, FIONREAD)),
	WHEN1(ioctl, LOW32(1, FIONBIO)),
	WHEN1(ioctl, LOW32(1, 0x5401)), /* TCGETS: is it a terminal? */
	{ 0 },
};

static const struct condition when_device[] = {
	WHEN2(socket, LOW32(0, AF_INET), KIND(1, SOCK_DGRAM)),
	WHEN2(socket, LOW32(0, AF_INET6), KIND(1, SOCK_DGRAM)),
	WHEN1(socket, LOW32(0, AF_NETLINK)),
	WHEN1(socket, LOW32(0, AF_UNIX)),
	WHEN1(ioctl, LOW32(1, TUNSETOFFLOAD)),
	WHEN1(ioctl, LOW32(1, TUNSETVNETHDRSZ)),
	WHEN1(ioctl, LOW32(1, TUNSETQUEUE)),
	WHEN1(ioctl, LOW32(1, TUNGETIFF)),
	WHEN1(ioctl, LOW32(1, TUNGETFEATURES)),
	WHEN1(ioctl, LOW32(1, SIOCGIFMTU)),
	WHEN1(ioctl, LOW32(1, SIOCGIFFLAGS)),
	WHEN1(ioctl, LOW32(1, SIOCGIFINDEX)),
	WHEN1(ioctl, LOW32(1, SIOCGIFNAME)),
	{ 0 },
};

/* Connections for peers. A Unix socket is another way to this host's services: none. */
static const struct condition when_usernet[] = {
	WHEN2(socket, LOW32(0, AF_INET), KIND(1, SOCK_DGRAM)),
	WHEN2(socket, LOW32(0, AF_INET6), KIND(1, SOCK_DGRAM)),
	WHEN2(socket, LOW32(0, AF_INET), KIND(1, SOCK_STREAM)),
	WHEN2(socket, LOW32(0, AF_INET6), KIND(1, SOCK_STREAM)),
	WHEN1(socket, LOW32(0, AF_NETLINK)),
	/* Echo requests, for who has the right to. */
	WHEN3(socket, LOW32(0, AF_INET), KIND(1, SOCK_RAW), LOW32(2, IPPROTO_ICMP)),
	WHEN3(socket, LOW32(0, AF_INET6), KIND(1, SOCK_RAW), LOW32(2, IPPROTO_ICMPV6)),
	WHEN1(connect, WITHOUT(0, 0)),
	WHEN1(splice, WITHOUT(0, 0)),
	{ 0 },
};

static const struct condition when_gateway[] = {
	WHEN1(setpriority, LOW32(0, PRIO_PROCESS)), /* of its own threads, and only down */
	WHEN1(socket, LOW32(0, AF_INET)),
	WHEN1(socket, LOW32(0, AF_INET6)),
	WHEN1(socket, LOW32(0, AF_UNIX)),
	/* getaddrinfo() asks which addresses this host has; to change anything needs a right. */
	WHEN2(socket, LOW32(0, AF_NETLINK), LOW32(2, NETLINK_ROUTE)),
	WHEN1(ioctl, LOW32(1, 0x5413)), /* TIOCGWINSZ */
	{ 0 },
};

static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls)
{
	for (; *calls != NAMES_END; calls++) {
		int err = seccomp_rule_add(filter, action, *calls, 0);

		/* EEXIST: the default already says so. EDOM: not a call of this architecture. */
		if (err < 0 && err != -EEXIST && err != -EDOM)
			return err;
	}
	return 0;
}

static int add_conditions(scmp_filter_ctx filter, const struct condition *row)
{
	for (; row->n > 0; row++) {
		int err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, row->call, row->n,
						 row->args);

		if (err < 0 && err != -EDOM)
			return err;
	}
	return 0;
}

static int add_device(scmp_filter_ctx filter)
{
	int err = add_calls(filter, SCMP_ACT_ERRNO(EACCES), calls_by_path);

	return err < 0 ? err : add_conditions(filter, when_device);
}

static int add_usernet(scmp_filter_ctx filter)
{
	int err = add_calls(filter, SCMP_ACT_ERRNO(EACCES), calls_by_path);

	return err < 0 ? err : add_conditions(filter, when_usernet);
}

static int add_proxy(scmp_filter_ctx filter)
{
	/* The resolver does without what it would have to load now, or ask over a Unix socket. */
	const struct scmp_arg_cmp unix_socket = LOW32(0, AF_UNIX);
	const struct scmp_arg_cmp code = WITH(2, PROT_EXEC);
	int err = add_calls(filter, SCMP_ACT_ALLOW, calls_proxy);

	if (err == 0)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), CALL(socket),
					     1, &unix_socket);
	if (err == 0)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), CALL(mmap), 1,
					     &code);
	return err < 0 ? err : add_conditions(filter, when_usernet);
}

static int add_gateway(scmp_filter_ctx filter)
{
	/* getaddrinfo() asks which families there are, and does without an answer. */
	const struct scmp_arg_cmp netlink = LOW32(0, AF_NETLINK);
	int err = add_calls(filter, SCMP_ACT_ALLOW, calls_files);

	if (err == 0)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), CALL(socket),
					     1, &netlink);
	return err < 0 ? err : add_conditions(filter, when_gateway);
}

/* What all but HOST share. */
static int add_common(scmp_filter_ctx filter)
{
	int err = add_calls(filter, SCMP_ACT_ALLOW, calls_common);

	if (err == 0)
		err = add_conditions(filter, when_common);
	if (err == 0) /* its flags lie in memory, out of a filter's sight */
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
	return err;
}

static int add_profile(scmp_filter_ctx filter, enum privileges_profile profile)
{
	int err = profile == PRIVILEGES_HOST ? 0 : add_common(filter);

	if (err < 0)
		return err;
	switch (profile) {
	case PRIVILEGES_DEVICE:
		return add_device(filter);
	case PRIVILEGES_USERNET:
		return add_usernet(filter);
	case PRIVILEGES_GATEWAY:
		return add_gateway(filter);
	case PRIVILEGES_DRIVER:
		return add_calls(filter, SCMP_ACT_ERRNO(EACCES), calls_by_path);
	case PRIVILEGES_PROXY:
		return add_proxy(filter);
	case PRIVILEGES_HOST:
		return add_calls(filter, SCMP_ACT_KILL_PROCESS, calls_never);
	}
	return -EINVAL;
}

int privileges_seccomp_install(enum privileges_profile profile)
{
	uint32_t otherwise =
		profile == PRIVILEGES_HOST ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS;
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int err;

	if (!filter)
		return -ENOMEM;
	err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (err == 0)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (err == 0)
		err = add_profile(filter, profile);
	if (err == 0)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

uint64_t privileges_seccomp_fingerprint(void)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (const int *call = calls_never; *call != NAMES_END; call++)
		hash = (hash ^ (uint32_t)*call) * UINT64_C(0x100000001b3);
	return hash | 1;
}

bool privileges_is_sanitized(void)
{
	return IS_SANITIZED;
}

int privileges_seccomp(enum privileges_profile profile)
{
	if (privileges_is_sanitized()) {
		privileges_add_gap("seccomp (sanitizer build)");
		return 0;
	}
	return privileges_seccomp_install(profile);
}
