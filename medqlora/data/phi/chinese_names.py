"""Names in Chinese characters: after a label, or a family name with a title."""

# ruff: noqa: RUF001  # full-width punctuation is what such texts use

from __future__ import annotations

import re
from collections.abc import Iterator

from medqlora.domain.phi import PhiSpan

_CHINESE_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
)  # fmt: skip
_CHINESE = re.compile(
    rf"(?:姓名|患者姓名|病人姓名|名字)\s?[:：]?\s?(?P<a>[\u4e00-\u9fff]{{2,4}})"
    rf"|(?P<b>[{_CHINESE_SURNAMES}](?:[\u4e00-\u9fff]{{1,2}}|某某?)?)(?=先生|女士|小姐|教授|主任|大夫)"
    rf"|(?:我叫|患者|病人|我是)(?P<c>[{_CHINESE_SURNAMES}][\u4e00-\u9fff]{{1,2}})(?=[，,。、\s（(]|男|女)"
    rf"|(?P<d>[{_CHINESE_SURNAMES}])(?=医生|医师)"
)


def find_chinese_names(text: str) -> Iterator[PhiSpan]:
    """The names in Chinese characters of a text."""
    for match in _CHINESE.finditer(text) if not text.isascii() else ():
        start, end = next(match.span(one) for one in "abcd" if match[one])
        yield PhiSpan(start=start, end=end, kind="name", score=0.7, reason="what stands around it")
