# SPDX-License-Identifier: Apache-2.0
"""``python -m auricle`` is the command ``auricle``."""

from auricle.cli.main import run

if __name__ == "__main__":
    run()
