"""`wsr resume`: lets go on what was held, or a version that failed."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, What, of_targets
from controller.cli.output import Exit


@click.command()
@of_targets
def resume(*, place: Here | Address, what: What) -> int:
    """Let go on what was stopped, after somebody has looked at why: one stop at a time, the outermost first.

    With TARGETs, what `wsr hold` said of them is lifted. An object that is held is no longer. Of one that is not, the
    version goes on: what failed or was held back is tried again, whoever was told to build an image (Dispatch) and has not
    delivered is told again, and moving tags that somebody else moved are taken back. --all lifts holds of objects only.

    Of the object NAME in a cluster its operator is asked, by annotation runtime.molecule.ai/resume, and waited for.

    Example: wsr resume -f runtime.yaml
    """
    from controller.cli import _hold  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    if _hold.release(place, what):
        return Exit.DONE
    if what.everything:
        click.echo("No object is held; nothing was changed.")
    elif isinstance(place, Here):
        from controller.cli import _resume  # noqa: PLC0415 -- the same

        click.echo(_resume.resume_version(place.file, state=place.state, secrets=place.secrets))
    else:
        from controller.cli import _of_cluster  # noqa: PLC0415 -- the same

        click.echo(_of_cluster.resume(place))
    return Exit.DONE
