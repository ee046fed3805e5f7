# SPDX-License-Identifier: Apache-2.0
"""``auricle data fetch``: public data sets, downloaded, verified and unpacked."""
