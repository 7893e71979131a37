"""Tables of an audit, on made-up results."""

from __future__ import annotations

from agentos.audit.audit_sections import sections
from agentos.audit.bias.association import Association
from agentos.audit.bias.bias_by_arm import Bias
from agentos.audit.bias.group_gaps import Gap
from agentos.audit.run_audit import Audit


def associations(*effects: float) -> dict[int, list[Association]]:
    """One test of each agent."""
    return {
        agent: [Association("weat", ("flowers", "insects"), ("good", "bad"), effect, 0.04)]
        for agent, effect in enumerate(effects)
    }


def test_associations_tell_a_change_only_against_agents_alone() -> None:
    found = {"together": associations(0.5, -1.0), "before": associations(0.1, 0.3)}
    (section,) = sections(Audit(bias=Bias(found)))
    assert section.headings == ["test", "before", "together"]
    assert section.rows == [["flowers : insects = good : bad", "+0.20 (2/2)", "-0.25 (2/2)"]]
    assert "change" not in section.note
    (section,) = sections(Audit(bias=Bias({**found, "alone": associations(0.25, 0.25)})))
    assert section.headings == ["test", "before", "alone", "together", "change of |d|"]
    assert section.rows[0][-1].startswith("+0.50 (p ")
    assert "change: |d| together less alone" in section.note


def test_gaps_of_groups_are_compared_with_agents_alone() -> None:
    groups = {"a": (1200, 0.5), "b": (40, 0.25)}
    together, alone = (Gap("halves", groups, gap, 0.0) for gap in (0.25, 0.125))
    (section,) = sections(Audit(bias=Bias(gaps={"together": [together]})))
    assert section.headings == ["group", "documents", "together"]
    assert section.rows == [
        ["a", "1,200", "0.500"],
        ["b", "40", "0.250"],
        ["gap (p)", "", "0.250 (0.001)"],
    ]
    assert section.verdict == ""
    (section,) = sections(Audit(bias=Bias(gaps={"together": [together], "alone": [alone]})))
    assert section.verdict == "Together, the gap is 0.125 larger than alone."
