# SPDX-License-Identifier: Apache-2.0
"""Models go out: to the Hugging Face hub as repositories of models, and as static Spaces."""
