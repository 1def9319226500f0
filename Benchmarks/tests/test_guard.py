"""What counts as worse."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from ..guard import Figure, better, judge, load, save


class Guard(unittest.TestCase):
    def test_fifteen_percent_worse_is_allowed_and_more_is_not(self) -> None:
        recorded = {"cost": Figure(100.0), "speed": Figure(100.0, higher_is_better=True)}
        measured = {"cost": Figure(114.0), "speed": Figure(86.0, higher_is_better=True)}
        self.assertTrue(all(verdict.passed for verdict in judge(measured, recorded)))
        measured = {"cost": Figure(116.0), "speed": Figure(84.0, higher_is_better=True)}
        self.assertFalse(any(verdict.passed for verdict in judge(measured, recorded)))

    def test_better_always_passes(self) -> None:
        recorded = {"cost": Figure(100.0), "speed": Figure(100.0, higher_is_better=True)}
        measured = {"cost": Figure(1.0), "speed": Figure(900.0, higher_is_better=True)}
        self.assertTrue(all(verdict.passed for verdict in judge(measured, recorded)))

    def test_slack_is_that_of_the_record(self) -> None:
        verdicts = judge({"memory": Figure(140.0)}, {"memory": Figure(100.0, slack=0.5)})
        self.assertTrue(verdicts[0].passed)

    def test_a_recorded_zero_stays_zero(self) -> None:
        self.assertTrue(judge({"wake-ups": Figure(0.0)}, {"wake-ups": Figure(0.0)})[0].passed)
        self.assertFalse(judge({"wake-ups": Figure(0.2)}, {"wake-ups": Figure(0.0)})[0].passed)

    def test_what_was_not_recorded_fails(self) -> None:
        verdict = judge({"new": Figure(1.0)}, {})[0]
        self.assertFalse(verdict.passed)
        self.assertIn("nothing was recorded", str(verdict))

    def test_the_better_of_two_depends_on_the_direction(self) -> None:
        self.assertEqual(better(Figure(1.0), Figure(2.0)).value, 1)
        self.assertEqual(better(Figure(1.0, True), Figure(2.0, True)).value, 2)

    def test_records_of_two_builds_live_beside_each_other(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recorded.json"
            self.assertEqual(load("static", "counts", path), {})
            save("static", "counts", {"cost": Figure(1.23456)}, path)
            save("dynamic", "counts", {"cost": Figure(2.0, slack=0.3)}, path)
            self.assertEqual(load("static", "counts", path), {"cost": Figure(1.235)})
            self.assertEqual(load("dynamic", "counts", path), {"cost": Figure(2.0, slack=0.3)})


if __name__ == "__main__":
    unittest.main()
