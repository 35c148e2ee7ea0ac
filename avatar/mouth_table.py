"""Interim."""

from avatar.pose import VISEMES

INDEX = {name: i for i, name in enumerate(VISEMES)}
_T = {}


def _a(s, *t):
    for c in s:
        _T[c] = t


_a("pbmɓ", ("PP", 1.0))
_a("fvʋ", ("FF", 1.0))
_a("ɸβ", ("ou", 0.75))
_a("θð", ("TH", 0.9))
_a("tdɾʈɖ", ("DD", 0.8))
_a("kɡgcɟqɢxɣχŋɰʝç", ("kk", 0.7))
_a("hɦ", ("kk", 0.3))
_a("ʔ", ("sil", 0.35))
_a("ʃʒʧʤʂʐɕʑʨʥ", ("CH", 0.95))
_a("szʦʣ", ("SS", 0.85))
_a("nlɲɳɴɫʎ", ("nn", 0.75))
_a("ɹrɻʀ", ("RR", 0.85))
_a("ɚɝ", ("RR", 0.8))
_a("aɑɐä", ("aa", 1.0))
_a("ʌæ", ("aa", 0.85))
_a("eɛ", ("E", 0.95))
_a("əᵊ", ("E", 0.6))
_a("ɜɞɤ", ("E", 0.8))
_a("iɪjᵻ", ("ih", 0.9))
_a("ɨ", ("ih", 0.7))
_a("oɔɒɵ", ("oh", 1.0))
_a("uʊwʍyɥøœ", ("ou", 1.0))
_a("ɯ", ("ou", 0.7))
_T.update(
    {
        "A": (("E", 0.95), ("ih", 0.8)),
        "I": (("aa", 1.0), ("ih", 0.8)),
        "O": (("oh", 1.0), ("ou", 0.9)),
        "W": (("aa", 1.0), ("ou", 0.9)),
        "Y": (("oh", 1.0), ("ih", 0.8)),
        "T": (("DD", 0.65),),
    }
)


def targets(ipa):
    if not ipa:
        return (("sil", 1.0),)
    out = []
    for c in ipa:
        out.extend(_T.get(c, ()))
    return tuple(out) or (("E", 0.5),)


def closes_lips(ipa):
    return any(n == "PP" for n, _ in targets(ipa))


def bites_lip(ipa):
    return any(n == "FF" for n, _ in targets(ipa))
