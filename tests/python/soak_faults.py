"""Faults of a server for `make soak`, in the words of tests/fault_server/rule_text.rs."""

from __future__ import annotations

from random import Random

# Not CreateMultipartUpload: whoever loses its answer can't know the upload (docs/reliability.md, "Left alone").
_ANSWERS = "on=PutObject,GetObject,HeadObject,UploadPart,CompleteMultipartUpload,ListObjectsV2"

FAULTS = {
    "slow-down": "status=503:SlowDown",
    "internal-error": "status=500:InternalError",
    "html": "status=502:x body=html",
    "nothing": "status=504:x body=empty",
    "too-many": "status=429:TooManyRequests header=Retry-After:1",
    "request-timeout": "status=400:RequestTimeout on=PutObject,UploadPart",
    "reset-before-body": "close-unanswered moment=before-body ending=reset",
    "reset-in-body": f"{_ANSWERS} close-unanswered moment=after:1000 ending=reset",
    "unanswered": f"{_ANSWERS} close-unanswered moment=after-body ending=fin",
    "lost-answer": f"{_ANSWERS} drop-answer ending=reset",
    "cut-head": f"{_ANSWERS} cut-head=30 ending=reset",
    "cut-body": "on=GetObject cut-body=1000 ending=reset",
    "truncated": "on=GetObject truncate=1000",
    "off-by-one": "on=GetObject length-off=-1",
    "flipped-bit": "on=GetObject flip-bit=0",
    "wrong-checksum": "on=GetObject wrong-checksum",
    "other-range": "on=GetObject move-range=5",
    "whole-for-range": "on=GetObject ignore-range",
    "silent": f"{_ANSWERS} hang-before-head",
    "silent-in-body": "on=GetObject hang-in-body=3",
    "late": "delay-head=50ms",
    "trickle": "on=GetObject trickle=20000:5ms",
    "slow-reader": "on=PutObject,UploadPart slow-read=20000:5ms",
    "closed-when-idle": "close-idle=5ms",
    "error-in-200": "on=CompleteMultipartUpload error-inside-200=InternalError",
    "token-again": "on=ListObjectsV2 list=token-repeated",
    "broken-list": "on=ListObjectsV2 list=broken-xml",
}
_AT_ONCE = 2
# Of what there is much, little goes wrong; of what there is little, a quarter.
_SHARES = (0.02, 0.1)
_SHARE_OF_RARE = 0.25
_RARE = ("on=CompleteMultipartUpload", "on=ListObjectsV2")


def chosen_rules(chance: Random, turn: int) -> list[str]:
    """Gives some rules for one round; in twenty rounds each fault has its turn."""
    names = sorted(FAULTS)
    first = turn * _AT_ONCE
    in_turn = [names[(first + number) % len(names)] for number in range(_AT_ONCE)]
    # In an order that the seed decides, too: that of a set changes from process to process.
    return [_rule(name, chance) for name in dict.fromkeys((*in_turn, chance.choice(names)))]


def _rule(name: str, chance: Random) -> str:
    words = FAULTS[name]
    share = _SHARE_OF_RARE if words.startswith(_RARE) else chance.choice(_SHARES)
    return f"id={name} shared probability={share}:{chance.randrange(1 << 32)} {words}"
