# SPDX-License-Identifier: Apache-2.0
"""From a data set and a recipe to trained weights: dataset, augment, cache, loop."""
