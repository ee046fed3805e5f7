# SPDX-License-Identifier: Apache-2.0
"""Run a command and print its wall seconds, processor seconds and peak memory in MB as JSON.

A script of its own and of the standard library alone: a process begins with the peak of the one that started it, so a
large parent would be measured instead of a small child.

    python -I -S benchmarks/watched.py COMMAND ...
"""

import json
import os
import sys
import time


def main() -> None:
    start = time.perf_counter()
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[nowhere])
    _, status, usage = os.wait4(process, 0)
    found = {
        "wall_s": round(time.perf_counter() - start, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }
    print(json.dumps(found))
    raise SystemExit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
