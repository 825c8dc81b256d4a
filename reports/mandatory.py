"""Which facts a released summary must hold.

A mandatory fact that is missing is said to be missing; a summary with one is not released (promise 8).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Final

from reports.facts import NOT_RECORDED, Bilingual, Fact, NotRecorded
from reports.summary import Answer, CourseSummary, DoseType, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One line of the table of mandatory facts.

    Parameters
    ----------
    key
        Stable name.
    label
        What a person calls it.
    facts
        The facts that must be recorded; an empty answer counts as missing.
    applies
        When the line holds at all.
    """

    key: str
    label: Bilingual
    facts: Callable[[CourseSummary], Iterable[object]]
    applies: Callable[[CourseSummary], bool] = lambda _: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A mandatory fact that nobody recorded; `language` is set where only that language's text is missing."""

    key: str
    label: Bilingual
    language: str | None = None


def _was_given(summary: CourseSummary) -> bool:
    return not (summary.status and summary.status.value is Status.NEVER_STARTED)


def _lives(summary: CourseSummary) -> bool:
    return not (summary.status and summary.status.value is Status.DIED)


def _needs_reason(summary: CourseSummary) -> bool:
    ended_early = {Status.STOPPED, Status.TRANSFERRED, Status.NEVER_STARTED}
    return bool(summary.status) and summary.status.value in ended_early


def _has_malignancy(summary: CourseSummary) -> bool:
    return bool(summary.diagnosis) and summary.diagnosis.value.is_malignant


def _keeps_source(summary: CourseSummary) -> bool:
    return bool(summary.remains_radioactive) and summary.remains_radioactive.value is Answer.YES


def _need(
    key: str,
    zh: str,
    en: str,
    facts: Callable[[CourseSummary], Iterable[object]],
    applies: Callable[[CourseSummary], bool] = lambda _: True,
) -> Requirement:
    return Requirement(key=key, label=Bilingual(zh=zh, en=en), facts=facts, applies=applies)


MANDATORY: Final[tuple[Requirement, ...]] = (
    _need("patient.name", "姓名", "name", lambda s: [s.patient.name]),
    _need("patient.hospital_number", "病历号", "hospital number", lambda s: [s.patient.hospital_number]),
    _need("patient.birth_date", "出生日期", "date of birth", lambda s: [s.patient.birth_date]),
    _need("patient.sex", "性别", "sex", lambda s: [s.patient.sex]),
    _need("centre.hospital", "医院", "hospital", lambda s: [s.centre.hospital]),
    _need("centre.department", "科室", "department", lambda s: [s.centre.department]),
    _need("centre.doctor", "主管医生", "responsible doctor", lambda s: [s.centre.doctor]),
    _need("diagnosis", "诊断", "diagnosis", lambda s: [s.diagnosis]),
    _need("diagnosis.stage", "分期", "stage", lambda s: [s.diagnosis and s.diagnosis.value.stage], _has_malignancy),
    _need("intent", "治疗目的", "intent", lambda s: [s.intent]),
    _need("sites", "照射部位", "treated site", lambda s: [s.sites, *(site.words for site in s.sites)]),
    _need("sites.side", "左右侧", "side of each site", lambda s: [site.side for site in s.sites]),
    _need("first_date", "第一次治疗日期", "date of the first treatment", lambda s: [s.first_date], _was_given),
    _need("last_date", "最后一次治疗日期", "date of the last treatment", lambda s: [s.last_date], _was_given),
    _need(
        "status", "结束情况", "how the course ended", lambda s: [s.status and s.status.value is not Status.IN_PROGRESS]
    ),
    _need("status_reason", "提前结束的原因", "reason for ending early", lambda s: [s.status_reason], _needs_reason),
    _need("sessions", "治疗次数", "number of treatments", lambda s: [s.sessions], _was_given),
    _need("fractions_planned", "计划分次", "planned fractions", lambda s: [p.fractions_planned for p in s.phases]),
    _need(
        "fractions_delivered", "完成分次", "delivered fractions", lambda s: [p.fractions_delivered for p in s.phases]
    ),
    _need(
        "per_fraction_gy",
        "单次剂量",
        "dose per fraction",
        lambda s: [t.per_fraction_gy for p in s.phases for t in p.targets],
    ),
    _need("prescribed_gy", "处方剂量", "prescribed dose", lambda s: [site.planned_gy for site in s.sites]),
    _need("delivered_gy", "实际剂量", "delivered dose", lambda s: [site.delivered_gy for site in s.sites], _was_given),
    _need(
        "dose_type",
        "剂量类型(物理或RBE加权)",
        "kind of dose (physical or RBE-weighted)",
        lambda s: [site.dose_type is not DoseType.UNCONFIRMED for site in s.sites],
    ),
    _need("modalities", "射线种类", "kind of rays", lambda s: [s.modalities]),
    _need("techniques", "照射技术", "technique", lambda s: [s.techniques]),
    _need("energies", "能量", "energy", lambda s: [plan.energies for plan in s.plans]),
    _need("approval", "计划批准", "approval of the plans", lambda s: [plan.approval for plan in s.plans]),
    _need(
        "remains_radioactive",
        "体内是否留有放射源",
        "whether a source stayed in the body",
        lambda s: [s.remains_radioactive],
    ),
    _need("source_safety", "放射源安全说明", "safety text for the source", lambda s: [s.source_safety], _keeps_source),
    _need("earlier_radiation", "以前的放疗", "earlier radiation", lambda s: [s.earlier_radiation]),
    _need(
        "interruptions.reason",
        "中断的原因及是否补做",
        "reason of each interruption, and whether it was made up",
        lambda s: [fact is not NOT_RECORDED for gap in s.interruptions for fact in (gap.reason, gap.was_made_up)],
    ),
    _need("implant", "心脏起搏器等植入物", "pacemaker or other implant", lambda s: [s.implant]),
    _need("side_effects", "治疗结束时的不良反应", "side effects at the end", lambda s: [s.side_effects], _lives),
    _need("late_effects", "以后可能出现的变化", "late effects to watch for", lambda s: [s.late_effects], _lives),
    _need("call_same_day", "当天联系的情况", "when to call the same day", lambda s: [s.call_same_day], _lives),
    _need("call_emergency", "急救的情况", "when to call emergency", lambda s: [s.call_emergency], _lives),
    _need("follow_up", "复查安排", "follow-up", lambda s: [s.follow_up], _lives),
    _need("contact", "联系电话", "contact", lambda s: [s.contact]),
)

_LABELS: Final = {need.key: need.label for need in MANDATORY} | {
    "drugs": Bilingual(zh="同期用药", en="drugs at the same time"),
    "interruptions": Bilingual(zh="中断的原因", en="reason of an interruption"),
    "organ_doses": Bilingual(zh="器官名称", en="name of an organ"),
    "phases": Bilingual(zh="靶区名称", en="name of a target"),
    "intent_words": Bilingual(zh="治疗目的", en="intent"),
}


def missing(summary: CourseSummary, languages: Sequence[str] = ("zh", "en")) -> tuple[Missing, ...]:
    """Return the mandatory facts a summary lacks, in the order of the table.

    Parameters
    ----------
    languages
        Languages it will be printed in; a text written in another language only is missing too.
    """
    lacking = [
        Missing(key=need.key, label=need.label)
        for need in MANDATORY
        if need.applies(summary) and not all(_is_recorded(fact) for fact in need.facts(summary))
    ]
    for name, value in _parts(summary):
        lacking.extend(
            Missing(key=name, label=_LABELS.get(name, Bilingual(zh=name, en=name)), language=language)
            for language in languages
            if any(text.in_language(language) is None for text in _texts(value))
        )
    return tuple(lacking)


def _parts(summary: CourseSummary) -> Iterable[tuple[str, object]]:
    """Yield every part by the name its requirement has."""
    for field in fields(summary):
        if field.name != "centre":
            yield field.name, getattr(summary, field.name)
    for field in fields(summary.centre):
        yield f"centre.{field.name}", getattr(summary.centre, field.name)


def _is_recorded(fact: object) -> bool:
    if isinstance(fact, NotRecorded):
        return False
    value = fact.value if isinstance(fact, Fact) else fact
    return value is not None and value is not False and value != "" and value != ()  # nought is an answer


def _texts(value: object) -> Iterable[Bilingual]:
    if isinstance(value, Bilingual):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))
