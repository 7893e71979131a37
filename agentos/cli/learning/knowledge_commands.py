"""``agentos knowledge``: look into a knowledge base, and correct it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentos.cli.arguments import AsJson

if TYPE_CHECKING:
    from agentos.learning.knowledge.storage.changes import Moved, Weighed
    from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase
    from agents.knowledge.claims import Claim

knowledge = typer.Typer(
    no_args_is_help=True, help="Look into a knowledge base, and correct it.", rich_markup_mode=None
)
Base = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a knowledge base.")]
Digest = Annotated[str, typer.Argument(metavar="CLAIM", help="A digest, or its first digits.")]


@knowledge.command()
def show(
    directory: Base,
    status: Annotated[str, typer.Option(help="Only this status.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the claims that stand, and how many there are of each status."""
    base = _read(directory)
    standing = [c for digest, c in base.state.claims.items() if digest not in base.state.wholes]
    counts = Counter(claim.status for claim in standing)
    shown = [claim for claim in standing if status in ("", claim.status)]
    if as_json:
        facts = {"counts": counts, "records": base.records, "state": base.state.digest()}
        _print_json({**facts, "claims": [_facts(claim) for claim in shown]})
        return
    for claim in shown:
        _print(_line(claim))
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no claims"
    _print(f"{told}; {base.records} records; state {base.state.digest()}")


@knowledge.command()
def why(directory: Base, claim: Digest, as_json: AsJson = False) -> None:
    """Show what stands behind a claim: origins, merged parts, rivals, weights, decisions."""
    told = _read(directory).why(claim)
    if as_json:
        _print_json(
            {
                "claim": _facts(told.claim),
                "merged_into": None if told.whole is None else _facts(told.whole),
                "merged_from": [_facts(part) for part in told.parts],
                "rivals": [_facts(rival) for rival in told.rivals],
                "decisions": [each.model_dump(mode="json") for each in told.decisions],
            }
        )
        return
    _print(_line(told.claim))
    _print(f"sources: {', '.join(told.claim.sources)}; origins: {', '.join(told.claim.origins)}")
    if told.whole is not None:
        _print(f"merged into: {_line(told.whole)}")
    for part in told.parts:
        _print(f"merged from: {_line(part)}")
    for rival in told.rivals:
        _print(f"rival: {_line(rival)}")
    for decision in told.decisions:
        _print(_decision(decision))


@knowledge.command()
def search(
    directory: Base,
    text: Annotated[str, typer.Argument(help="A label, source, origin or word.")],
    as_json: AsJson = False,
) -> None:
    """List claims whose labels, sources, origins or public text contain a string."""
    wanted, found = text.casefold(), []
    for claim in _read(directory).state.claims.values():
        parts = [name for name, _ in claim.labels] + [*claim.sources, *claim.origins, claim.text]
        if any(wanted in part.casefold() for part in parts):
            found.append(claim)
    if as_json:
        _print_json([_facts(claim) for claim in found])
        return
    for claim in found:
        _print(_line(claim))
    if not found:
        _print("no claims")


@knowledge.command()
def diff(
    directory: Base,
    since: Annotated[int, typer.Argument(help="Number of records before.")],
    as_json: AsJson = False,
) -> None:
    """List claims that are new or have another status than after the first records of the log."""
    base = _read(directory)
    before, now = base.at(since).claims, base.state.claims
    new = [claim for digest, claim in now.items() if digest not in before]
    moved = [
        c for digest, c in now.items() if digest in before and before[digest].status != c.status
    ]
    gone = [claim for digest, claim in before.items() if digest not in now]
    if as_json:
        was = [{**_facts(claim), "was": before[claim.digest].status} for claim in moved]
        _print_json({"new": [*map(_facts, new)], "moved": was, "gone": [*map(_facts, gone)]})
        return
    for claim in new:
        _print(f"+ {_line(claim)}")
    for claim in moved:
        _print(f"~ {_line(claim)}, was {before[claim.digest].status}")
    for claim in gone:
        _print(f"- {_line(claim)}")
    if not (new or moved or gone):
        _print("nothing has changed since")


@knowledge.command()
def retract(
    directory: Base,
    claim: Digest,
    reason: Annotated[str, typer.Option(help="Why, for readers of the log.")],
    as_json: AsJson = False,
) -> None:
    """Retract a claim; the log keeps it, and `why` shows the reason."""
    from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase

    with KnowledgeBase.open(directory) as base:
        digest = base.claim(claim).digest
        base.move([digest], "retracted", reason)
        retracted = base.state.claims[digest]
    if as_json:
        _print_json(_facts(retracted))
    else:
        _print(_line(retracted))


@knowledge.command()
def export(
    directory: Base,
    out: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSONL file; replaced if it is there.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write the claims that stand as JSON lines."""
    from agentos.learning.knowledge.storage.changes import claim_to_json
    from agentos.records.atomic_files import replacing

    state = _read(directory).state
    standing = [claim for digest, claim in state.claims.items() if digest not in state.wholes]
    lines = [json.dumps({"digest": c.digest, **claim_to_json(c)}) + "\n" for c in standing]
    with replacing(out) as draft:
        draft.write_text("".join(lines), encoding="utf-8")
    if as_json:
        _print_json({"claims": len(lines), "file": str(out)})
    else:
        _print(f"{len(lines)} claims: {out}")


@knowledge.command()
def check(directory: Base, as_json: AsJson = False) -> None:
    """Read every record, and compare its checksum."""
    base = _read(directory)
    if as_json:
        _print_json({"records": base.records, "claims": len(base.state.claims)})
        return
    _print(f"sound: {base.records} records, {len(base.state.claims)} claims")


def _read(directory: Path) -> KnowledgeBase:
    from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase

    return KnowledgeBase.read(directory)


def _facts(claim: Claim) -> dict[str, Any]:
    """Return a claim without its embedding, which `export` writes."""
    return {"digest": claim.digest, **claim.model_dump(mode="json", exclude={"embedding"})}


def _print_json(values: Any) -> None:
    typer.echo(json.dumps(values, indent=2))


def _line(claim: Claim) -> str:
    labels = ", ".join(f"{name} {count:g}" for name, count in claim.labels)
    return f"{claim.digest[:12]} {claim.status} {claim.kind}: {labels}"


def _decision(decision: Moved | Weighed) -> str:
    if decision.kind == "moved":
        by = f"; asked for by {', '.join(decision.by)}" if decision.by else ""
        return f"{decision.status}: {decision.reason}{by}"
    shares, trust = (
        ", ".join(f"{name} {value:.2f}" for name, value in sorted(values.items()))
        for values in (decision.shares, decision.weights)
    )
    return f"weighed by {decision.resolver}: probability of {shares}; trust in {trust}"


def _print(text: str) -> None:
    from agentos.cli.display.console import SafeConsole

    SafeConsole().print(text, soft_wrap=True, markup=False, highlight=False)
