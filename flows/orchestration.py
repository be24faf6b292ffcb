"""The flows under Prefect, for schedules, retries and the record of runs. prefect.yaml points here.

This module has no logic of its own: `python -m flows NAME` and a Prefect run execute the same functions. Every flow of
`flows.registry` is an attribute of this module under its name with underscores, and its options are the parameters,
with their types and bounds; options that do not fit them fail before anything runs. Only flows that read a network are
retried, and only when the source could not be reached; other errors are final.
"""

from __future__ import annotations

import asyncio
from inspect import Parameter
from typing import Any

from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact

from data.foreign_text import safe_print
from flows import registry
from flows.daily import execute, stages
from flows.errors import SourceUnavailable
from flows.options import Options, signature


async def _source_was_away(task: Any, task_run: Any, state: Any) -> bool:
    return isinstance(await state.aresult(raise_on_failure=False), SourceUnavailable)


@task(
    name="read a source",
    task_run_name="{name}",
    retries=2,
    retry_delay_seconds=[60, 300],
    retry_jitter_factor=0.5,
    retry_condition_fn=_source_was_away,
)
async def read_source(name: str, parameters: dict[str, Any]) -> str:
    """A stage that reads a network: repeated later when the source could not be reached."""
    return await asyncio.to_thread(execute, name, parameters)


@task(name="compute", task_run_name="{name}")
async def compute(name: str, parameters: dict[str, Any]) -> str:
    """A stage that reads the warehouse only: never retried, the same input gives the same answer."""
    return await asyncio.to_thread(execute, name, parameters)


async def _one(name: str, parameters: dict[str, Any]) -> str:
    said = await (read_source if registry.NAMES[name].reads_network else compute)(name, parameters)
    if name == "brief":
        await publish_brief(said)
    return said


async def publish_brief(text: str) -> None:
    """Keep the daily brief as an artifact of the run: its key is `daily-brief`, each run is a further version."""
    head, *lines = text.split("\n")
    body = "\n".join(f"    {line}" if line.startswith("[") else line for line in lines)
    await acreate_markdown_artifact(f"## {head}\n\n{body}\n", key="daily-brief", description=head)


async def _day(name: str, parameters: dict[str, Any]) -> str:
    """Everything in order, on the newest state of the market, a task for each stage; see `flows.daily`."""
    asked = registry.options(name).of(name, parameters)
    lines = []
    for stage in await asyncio.to_thread(stages, asked.paths, asked.seed):
        line = f"skipped, {stage.skipped}" if stage.skipped else await _one(stage.flow, stage.parameters)
        lines.append(f"{stage.flow}: {line}")
        safe_print(lines[-1])
    return "\n".join(lines)


def deployable(name: str) -> Any:
    """The Prefect flow of a registered flow: its options as parameters, and its summary.

    `parameters`, a mapping of options by name, is the older form of the same; its values win.
    """
    options: type[Options] = registry.options(name)

    # Asynchronous: a synchronous flow waits a second at its end for Prefect's heartbeat thread.
    async def asked(*, parameters: dict[str, Any] | None = None, **given: Any) -> str:
        chosen = options.of(name, given | (parameters or {})).chosen()
        return await (_day if name == "daily" else _one)(name, chosen)

    older = Parameter("parameters", Parameter.KEYWORD_ONLY, default=None, annotation=dict[str, Any] | None)
    about = {field: options.model_fields[field].description or "" for field in options.model_fields}
    about["parameters"] = "the same options by name, the older form; its values win"
    lines = "\n".join(f"    {field}: {text}" for field, text in about.items())
    asked.__name__ = asked.__qualname__ = attribute(name)
    asked.__doc__ = f"{registry.NAMES[name].summary}\n\nArgs:\n{lines}\n"
    asked.__signature__ = signature(options, parameters=older)  # type: ignore[attr-defined]
    return flow(name=name, log_prints=True)(asked)


def attribute(name: str) -> str:
    """Name of the flow in this module: the last part of its entrypoint in prefect.yaml."""
    return name.replace("-", "_")


# A loop, so that the registry stays the one place where a flow is registered.
globals().update({attribute(name): deployable(name) for name in registry.available()})
