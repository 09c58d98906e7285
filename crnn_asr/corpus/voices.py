"""Who speaks in which subset of a synthetic corpus.

A voice is a variant of espeak-ng's vocal tract with an accent. No variant is in two subsets, so the voices of dev and
test are unheard in train, while every accent may be in all. Whispering, creaking and robot variants are left out, and
those that differ from one of another subset in tone alone.
"""

from collections.abc import Sequence

from crnn_asr.corpus.speech import Voice

TRAIN, DEV, TEST = "train-synthetic", "dev-synthetic", "test-synthetic"
ENGLISH_ACCENTS = (
    *("en-us", "en", "en-gb-scotland", "en-gb-x-rp"),  # American, British, Scottish, Received Pronunciation
    *("en-029", "en-us-nyc", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),  # Caribbean, New York, Lancaster, West Midlands
)
FEMALE_VARIANTS = {
    TRAIN: ("f1", "f3", "linda", "belinda", "aunty", "steph"),
    DEV: ("f4", "grandma"),
    TEST: ("f2", "f5", "Annie"),
}
MALE_VARIANTS = {
    TRAIN: (
        *("m1", "m4", "m7", "Michael", "Mike", "paul", "max"),
        *("quincy", "robert", "Hugo", "Gene", "Denis", "ed", "edward"),
    ),
    DEV: ("m5", "m8"),
    TEST: ("m3", "m6", "john"),
}


def voices(subset: str, languages: Sequence[str] = ENGLISH_ACCENTS) -> list[Voice]:
    """The voices of a subset, women and men in turn as far as they go.

    Every variant speaks all the languages in train, where variety is what teaches, and two of them in dev and test.
    """
    women, men = FEMALE_VARIANTS[subset], MALE_VARIANTS[subset]
    variants = [name for pair in zip(women, men) for name in pair] + [*women[len(men) :], *men[len(women) :]]
    count = len(languages)
    shifts = range(count) if subset == TRAIN else (0, count // 2)
    found = [Voice(languages[(i + shift) % count], name) for shift in shifts for i, name in enumerate(variants)]
    return list(dict.fromkeys(found))
