# SPDX-License-Identifier: Apache-2.0
"""The page about a recording: plain modules and styles that ``serve``, the demo's report and ``export --web`` share."""
