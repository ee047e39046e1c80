"""The verb `export`: a trained network for other programs and chips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from dvspipe.cli.common import Json, app, finish


@app.command
def export(
    run: Path,
    /,
    *,
    format: Annotated[Literal["safetensors", "nir", "onnx"], Parameter(help="What to write.")],
    out: Path | None = None,
    opset: int | None = None,
    dt_us: float | None = None,
    merge: Annotated[bool, Parameter(negative=())] = False,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace what is there.")] = False,
    json: Json = False,
) -> int:
    """Writes a trained network as safetensors, NIR (without attention) or ONNX (one step, causal), with a model card.

    Parameters
    ----------
    run
        The folder of a trained run.
    out
        File to write; the model card lies beside it as <out>.md. Default: RUN/export/<name>.<format>
    opset
        Of ONNX. Default: 18.
    dt_us
        Of NIR: the Euler step that time constants are for. Default: the time bin; snnTorch always steps by 100.
    merge
        Of NIR: mean pools and resistances become part of the weights, for readers that lack them (Norse 1.1).
    """
    from dvspipe.jobs.export import export as job

    return finish("export", job(run, format, out, opset, dt_us, merge, overwrite), json)
