"""From samples to a table: medians, their range, their ratio to one subject; as text, as Markdown, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

Sample = dict[str, float]


@dataclass(frozen=True)
class Column:
    """One figure of every sample: its key, its heading, and how it is shown.

    `spread` adds the smallest and the largest round, `ratio` the median's ratio to the baseline's, `worst` shows the
    largest instead of the median.
    """

    key: str
    heading: str
    digits: int = 0
    scale: float = 1.0
    spread: bool = False
    ratio: bool = False
    worst: bool = False


BUSY = Column("busy", "core busy %", scale=100)
OTHERS = Column("others", "by others %", scale=100, worst=True)
"""Whatever else ran on the proxies' core: the more, the less the row is worth."""
FAILED = Column("failed", "failed", worst=True)


@dataclass
class Sheet:
    """One table: rounds of samples for each subject, in the order of the rows."""

    suite: str
    title: str
    columns: list[Column]
    baseline: str = "envoy"
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, subject: str, sample: Sample) -> None:
        self.samples.setdefault(subject, []).append(sample)

    def value(self, subject: str, column: Column) -> float | None:
        """What the cell shows; None where no sample has it."""
        found = [sample[column.key] for sample in self.samples.get(subject, []) if column.key in sample]
        return (max if column.worst else median)(found) if found else None

    def rows(self) -> list[list[str]]:
        heading = ["subject"]
        for column in self.columns:
            heading += [column.heading, *(["min-max"] if column.spread else [])]
            heading += [f"x {self.baseline}"] if column.ratio and self.baseline in self.samples else []
        return [heading, *(self._row(subject) for subject in self.samples)]

    def _row(self, subject: str) -> list[str]:
        row = [subject]
        for column in self.columns:
            value = self.value(subject, column)
            row.append(_number(value, column))
            if column.spread:
                found = [sample[column.key] for sample in self.samples[subject] if column.key in sample]
                row.append(f"{_number(min(found), column)}-{_number(max(found), column)}" if found else "-")
            if column.ratio and self.baseline in self.samples:
                base = self.value(self.baseline, column)
                row.append(f"{value / base:.2f}" if value is not None and base else "-")
        return row

    def data(self) -> dict[str, object]:
        """For the results file: every sample, and the medians."""
        medians = {
            subject: {column.key: self.value(subject, column) for column in self.columns} for subject in self.samples
        }
        return {"suite": self.suite, "title": self.title, "medians": medians, "rounds": self.samples}


def as_text(sheet: Sheet) -> str:
    """Aligned columns: names to the left, numbers to the right."""
    rows = sheet.rows()
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join([sheet.title, *(f"  {line}".rstrip() for line in lines)])


def as_markdown(sheet: Sheet) -> str:
    heading, *rows = sheet.rows()
    rule = ["---", *("--:" for _ in heading[1:])]
    return "\n".join([f"**{sheet.title}**", "", *(f"| {' | '.join(row)} |" for row in (heading, rule, *rows))])


def grouped(number: float, digits: int = 0) -> str:
    """With a space between thousands."""
    return f"{number:,.{digits}f}".replace(",", " ")


def _number(value: float | None, column: Column) -> str:
    return "-" if value is None else grouped(value * column.scale, column.digits)
