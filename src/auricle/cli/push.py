# SPDX-License-Identifier: Apache-2.0
"""``auricle push``: a model goes to the Hugging Face hub."""

from __future__ import annotations

import sys

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import FormOptions
from auricle.recipe.model_requests import PushRequest


@guarded
@grouped
def push(request: PushRequest, *, screen: FormOptions) -> None:
    """Push a model to the Hugging Face hub: network, weights, specification with hashes, and card; never code.

    It is private unless --public is given. Log in once with `hf auth login`, or set HF_TOKEN.

    Example:
      auricle push models/yard org/yard --dry-run
      auricle push models/yard org/yard --license apache-2.0 --public
      auricle detect night.flac --model hf:org/yard
    """
    from auricle import api
    from auricle.cli.report_output import print_object
    from auricle.cli.tables import print_table

    result = api.push(request)
    if screen.format == "json":
        print_object(result.to_dict(), sys.stdout)
        return
    print_table(
        ("file", "bytes", "sha256"), ((f.name, len(f.content), f.sha256[:16]) for f in result.files), sys.stdout
    )
    state = "private" if result.private else "public"
    print(
        f"would go to {result.url} ({state})" if result.dry_run else f"{result.url} ({state}), commit {result.commit}"
    )
