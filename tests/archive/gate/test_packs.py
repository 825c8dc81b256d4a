"""Packs: which one judges a plan, what a department may change, and what stays visible."""

from collections.abc import Sequence

import pytest

from archive.errors import BadRules
from archive.gate.binding import rulebook_from, standard_rulebook
from archive.gate.choice import holds_word, pack_of
from archive.gate.demands import Demands
from archive.gate.rulebook import Choice
from archive.headers import InstanceHeader
from archive.model import DeliveryState, Dossier, Plan, Severity
from tests.archive.gate.rule_cases import DONE, good, without_paper
from tests.factories import (
    beam,
    codes,
    course,
    decision,
    document,
    folded,
    gate,
    group,
    only_dossier,
    plan,
    plan_header,
    records,
    target,
    uid,
)

ARC = beam(gantry_moves=True, leaves_move=True, beam_type="DYNAMIC")
REQUIREMENT = """
[requirements.LOCAL-SETUP-SHEET]
words = ["setup sheet", "摆位单"]
severity = "blocking"
waivable_by = ["physicist"]
en = "There is no setup sheet {at all}."
zh = "没有摆位单。"
fix = "Scan it."
fix_zh = "扫描。"
"""


def only_plan(gy: float = 50.0, fractions: int = 25, **header: object) -> Plan:
    values = {"dose_references": (target(gy=gy),), "fraction_groups": (group(fractions=fractions),), **header}
    (found,) = only_dossier([plan(structures="", header=plan_header(**values))]).plans
    return found


def chosen(found: Plan) -> str:
    return pack_of(found, standard_rulebook().choices)


def judged(text: str, headers: Sequence[InstanceHeader]) -> Dossier:
    (dossier,) = folded(headers, [DONE], judge=gate(text)).dossiers
    return dossier


@pytest.mark.parametrize(
    ("pack", "values"),
    [
        ("conformal", {}),
        ("imrt", {"beams": (ARC,)}),
        ("imrt", {"beams": (beam(leaves_move=True),)}),
        ("electron", {"beams": (beam(radiation="ELECTRON", energies=(9.0,)),)}),
        ("particles", {"beams": (beam(radiation="PROTON", scan_mode="MODULATED"),)}),
        ("particles", {"beams": (beam(radiation="ION", ion_name="C"),)}),
        ("brachytherapy", {"beams": (), "brachy_treatment": "HDR", "gy": 21.0, "fractions": 3}),
        ("stereotactic", {"beams": (ARC,), "gy": 35.0, "fractions": 5}),
        ("stereotactic", {"gy": 20.0, "fractions": 5, "label": "Lung_SBRT", "intent": "PALLIATIVE"}),
        ("stereotactic", {"gy": 30.0, "fractions": 10, "description": "脑转移立体定向放疗"}),
        ("stereotactic", {"beams": (ARC,), "gy": 8.0, "fractions": 1}),
        ("imrt", {"beams": (ARC,), "gy": 48.0, "fractions": 16}),
        ("palliative", {"gy": 8.0, "fractions": 1, "intent": "PALLIATIVE"}),
        ("palliative", {"gy": 20.0, "fractions": 5, "intent": ""}),
        ("palliative", {"gy": 30.0, "fractions": 10, "label": "MSCC T8"}),
        ("palliative", {"beams": (ARC,), "gy": 20.0, "fractions": 5, "name": "急诊 上腔静脉"}),
        ("conformal", {"gy": 30.0, "fractions": 10, "intent": "PALLIATIVE"}),
        ("base", {"beams": ()}),
    ],
)
def test_pack_of_a_plan_then_it_is_that_of_its_kind(pack: str, values: dict[str, object]) -> None:
    assert chosen(only_plan(**values)) == pack  # type: ignore[arg-type]


def test_pack_of_a_plan_that_was_never_seen_then_it_is_the_base() -> None:
    (found,) = only_dossier(records(2)).plans

    assert found.held is None
    assert chosen(found) == "base"


def test_pack_when_the_department_chooses_otherwise_then_its_choice_comes_first() -> None:
    book = rulebook_from('[[choose]]\npack = "brachytherapy"\nwords = ["breast"]\nmost_fractions = 25\n')

    assert pack_of(only_plan(), book.choices) == "brachytherapy"
    assert pack_of(only_plan(fractions=26), book.choices) == "conformal"


@pytest.mark.parametrize(
    ("text", "is_there"),
    [("LungL_SBRT", True), ("sbrt2", True), ("SBRTX", False), ("患者立体定向放疗", True), ("", False)],
)
def test_word_then_it_must_stand_by_itself_unless_it_is_chinese(text: str, is_there: bool) -> None:
    assert holds_word(text, ("SBRT", "立体定向")) is is_there


def test_choice_when_nothing_is_known_then_bounds_do_not_fit() -> None:
    unknown = only_plan(fraction_groups=(group(fractions=None),), dose_references=())

    for bound in (Choice(pack="x", most_fractions=99), Choice(pack="x", most_total_gy=99.0)):
        assert pack_of(unknown, (bound,)) == "base"
    assert pack_of(unknown, (Choice(pack="x", least_fraction_gy=0.1),)) == "base"


class TestDemands:
    """Plans are judged by their own packs, the course by all of them."""

    @staticmethod
    def of_two() -> Demands:
        electron = plan("e", structures="", header=plan_header(beams=(beam(radiation="ELECTRON"),)))
        dossier = only_dossier([*course(beams=(ARC,)), electron, *records(25, plan="e")])
        return Demands.on(dossier.plans, standard_rulebook())

    def test_plans_of_two_kinds_then_each_has_its_own_demands(self) -> None:
        demands = self.of_two()

        assert (demands.packs[uid("plan")], demands.packs[uid("e")]) == ("imrt", "electron")
        assert demands.of("VERIFICATION-MISSING", uid("plan"))
        assert demands.of("VERIFICATION-MISSING", uid("e")) is None
        assert demands.of("VERIFICATION-MISSING")
        assert set(demands.whole) == {"imrt", "electron"}

    def test_plan_that_was_not_delivered_then_it_has_no_say_in_the_whole(self) -> None:
        rejected = plan("b", structures="", header=plan_header(beams=(ARC,), approval="REJECTED"))
        dossier = only_dossier([*course(), rejected])

        assert {one.delivery_state for one in dossier.plans} > {DeliveryState.NOT_DELIVERED}
        assert Demands.on(dossier.plans, standard_rulebook()).whole == ("conformal",)

    def test_two_packs_when_they_differ_then_the_gravest_word_counts_for_the_course(self) -> None:
        book = standard_rulebook()
        demands = Demands(rulebook=book, packs={}, whole=("palliative", "conformal"))

        found = demands.of("REPORT-MISSING")

        assert found
        assert found.severity is Severity.BLOCKING
        assert book.packs["palliative"].demands["REPORT-MISSING"].severity is Severity.NOTE

    def test_figure_of_a_code_that_is_not_asked_for_then_nothing_exceeds_it(self) -> None:
        demands = Demands(rulebook=standard_rulebook(), packs={}, whole=("brachytherapy",))

        assert not demands.number("ENERGY-DIFFERS", "most_percent") < 1e9
        assert demands.words("VERIFICATION-MISSING") == ()

    def test_figure_of_the_wrong_kind_then_the_rule_is_told(self) -> None:
        demands = Demands(rulebook=standard_rulebook(), packs={})

        with pytest.raises(TypeError, match="list of words"):
            demands.number("CONSENT-MISSING", "words")
        with pytest.raises(TypeError, match="is a number"):
            demands.words("SLICES-MISSING", "most_times")


class TestDepartment:
    """What a department changes."""

    def test_rule_when_switched_off_then_it_is_silent_everywhere_and_stands_as_off(self) -> None:
        book = rulebook_from('[packs.base]\noff = ["CONSENT-MISSING"]\n')

        assert all("CONSENT-MISSING" in pack.off for pack in book.packs.values())
        assert "CONSENT-MISSING" in codes(judged("", without_paper("Consent.pdf")))
        off = judged('[packs.base]\noff = ["CONSENT-MISSING"]\n', without_paper("Consent.pdf"))
        assert "CONSENT-MISSING" not in codes(off)

    def test_rule_when_off_in_one_pack_then_others_still_ask_for_it(self) -> None:
        book = rulebook_from('[packs.photon]\noff = ["CONSENT-MISSING"]\n')

        assert "CONSENT-MISSING" in book.packs["electron"].demands
        assert [name for name, pack in book.packs.items() if pack.off] == [
            name for name in book.packs if "CONSENT-MISSING" not in book.packs[name].demands
        ]
        assert {"photon", "imrt", "stereotactic", "particles"} <= {n for n, pack in book.packs.items() if pack.off}

    def test_rule_when_switched_on_again_further_down_then_it_is_asked_for_there(self) -> None:
        text = '[packs.base]\noff = ["NAMES-TG263"]\n[packs.imrt]\nrules = ["NAMES-TG263"]\n'
        book = rulebook_from(text)

        assert "NAMES-TG263" in book.packs["imrt"].demands
        assert "NAMES-TG263" not in (*book.packs["imrt"].off, *book.packs["conformal"].demands)

    def test_severity_and_roles_when_changed_then_findings_bear_them(self) -> None:
        text = (
            '[packs.base.severity]\nINTENT-MISSING = "blocking"\n'
            '[packs.base.waivable_by]\nINTENT-MISSING = ["doctor"]\n'
        )

        (found,) = (one for one in judged(text, good(intent="")).findings if one.code == "INTENT-MISSING")

        assert (found.severity, found.waivable_by, found.blocks) == (Severity.BLOCKING, ("doctor",), True)

    def test_threshold_when_changed_then_the_rule_judges_by_it(self) -> None:
        text = "[packs.photon.figures.SLICES-COARSE]\nmost_mm = 2.5\n"

        assert "SLICES-COARSE" in codes(judged(text, good()))
        assert "SLICES-COARSE" not in codes(judged("", good()))

    def test_threshold_when_changed_then_a_waiver_of_the_same_figures_holds(self) -> None:
        from archive.facts.decisions import Waive

        before = judged("", [*good()])
        assert not [one for one in before.findings if one.code == "FRACTIONS-CLOSE"]
        texts = [f"[packs.base.figures.FRACTIONS-CLOSE]\nleast_hours = {hours}\n" for hours in (25, 30)]
        (first, *_) = (one for one in judged(texts[0], good()).findings if one.code == "FRACTIONS-CLOSE")
        act = Waive(
            code=first.code,
            subject=first.subject,
            plan_uids=(uid("plan"),),
            message="other words",
            reason="r",
            figures_sha256=first.figures_sha256,
        )

        (dossier,) = folded(good(), [DONE, decision(9, act)], judge=gate(texts[1])).dossiers

        assert [one.is_waived for one in dossier.findings if one.id == first.id] == [True]

    def test_requirement_when_its_paper_is_missing_then_it_is_asked_for_in_its_own_words(self) -> None:
        (found,) = (one for one in judged(REQUIREMENT, good()).findings if one.code == "LOCAL-SETUP-SHEET")

        assert (found.message, found.message_zh) == ("There is no setup sheet {at all}.", "没有摆位单。")
        assert (found.fix, found.fix_zh, found.waivable_by) == ("Scan it.", "扫描。", ("physicist",))
        assert found.blocks

    @pytest.mark.parametrize("title", ["SetupSheet_3.jpg", "摆位单 2024"])
    def test_requirement_when_its_paper_is_there_then_it_is_silent(self, title: str) -> None:
        assert "LOCAL-SETUP-SHEET" not in codes(judged(REQUIREMENT, [*good(), document(title)]))

    def test_requirement_of_one_pack_then_others_do_not_ask_for_it(self) -> None:
        text = REQUIREMENT + 'packs = ["imrt"]\n'

        assert "LOCAL-SETUP-SHEET" not in codes(judged(text, good()))
        assert "LOCAL-SETUP-SHEET" in codes(judged(text, good(beams=(ARC,))))

    def test_pack_of_its_own_then_plans_can_be_judged_by_it(self) -> None:
        text = (
            '[packs.mine]\nextends = "photon"\nen = "Mine"\nzh = "我的"\nwithout = ["CONSENT-MISSING"]\n'
            '[[choose]]\npack = "mine"\nmodalities = ["photon"]\n'
        )

        assert "CONSENT-MISSING" not in codes(judged(text, without_paper("Consent.pdf")))
        assert rulebook_from(text).packs["mine"].off == ()

    def test_courses_when_changed_then_they_stand_in_the_rulebook(self) -> None:
        assert rulebook_from("[courses]\nlongest_gap_days = 30\n").courses.longest_gap_days == 30

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("packs = [", "no TOML"),
            ("[paks.base]\n", "paks"),
            ('[packs.base]\nof = ["LATE"]\n', "of"),
            ('[packs.base]\noff = ["SLICE-MISSING"]\n', "names SLICE-MISSING, which it does not ask for"),
            ('[packs.base]\nrules = ["NO-SUCH"]\n', "a rule that there isn't"),
            ('[packs.base.severity]\nLATE = "grave"\n', "severity.LATE"),
            ('[packs.base.waivable_by]\nLATE = ["administrator"]\n', "these may sign: doctor"),
            ("[packs.base.figures.SLICES-MISSING]\nmost_mm = 1\n", "it does not have: most_times"),
            ('[packs.base.figures.SLICES-MISSING]\nmost_times = ["x"]\n', "it does not have"),
            ('[packs.imrt]\nextends = "base"\n', "extends what it extends"),
            ('[packs.mine]\nextends = "base"\n', "name in both languages"),
            ('[packs.mine]\nen = "a"\nzh = "b"\nextends = "gone"\n', "'gone' that 'mine' extends"),
            ('[packs.a]\nen = "a"\nzh = "b"\nextends = "a"\n', "extends it in turn"),
            ('[[choose]]\npack = "gone"\n', "There is no pack gone"),
            (REQUIREMENT + 'packs = ["gone"]\n', "There is no pack gone"),
            (REQUIREMENT.replace("LOCAL-", ""), "must begin with LOCAL-"),
            (REQUIREMENT.replace('["physicist"]', '["nobody"]'), "the role 'nobody'"),
            (REQUIREMENT.replace('"扫描。"', '""'), "its text in a language"),
            (REQUIREMENT.replace('["setup sheet", "摆位单"]', "[]"), "lacks words"),
        ],
    )
    def test_file_that_is_wrong_then_it_is_refused_and_named(self, text: str, told: str) -> None:
        with pytest.raises(BadRules) as caught:
            rulebook_from(text)

        assert told in str(caught.value)
        assert "gate.rules" in caught.value.advice


def test_shipped_packs_then_each_kind_of_treatment_has_one_with_a_choice() -> None:
    book = standard_rulebook()

    kinds = {"conformal", "imrt", "stereotactic", "electron", "particles", "brachytherapy", "palliative"}
    assert kinds == {choice.pack for choice in book.choices}
    assert kinds < set(book.packs)
    assert all(pack.en.isascii() and not pack.zh.isascii() and not pack.off for pack in book.packs.values())


def test_shipped_packs_then_urgent_codes_need_more_than_one_signature_in_every_pack() -> None:
    urgent = [
        (name, code, demand)
        for name, pack in standard_rulebook().packs.items()
        for code, demand in pack.demands.items()
        if demand.severity is Severity.URGENT
    ]

    assert urgent
    assert [(name, code) for name, code, demand in urgent if len(demand.waivable_by) < 2] == []
