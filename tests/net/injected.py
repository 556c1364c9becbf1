# SPDX-License-Identifier: Apache-2.0
"""Make a running process call the kernel: what its system call filter says to a call it never makes.

    outcome = injected.call(pid, "openat", AT_FDCWD, b"/etc/passwd", 0)

The main thread is stopped where it sleeps, calls once more with other registers, and goes on as
if a signal had woken it. For x86_64, by ptrace(2); the caller needs CAP_SYS_PTRACE.
"""

import ctypes
import os
import platform
import signal
import struct

POKEDATA, GETREGS, SETREGS, DETACH, SYSCALL, SEIZE, INTERRUPT = 5, 12, 13, 17, 24, 0x4206, 0x4207
WALL = 0x40000000
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
             "fs_base gs_base ds es fs gs").split()
ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
NUMBERS = {"open": 2, "stat": 4, "mprotect": 10, "socket": 41, "connect": 42, "clone": 56, "fork": 57, "execve": 59,
           "kill": 62, "rename": 82, "unlink": 87, "chmod": 90, "ptrace": 101, "mount": 165, "init_module": 175,
           "openat": 257, "unshare": 272, "bpf": 321, "execveat": 322, "getppid": 110, "setuid": 105}
SYSCALL_OCTETS = 2  # of the instruction, which the stopped thread has just behind it
RED_ZONE = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class Killed(Exception):
    """The call ended the process, by this signal."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.signal = number


def is_possible():
    return platform.machine() == "x86_64"


def _ptrace(request, pid, address=None, data=None):
    if _libc.ptrace(request, pid, address, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def _wait(pid):
    status = os.waitpid(pid, WALL)[1]
    if not os.WIFSTOPPED(status):
        raise Killed(os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGKILL)


def _registers(pid):
    buffer = ctypes.create_string_buffer(8 * len(REGISTERS))
    _ptrace(GETREGS, pid, None, ctypes.addressof(buffer))
    return dict(zip(REGISTERS, struct.unpack(f"{len(REGISTERS)}Q", buffer.raw)))


def _set_registers(pid, values):
    mask = (1 << 64) - 1
    buffer = ctypes.create_string_buffer(struct.pack(f"{len(REGISTERS)}Q", *(values[r] & mask for r in REGISTERS)))
    _ptrace(SETREGS, pid, None, ctypes.addressof(buffer))


def _place(pid, where, text):
    text += bytes(8 - len(text) % 8)
    for at in range(0, len(text), 8):
        _ptrace(POKEDATA, pid, where + at, struct.unpack_from("Q", text, at)[0])


def call(pid, name, *arguments):
    """The result of one system call, -errno included. Octets become a pointer. Raises Killed."""
    _ptrace(SEIZE, pid)
    _ptrace(INTERRUPT, pid)
    _wait(pid)
    before = _registers(pid)
    registers = {**before, "rip": before["rip"] - SYSCALL_OCTETS, "rax": NUMBERS[name], "orig_rax": -1}
    room = before["rsp"] - RED_ZONE & ~15
    for register, value in zip(ARGUMENTS, arguments):
        if isinstance(value, bytes):
            _place(pid, room, value + b"\0")
            value, room = room, room + (len(value) + 16 & ~15)
        registers[register] = value
    _set_registers(pid, registers)
    for _ in ("in", "out"):
        _ptrace(SYSCALL, pid)
        _wait(pid)
    result = ctypes.c_long(_registers(pid)["rax"]).value
    _set_registers(pid, {**before, "rax": -4, "orig_rax": -1})  # it slept, and was interrupted
    _ptrace(SYSCALL, pid)
    _wait(pid)  # a signal that the call deserved comes on the way back to the program
    _ptrace(DETACH, pid)
    return result
