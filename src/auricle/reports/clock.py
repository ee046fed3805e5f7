# SPDX-License-Identifier: Apache-2.0
"""Times on an axis, for people."""

from __future__ import annotations

_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200)
_MOST_TICKS = 12


def time_ticks(duration_s: float) -> list[tuple[str, float]]:
    """Return labels of times and where they lie, percent of the width: round steps, a dozen at most.

    >>> time_ticks(20)[:3]
    [('0:00', 0.0), ('0:02', 10.0), ('0:04', 20.0)]
    """
    if duration_s <= 0:
        return []
    step = next((s for s in _STEPS_S if duration_s / s <= _MOST_TICKS), _STEPS_S[-1])
    count = int(duration_s / step + 1e-9) + 1
    return [(spell_time(i * step, tenths=step < 1), round(100 * i * step / duration_s, 3)) for i in range(count)]


def spell_time(seconds: float, *, tenths: bool = False) -> str:
    """Return a time on a clock, hours only where needed.

    >>> spell_time(3725), spell_time(75), spell_time(0.25, tenths=True)
    ('1:02:05', '1:15', '0.2 s')
    """
    if tenths:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
