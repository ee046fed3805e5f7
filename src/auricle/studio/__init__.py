# SPDX-License-Identifier: Apache-2.0
"""A folder of recordings that a person labels, and the detector that is taught by these labels as they come."""
