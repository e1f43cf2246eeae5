"""Passwords that somebody would try: common ones, rows of keys, the own name, and words as they are typed here.

In: a new password, and what is known of whose it is. Out: nothing, or a refusal that says what is wrong. It exists
because length alone lets `password1234` and the own address in. How many guesses a password takes is estimated by
zxcvbn, which knows some 30,000 common passwords, English words and names, rows of keys, dates, repeats and swapped
letters. It has never seen a keyboard with 注音 on it: 我的密碼 typed there with the other layout on is `ji32k7au4a83`,
which looks like chance and stands in every list of leaked passwords. So the words that people here would take are
added as characters, in Latin letters, and as the keys that write them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from api.access.passwords import PasswordError
from indexer.folding import HAN, simplified
from indexer.wording import T_

FEWEST_GUESSES = 10**8
"""What a thief of the hashes needs some months for at the speed of argon2id: a password has to take more."""
_MAX_CHARS = 72
"""How much of a password is estimated: the estimate takes longer than in proportion, and more can only add to it."""
_SHORTEST_OWN = 3
_KEYS = str.maketrans(
    "ㄅㄆㄇㄈㄉㄊㄋㄌㄍㄎㄏㄐㄑㄒㄓㄔㄕㄖㄗㄘㄙㄧㄨㄩㄚㄛㄜㄝㄞㄟㄠㄡㄢㄣㄤㄥㄦˊˇˋ˙",
    "1qaz2wsxedcrfv5tgbyhnujm8ik,9ol.0p;/-6347",
)
"""Which key of the usual 注音 keyboard (大千) writes which sign."""
_TYPED_HERE = """
密碼 ㄇㄧˋㄇㄚˇ mima
我的密碼 ㄨㄛˇㄉㄜ˙ㄇㄧˋㄇㄚˇ wodemima
通關密語 ㄊㄨㄥㄍㄨㄢㄇㄧˋㄩˇ tongguanmiyu
帳號 ㄓㄤˋㄏㄠˋ zhanghao
管理員 ㄍㄨㄢˇㄌㄧˇㄩㄢˊ guanliyuan
我愛你 ㄨㄛˇㄞˋㄋㄧˇ woaini
我愛台灣 ㄨㄛˇㄞˋㄊㄞˊㄨㄢ woaitaiwan
你好 ㄋㄧˇㄏㄠˇ nihao
你好嗎 ㄋㄧˇㄏㄠˇㄇㄚ˙ nihaoma
大家好 ㄉㄚˋㄐㄧㄚㄏㄠˇ dajiahao
謝謝 ㄒㄧㄝˋㄒㄧㄝ˙ xiexie
加油 ㄐㄧㄚㄧㄡˊ jiayou
生日快樂 ㄕㄥㄖˋㄎㄨㄞˋㄌㄜˋ shengrikuaile
新年快樂 ㄒㄧㄣㄋㄧㄢˊㄎㄨㄞˋㄌㄜˋ xinniankuaile
恭喜發財 ㄍㄨㄥㄒㄧˇㄈㄚㄘㄞˊ gongxifacai
平安 ㄆㄧㄥˊㄢ pingan
快樂 ㄎㄨㄞˋㄌㄜˋ kuaile
阿彌陀佛 ㄚㄇㄧˊㄊㄨㄛˊㄈㄛˊ amituofo
不知道 ㄅㄨˋㄓㄉㄠˋ buzhidao
忘記 ㄨㄤˋㄐㄧˋ wangji
測試 ㄘㄜˋㄕˋ ceshi
中文 ㄓㄨㄥㄨㄣˊ zhongwen
台灣 ㄊㄞˊㄨㄢ taiwan
中華民國 ㄓㄨㄥㄏㄨㄚˊㄇㄧㄣˊㄍㄨㄛˊ zhonghuaminguo
台北 ㄊㄞˊㄅㄟˇ taibei
高雄 ㄍㄠㄒㄩㄥˊ gaoxiong
大學 ㄉㄚˋㄒㄩㄝˊ daxue
學校 ㄒㄩㄝˊㄒㄧㄠˋ xuexiao
老師 ㄌㄠˇㄕ laoshi
教授 ㄐㄧㄠˋㄕㄡˋ jiaoshou
學生 ㄒㄩㄝˊㄕㄥ xuesheng
公司 ㄍㄨㄥㄙ gongsi
企業 ㄑㄧˋㄧㄝˋ qiye
實驗室 ㄕˊㄧㄢˋㄕˋ shiyanshi
產學 ㄔㄢˇㄒㄩㄝˊ chanxue
聯盟 ㄌㄧㄢˊㄇㄥˊ lianmeng
產學聯盟 ㄔㄢˇㄒㄩㄝˊㄌㄧㄢˊㄇㄥˊ chanxuelianmeng
國際產學聯盟 ㄍㄨㄛˊㄐㄧˋㄔㄢˇㄒㄩㄝˊㄌㄧㄢˊㄇㄥˊ guojichanxuelianmeng
媒合 ㄇㄟˊㄏㄜˊ meihe
需求 ㄒㄩㄑㄧㄡˊ xuqiu
科技部 ㄎㄜㄐㄧˋㄅㄨˋ kejibu
國科會 ㄍㄨㄛˊㄎㄜㄏㄨㄟˋ guokehui
總辦公室 ㄗㄨㄥˇㄅㄢˋㄍㄨㄥㄕˋ zongbangongshi
專家 ㄓㄨㄢㄐㄧㄚ zhuanjia
一二三四五 ㄧㄦˋㄙㄢㄙˋㄨˇ yiersansiwu
六七八九十 ㄌㄧㄡˋㄑㄧㄅㄚㄐㄧㄡˇㄕˊ liuqibajiushi
甲乙丙丁 ㄐㄧㄚˇㄧˇㄅㄧㄥˇㄉㄧㄥ jiayibingding
天地玄黃 ㄊㄧㄢㄉㄧˋㄒㄩㄢˊㄏㄨㄤˊ tiandixuanhuang
"""
_OURS = ("gloria", "match", "gloria match", "gloriamatch", "alliance", "liaison", "matchmaking", "industry", "academia")
"""Words of this product, which whoever guesses here tries first."""


def must_not_be_guessable(password: str, *, own: Iterable[str] = ()) -> None:
    """Let a password be set only if it takes many guesses, also for somebody who knows whose it is.

    Args:
        password: as typed.
        own: what is known of the person, such as name and address; parts of it are looked for too.

    Raises:
        PasswordError: it is common or made of what is known.
    """
    known = [*_parts(own), *_typed_here()]
    forms = {password, _folded(password)}
    # The estimate multiplies by what stands between known words; but whoever knows them tries them with a sign more.
    forms |= {_without(form, known) for form in forms}
    if min(_guesses(form[:_MAX_CHARS], known) for form in forms) < FEWEST_GUESSES:
        raise PasswordError(
            T_(
                "this password would soon be guessed: it is common, follows the keyboard, or is made of your name, "
                "your address or this product's; take several words that have nothing to do with each other"
            )
        )


def _without(password: str, known: Iterable[str]) -> str:
    """Return what is left of a password without the known words in it."""
    rest = password.lower()
    for word in sorted(known, key=len, reverse=True):
        rest = rest.replace(word, "")
    return rest


def _guesses(password: str, known: list[str]) -> int:
    if not password:
        return 0
    # Loading its lists takes a tenth of a second, which only who sets a password waits for.
    from zxcvbn import zxcvbn

    return int(zxcvbn(password, user_inputs=known, max_length=_MAX_CHARS)["guesses"])


def _parts(own: Iterable[str]) -> list[str]:
    """Return texts as they are, folded, and in parts: words, and what stands before and after an address's signs."""
    found: dict[str, None] = {}
    for text in own:
        for form in (text, _folded(text)):
            words = [word for word in re.split(r"[\W_]+", form) if word]
            joined = ("".join(words), "".join(reversed(words)))
            for part in (form, *joined, *words):
                # A Chinese name is two or three characters; two Latin letters are part of too many words.
                if len(part) >= (2 if HAN.search(part) else _SHORTEST_OWN):
                    found[part.lower()] = None
    return list(found)


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return simplified(plain) if HAN.search(plain) else plain


@cache
def _typed_here() -> tuple[str, ...]:
    found: dict[str, None] = dict.fromkeys(_OURS)
    for line in _TYPED_HERE.split("\n"):
        if line:
            characters, sounds, latin = line.split(" ")
            keys = sounds.translate(_KEYS)
            found |= dict.fromkeys((characters, _folded(characters), keys, latin))
    return tuple(found)
