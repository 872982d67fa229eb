"""What the allocator keeps of what has been freed."""

import subprocess
import sys

LARGE = 16 * 1024 * 1024
SCRIPT = f"""
import ctypes
import threading

from gateway.host import anonymous_bytes, keep_little_free_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for name in ("free", "memset"):
    getattr(libc, name).argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t][: 1 if name == "free" else 3]


def use():
    for _ in range(3):
        piece = libc.malloc({LARGE})
        libc.memset(piece, 1, {LARGE})
        libc.free(piece)
    seen.append(anonymous_bytes() - before)


PREPARE
seen = []
before = anonymous_bytes()
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(seen[0])
"""


def kept_bytes(prepare: str) -> int:
    script = SCRIPT.replace("PREPARE", prepare)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_a_thread_keeps_no_large_piece_that_it_has_freed() -> None:
    assert kept_bytes("keep_little_free_memory()") < LARGE // 2


def test_a_thread_keeps_one_where_nobody_has_said_otherwise() -> None:
    assert kept_bytes("") > LARGE // 2
