# SPDX-License-Identifier: Apache-2.0
"""The networks themselves, as torch modules: what files in ``nn.models`` build."""
