"""What the README's numbers come from: how the model ages, and what retraining and the rule do about it.

    python evaluate.py

A day is a UTC day of departures. The rule fires when the day's AUC was below 0.61 on 7 of the last 10 days of the
version in service, resolves when that version has at least 5 days and at most 3 bad ones, and retrains at most once
in three weeks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
from data import NUMBERS, feature_rows, flights
from features import encode
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from train import classifier, codes, labelled

THRESHOLD, BAD, OF = 0.61, 7, 10
ENOUGH, CLEAR = 5, 3
WEEKS, COOLDOWN = 8, timedelta(days=21)
FIRST, LAST = date(2013, 3, 1), date(2013, 12, 31)


@dataclass
class Rule:
    """The rule of the README, counted by hand."""

    firing: bool = False
    days: deque[bool] = field(default_factory=lambda: deque(maxlen=OF))

    def judge(self, auc: float) -> str:
        self.days.append(auc < THRESHOLD)
        if not self.firing and sum(self.days) >= BAD:
            self.firing = True
            return "firing"
        if self.firing and len(self.days) >= ENOUGH and sum(self.days) <= CLEAR:
            self.firing = False
            return "resolved"
        return ""


def scores(
    frame: pd.DataFrame, train_first: date, train_last: date, known_by: datetime | None = None
) -> np.ndarray:
    """The probability of every flight in ``frame`` from a model of the given days."""
    rows = labelled(frame, train_first, train_last, known_by)
    categories = codes(rows)
    model = classifier().fit(encode(feature_rows(rows), categories, NUMBERS), rows["late"].astype(bool))
    return model.predict_proba(encode(feature_rows(frame), categories, NUMBERS))[:, 1]


def daily_auc(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.groupby("day")[["late", column]].apply(
        lambda g: roc_auc_score(g["late"].astype(bool), g[column])
    )


def retrained(frame: pd.DataFrame, day: date) -> np.ndarray:
    known_by = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return scores(frame, day - timedelta(weeks=WEEKS) + timedelta(days=1), day, known_by)


def by_week(rows: pd.DataFrame) -> None:
    print("week of      n    late   AUC   daily AUC  accuracy  log loss")
    for week, group in rows.groupby("week"):
        late, score = group["late"].astype(bool), group["january"]
        print(
            f"{week}  {len(group)}  {late.mean():.2f}  {roc_auc_score(late, score):.3f}  "
            f"{daily_auc(group, 'january').mean():.3f}      {accuracy_score(late, score >= 0.5):.3f}     {log_loss(late, score):.3f}"
        )


def by_retraining(rows: pd.DataFrame) -> None:
    print(
        f"\nretrained on {WEEKS} weeks; mean daily AUC in each of the next 6 weeks, January's model > the new one"
    )
    for day in (date(2013, 6, 23), date(2013, 7, 14), date(2013, 8, 4), date(2013, 8, 25), date(2013, 9, 8)):
        new = rows.assign(new=retrained(rows, day), age=[(d - day).days for d in rows["day"]])
        weeks = [new[(new["age"] > 7 * w) & (new["age"] <= 7 * w + 7)] for w in range(6)]
        pairs = [f"{daily_auc(w, 'january').mean():.3f}>{daily_auc(w, 'new').mean():.3f}" for w in weeks]
        print(f"{day}  {'  '.join(pairs)}")


def by_rule(rows: pd.DataFrame) -> None:
    print(f"\nrule: AUC below {THRESHOLD} on {BAD} of {OF} days")
    rule, last_training, served = Rule(), None, rows["january"]
    for day, today in rows[rows["day"] >= FIRST].groupby("day"):
        said = rule.judge(roc_auc_score(today["late"].astype(bool), served[today.index]))
        if said:
            print(f"{day}  {said}")
        if said == "firing" and (last_training is None or day - last_training > COOLDOWN):
            served, last_training = pd.Series(retrained(rows, day), rows.index), day
            rule.days.clear()
            print(f"{day}  retrained")


def main() -> None:
    rows = labelled(flights(), date(2013, 1, 1), LAST)
    rows["january"] = scores(rows, date(2013, 1, 1), date(2013, 2, 28))
    rows["day"] = rows["event_time"].dt.date
    rows["week"] = [day - timedelta(days=day.weekday()) for day in rows["day"]]
    year = rows[rows["day"] >= FIRST]
    by_week(year)
    by_retraining(rows)
    by_rule(rows)


if __name__ == "__main__":
    main()
