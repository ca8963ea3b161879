"""A process as on a file system without unnamed files: it may not link, so that downloads get temporary names."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

# linkat(2) by machine: asm/unistd_64.h and asm-generic/unistd.h.
_LINKAT = {"x86_64": 265, "aarch64": 37}

_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_SECCOMP_RET_ERRNO = 0x0005_0000
_SECCOMP_RET_ALLOW = 0x7FFF_0000
# linux/bpf_common.h: load a word of the call's description, jump if it is equal, return.
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


def forbid_links() -> None:
    """From here on linkat fails with EPERM for this thread and all that it begins, as some sandboxes have it."""
    instructions = [
        (_LOAD, 0, 0, 0),  # the call's number
        (_JUMP_IF_EQUAL, 0, 1, _LINKAT[platform.machine()]),
        (_RETURN, 0, 0, _SECCOMP_RET_ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _SECCOMP_RET_ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions))
    program = ctypes.create_string_buffer(struct.pack("HP", len(instructions), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.c_ulong(ctypes.addressof(program)))
    zero = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if libc.prctl(_PR_SET_SECCOMP, *arguments, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")
    # With a directory Python calls linkat(2), without one link(2).
    directory = os.open("/", os.O_RDONLY)
    try:
        os.link("nowhere", "nowhere", src_dir_fd=directory, dst_dir_fd=directory)
    except PermissionError:
        return
    except FileNotFoundError as error:
        raise RuntimeError("linkat is not forbidden") from error
    finally:
        os.close(directory)
