"""Under Prefect the daily brief is kept as an artifact; other flows leave none."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = pytest.mark.prefect


def test_the_brief_is_an_artifact_of_its_run(prefect_backend, monkeypatch):
    from prefect.client.orchestration import get_client

    from flows import orchestration

    text = "Daily brief of X\n- Debt is 5 USD [1].\n\nRows:\n[1] fact_snapshot block=1"
    monkeypatch.setattr(orchestration, "execute", lambda name, parameters: text)

    async def runs() -> list:
        await orchestration.deployable("peg-health")()
        assert await orchestration.deployable("brief")() == text
        async with get_client() as client:
            return await client.read_artifacts()

    # Other tests of the session keep briefs of their own in the same backend.
    briefs = [found for found in asyncio.run(runs()) if found.key == "daily-brief"]
    [kept] = [found for found in briefs if found.data.startswith("## Daily brief of X\n")]
    assert kept.type == "markdown"
    assert kept.data.startswith("## Daily brief of X\n\n- Debt is 5 USD [1].")
    assert "    [1] fact_snapshot block=1" in kept.data
