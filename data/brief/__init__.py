"""The daily brief: what changed since the day before and why, by rules; each number names its stored row."""

from data.brief.parts import Brief, Number, Ref, Sentence
from data.brief.writing import write

__all__ = ["Brief", "Number", "Ref", "Sentence", "write"]
