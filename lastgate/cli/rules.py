"""The rules in force, as `lastgate gate --rules` shows them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lastgate.cli.console import print_cases, print_json, print_table, say

if TYPE_CHECKING:
    from lastgate.wiring import House


def show_rules(opened: "House", dossier: str, *, as_json: bool) -> None:
    """Print the rules in force with what is switched off; of a dossier, which pack judges each of its plans."""
    from lastgate.ruling import packs_answer, rules_answer

    if dossier:
        _, found = opened.dossier(dossier)
        body = packs_answer(opened.gate.rules_for(found), found)
    else:
        body = rules_answer(opened.rules)
    if as_json:
        print_json(body)
    elif dossier:
        say(f"Dossier {body['id']}: judged by the rules number {body['number']}")
        rows = [(plan["label"] or plan["uid"], plan["pack"]) for plan in body["plans"]]
        print_table("Packs", ("Plan", "Pack"), rows, empty=f"No plan; judged by {', '.join(body['packs'])}.")
    else:
        _print_rules(body)


def _print_rules(body: Mapping[str, Any]) -> None:
    packs = body["packs"]
    say(f"Rules number {body['number']}, {len(packs)} packs", style="bold")
    print_table("Packs", ("Pack", "Kind of treatment", "Rules"), [
        (name, f"{pack['en']}  {pack['zh']}", len(pack["rules"])) for name, pack in packs.items()
    ])  # fmt: skip
    codes = sorted({code for pack in packs.values() for code in pack["rules"]})
    rows = [(code, _gravity(packs, code), _signers(packs, code), _asking(packs, code)) for code in codes]
    print_table("Rules", ("Code", "Gravity", "May be signed by", "Packs"), rows)
    off = sorted({code for pack in packs.values() for code in pack["off"]})
    told = [(code, (f"In: {_named(packs, [name for name in packs if code in packs[name]['off']])}",)) for code in off]
    print_cases("SWITCHED OFF in this department", told)


def _gravity(packs: Mapping[str, Any], code: str) -> str:
    """Return the gravity most packs give, and which give another."""
    told = {name: pack["rules"][code]["severity"] for name, pack in packs.items() if code in pack["rules"]}
    severities = list(told.values())
    usual = max(dict.fromkeys(severities), key=severities.count)
    others = [f"{severity} in {name}" for name, severity in told.items() if severity != usual]
    return ", ".join((usual, *others))


def _signers(packs: Mapping[str, Any], code: str) -> str:
    found = {tuple(pack["rules"][code]["waivable_by"]) for pack in packs.values() if code in pack["rules"]}
    return " | ".join(", ".join(roles) or "nobody" for roles in sorted(found, key=len))


def _asking(packs: Mapping[str, Any], code: str) -> str:
    return _named(packs, [name for name, pack in packs.items() if code in pack["rules"]])


def _named(packs: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return some of the packs in few words."""
    others = [name for name in packs if name not in names]
    if len(others) < len(names):
        return f"all but {', '.join(others)}" if others else "all"
    return ", ".join(names)
