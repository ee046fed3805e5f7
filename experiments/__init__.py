# SPDX-License-Identifier: Apache-2.0
"""Studies that answered one question once; their figures are in docs/results. ``benchmarks`` is measured again."""
