# SPDX-License-Identifier: Apache-2.0
"""Models over HTTP: requests with recordings, live streams, and a page for people."""
