# SPDX-License-Identifier: Apache-2.0
"""When, where and with what a recording was made: what its name and the metadata in its header say."""
