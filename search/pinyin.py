"""Pinyin: how Chinese names sound, in the spellings people type.

`readings` turns characters into syllables (pypinyin's dictionary, and the
readings peculiar to names);
`initials` goes the other way, from Latin letters to the initials of their
syllables, so that a patient whose machine only knew ``WANG^XIAODONG`` is
found by ``wxd`` too.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from search.tokens import is_per_character

MAX_CHARACTERS: Final = 16
"""A run of more Han characters is no name of a person and is not spelt."""


def _table(text: str) -> dict[str, str]:
    return dict(entry.strip().split(" ", 1) for entry in text.split(";"))


# Characters that are read in several ways in names today, the likeliest first. Others are read in their
# commonest way alone: dictionaries also keep dead readings (王 as yu), and with those everyone called
# Wang would answer to Yu.
_AS_SURNAME: Final = _table(
    """
    万俟 mo,qi; 单于 chan,yu; 單于 chan,yu; 尉迟 yu,chi; 尉遲 yu,chi; 澹台 tan,tai; 不 fou bu; 么 yao me;
    乐 yue le; 樂 yue le; 乜 nie mie; 仇 qiu chou; 佴 nai er; 区 ou qu; 區 ou qu; 卜 bu bo; 单 shan dan;
    單 shan dan; 句 gou ju; 召 shao zhao; 叶 ye xie; 员 yun yuan; 員 yun yuan; 宓 mi fu; 尉 wei yu; 折 she zhe;
    晟 cheng sheng; 曾 zeng ceng; 朴 piao pu; 柏 bai bo; 查 zha cha; 沈 shen chen; 洗 xian xi; 牟 mu mou;
    盖 ge gai; 蓋 ge gai; 盛 sheng cheng; 眭 sui; 瞿 qu ju; 祭 zhai ji; 种 chong zhong; 秘 bi mi; 繁 po fan;
    缪 miao mou; 繆 miao mou; 翟 zhai di; 能 nai neng; 臧 zang cang; 藏 zang cang; 覃 qin tan; 解 xie jie;
    谷 gu yu; 费 fei bi; 費 fei bi; 车 che ju; 車 che ju; 适 kuo shi; 那 na nuo; 郇 xun huan; 郗 xi chi;
    都 du dou; 长 zhang chang; 長 zhang chang; 阚 kan han; 闞 kan han; 隗 wei kui; 黑 he hei
    """
)
_IN_GIVEN_NAME: Final = _table(
    """
    乐 le yue; 樂 le yue; 仔 zi zai; 传 chuan zhuan; 傳 chuan zhuan; 伯 bo bai; 单 dan shan; 曾 zeng ceng;
    朝 chao zhao; 柏 bo bai; 泷 long shuang; 炅 jiong gui; 玟 wen min; 琢 zhuo zuo; 盛 sheng cheng;
    省 xing sheng; 禅 chan shan; 筠 yun jun; 茜 qian xi; 莎 sha suo; 藏 cang zang; 蔚 wei yu; 行 xing hang;
    覃 qin tan; 解 jie xie; 重 chong zhong; 长 chang zhang; 長 chang zhang; 阿 a e; 露 lu lou; 靓 liang jing;
    颉 jie xie; 娜 na nuo; 强 qiang jiang; 強 qiang jiang; 奇 qi ji; 晟 sheng cheng; 车 che ju; 查 cha zha
    """
)
_COMPOUND_SURNAMES: Final = frozenset(
    """
    万俟 尉迟 单于 长孙 澹台 欧阳 歐陽 司马 司馬 上官 诸葛 諸葛 夏侯 皇甫 公孙 公孫 慕容
    令狐 宇文 司徒 司空 轩辕 东方 東方 南宫 南宮 西门 西門 独孤 獨孤 端木 申屠 太史 呼延
    钟离 鍾離 濮阳 闻人 赫连 东郭 公冶 宗政 淳于 公羊 仲孙 拓跋 第五 長孫 尉遲 單于
    """.split()  # noqa: SIM905 - a list of quoted pairs is no easier to read
)

# All syllables of Standard Chinese by their first letters; v stands for ü.
_SYLLABLES: Final = frozenset(
    initial + final
    for initial, finals in {
        "": "a ai an ang ao e ei en eng er o ou",
        "b": "a ai an ang ao ei en eng i ian iao ie in ing o u",
        "p": "a ai an ang ao ei en eng i ian iao ie in ing o ou u",
        "m": "a ai an ang ao e ei en eng i ian iao ie in ing iu o ou u",
        "f": "a an ang ei en eng o ou u",
        "d": "a ai an ang ao e ei en eng i ia ian iao ie ing iu ong ou u uan ui un uo",
        "t": "a ai an ang ao e eng i ian iao ie ing ong ou u uan ui un uo",
        "n": "a ai an ang ao e ei en eng i ian iang iao ie in ing iu ong ou u uan uo v ve yu yue ue",
        "l": "a ai an ang ao e ei eng i ia ian iang iao ie in ing iu o ong ou u uan un uo v ve yu yue ue",
        "g": "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo",
        "k": "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo",
        "h": "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo",
        "j": "i ia ian iang iao ie in ing iong iu u uan ue un",
        "q": "i ia ian iang iao ie in ing iong iu u uan ue un",
        "x": "i ia ian iang iao ie in ing iong iu u uan ue un",
        "zh": "a ai an ang ao e ei en eng i ong ou u ua uai uan uang ui un uo",
        "ch": "a ai an ang ao e en eng i ong ou u ua uai uan uang ui un uo",
        "sh": "a ai an ang ao e ei en eng i ou u ua uai uan uang ui un uo",
        "r": "an ang ao e en eng i ong ou u ua uan ui un uo",
        "z": "a ai an ang ao e ei en eng i ong ou u uan ui un uo",
        "c": "a ai an ang ao e en eng i ong ou u uan ui un uo",
        "s": "a ai an ang ao e en eng i ong ou u uan ui un uo",
        "y": "a an ang ao e i in ing o ong ou u uan ue un",
        "w": "a ai an ang ei en eng o u",
    }.items()
    for final in finals.split()
)
_LONGEST_SYLLABLE: Final = 6


def is_han(text: str) -> bool:
    """Return whether every character of `text` is a Han character (kana and Hangul are none)."""
    return bool(text) and all(
        is_per_character(c) and not "\u3040" <= c <= "\u30ff" and not "가" <= c <= "힣" for c in text
    )


def split_surname(name: str) -> tuple[str, str]:
    """Return surname and given name of a Chinese name written as one word.

    Examples
    --------
    >>> split_surname("王小东"), split_surname("欧阳小东")
    (('王', '小东'), ('欧阳', '小东'))
    """
    length = 2 if len(name) > 2 and name[:2] in _COMPOUND_SURNAMES else 1
    return name[:length], name[length:]


def readings(family: str, given: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the syllables of surname and given name in each way the name may be read, the likeliest first.

    All readings of the surname go with the likeliest reading of the given name
    and with each other reading of one of its characters at a time. Nothing is
    yielded for what is not all Han, or too long to be a name.
    """
    if not is_han(family + given) or len(family + given) > MAX_CHARACTERS:
        return
    families = _spellings_of_surname(family)
    for spelling in _one_at_a_time(given):
        for surname in families:
            yield surname, spelling


def _spellings_of_surname(family: str) -> list[tuple[str, ...]]:
    if "," in _AS_SURNAME.get(family, ""):
        return [tuple(_AS_SURNAME[family].split(","))]
    if len(family) == 1:
        return [(syllable,) for syllable in _syllables(family, _AS_SURNAME)]
    return _one_at_a_time(family)


def _one_at_a_time(text: str) -> list[tuple[str, ...]]:
    choices = [_syllables(character, _IN_GIVEN_NAME) for character in text]
    likeliest = tuple(choice[0] for choice in choices)
    found = [likeliest]
    for position, choice in enumerate(choices):
        found.extend((*likeliest[:position], other, *likeliest[position + 1 :]) for other in choice[1:])
    return found


def _syllables(character: str, known: Mapping[str, str]) -> tuple[str, ...]:
    spelt = known.get(character, "").split() or [_commonest(character)]
    # 吕 is typed lv, and LYU or LU in passports
    return tuple(variant.replace("v", u) for variant in spelt for u in (("v", "u", "yu") if "v" in variant else ("",)))


@lru_cache(maxsize=8192)
def _commonest(character: str) -> str:
    """Return the commonest reading of one character, without its tone; the character itself where none is known."""
    from pypinyin import lazy_pinyin

    return lazy_pinyin(character)[0]


@lru_cache(maxsize=8192)
def initials(word: str) -> frozenset[str]:
    """Return the initials of a Latin word in every way it can be cut into syllables of pinyin.

    Examples
    --------
    >>> sorted(initials("dong")), sorted(initials("xian")), sorted(initials("smith"))
    (['d'], ['x', 'xa'], [])
    """
    if len(word) > 24:
        return frozenset()
    ways: list[frozenset[str]] = [frozenset({""})]
    for end in range(1, len(word) + 1):
        ways.append(
            frozenset(
                way + word[start]
                for start in range(max(0, end - _LONGEST_SYLLABLE), end)
                if word[start:end] in _SYLLABLES
                for way in ways[start]
            )
        )
    return ways[-1]
